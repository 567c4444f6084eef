//! The gateway's settings: its bounds, the proxies that it trusts, and the target of a route.

use super::address_list::AddressList;
use super::authentication::RouteAccess;
use super::body_decoding::BodyDecoding;
use super::caching::{CacheBounds, CacheDisk};
use super::compression::AnswerCompression;
use super::cors::CorsPolicy;
use super::entry_gate::EntrySettings;
use super::files::StaticFolder;
use super::header_edits::{AnswerEdits, HeaderEdits};
use super::mirror::Mirror;
use super::rates::RouteLimits;
use super::redirection::Redirection;
use super::saga_answer::{SagaEntrance, SagaRoute};
use crate::audit::AuditTrail;
use crate::base::ServiceName;
use crate::cache::CachePolicy;
use crate::listen::AcmeChallenges;
use crate::telemetry::{AccessFormat, Tracer};
use bytes::Bytes;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// The bounds of requests, the trusted proxies, and the OpenAPI document.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The proxies whose `x-request-id`, `Forwarded` and `X-Forwarded-*` are believed; those of other peers are
    /// replaced.
    pub trusted_proxies: Vec<IpAddr>,
    /// The most header fields of a request; a request with more is answered with 431.
    pub max_headers: usize,
    /// The most bytes of a request's header fields as they are sent; a request with more is answered with 431.
    pub header_bytes: usize,
    /// The most bytes of bodies that are held at a time for one service. On a typed route, a request beyond it is
    /// answered with 503. The default is 64 MiB.
    pub body_memory: usize,
    /// Whom it lets in, and whether there is maintenance.
    pub entry: EntrySettings,
    /// The OpenAPI document of the typed routes, in JSON. It is the answer to `GET /openapi.json`, unless a route has
    /// that path.
    pub openapi: Option<Bytes>,
    /// Where refusals of callers are recorded; `None`: nowhere.
    pub audit: Option<AuditTrail>,
    /// How the access log is written.
    pub access: AccessFormat,
    /// What is done about plain HTTP, where the gateway has TLS.
    pub https: Option<HttpsSettings>,
    /// The bounds of the cache, where a route has one.
    pub cache: CacheBounds,
    /// Where the cache keeps what is too large for the memory; `None`: nowhere.
    pub cache_disk: Option<Arc<CacheDisk>>,
    /// The fields of a request that stick to a revision of some service: `header:NAME`, `cookie:NAME`.
    pub sticky: Vec<Arc<str>>,
    /// What is proved to an ACME authority by HTTP; `None`: the host obtains no certificate by itself.
    pub acme: Option<Arc<AcmeChallenges>>,
    /// The way to the sagas, for routes that lead to one.
    pub sagas: SagaEntrance,
    /// The traces of requests; `None`: they are not traced.
    pub traces: Option<Arc<Tracer>>,
}

/// What a gateway with TLS does about plain HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpsSettings {
    /// The port to which requests without TLS are sent by 308; `None`: they are served.
    pub redirect: Option<u16>,
    /// How long browsers shall use nothing but TLS; `None`: answers do not say so.
    pub hsts: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            max_headers: 100,
            header_bytes: 32 * 1024,
            body_memory: 64 << 20,
            entry: EntrySettings::default(),
            openapi: None,
            audit: None,
            access: AccessFormat::default(),
            https: None,
            cache: CacheBounds::default(),
            cache_disk: None,
            sticky: Vec::new(),
            acme: None,
            sagas: SagaEntrance::default(),
            traces: None,
        }
    }
}

/// How a route passes WebSockets on.
#[derive(Debug, Clone)]
pub struct WebSocketSettings {
    /// The origins whose pages may open one, as browsers write them; `None`: all. A handshake without `Origin` is from
    /// no browser, and passes.
    pub origins: Option<Vec<String>>,
    /// How long a WebSocket may be quiet in both directions.
    pub idle: Duration,
    /// How many may be open at a time.
    pub connections: usize,
}

/// What a route leads to.
#[derive(Debug, Clone)]
pub struct Target {
    /// Who answers.
    pub answerer: Answerer,
    /// The most bytes of a request's body; a request with more is answered with 413.
    pub body_limit: u64,
    /// How many calls of the service may be under way while their clients still send their bodies. Equal for all routes
    /// to one service.
    pub open_uploads: usize,
    /// The time limit for the service, from the arrival of the request to the head of the answer.
    pub timeout: Duration,
    /// The rate limits that must admit a request; `None`: there are none.
    pub limits: Option<RouteLimits>,
    /// For a route that calls a function: its place among such routes of the service. `None` for a service that
    /// speaks HTTP itself.
    ///
    /// The rule of such a route names its methods (`HEAD` as well, if it names `GET`), and has no rewrite.
    pub typed: Option<usize>,
    /// Whether trailer sections are passed on, where the client speaks HTTP/2 and asks for them.
    pub trailers: bool,
    /// Whether interim answers (1xx) are passed on. Only for a service that has addresses, and without `cache`.
    pub interim: bool,
    /// How WebSockets are passed on; `None`: not at all. Only for a service that has addresses alone.
    pub websocket: Option<WebSocketSettings>,
    /// Whom it lets in; `None`: everybody.
    pub access: Option<Arc<RouteAccess>>,
    /// Which clients it lets in, by their addresses; `None`: all.
    pub addresses: Option<Arc<AddressList>>,
    /// Which pages of other origins may use it; `None`: what the service says of that is passed on.
    pub cors: Option<Arc<CorsPolicy>>,
    /// Which of its answers are kept; `None`: none.
    pub cache: Option<Arc<CachePolicy>>,
    /// Why requests are refused with 503, if the host serves without this route or its service: for the log.
    pub left_out: Option<Arc<str>>,
    /// What is changed in requests and answers.
    pub transforms: RouteTransforms,
}

impl Target {
    /// The service that is called; `None`: the gateway answers itself.
    pub fn service(&self) -> Option<&ServiceName> {
        match &self.answerer {
            Answerer::Service(service) => Some(service),
            Answerer::Files(_) | Answerer::Redirection(_) | Answerer::Saga(_) => None,
        }
    }
}

/// Who answers the requests of a route.
#[derive(Debug, Clone)]
pub enum Answerer {
    /// A service, which is called.
    Service(ServiceName),
    /// The gateway, with the files of a folder.
    Files(Arc<StaticFolder>),
    /// The gateway, which sends the client to another address.
    Redirection(Arc<Redirection>),
    /// A saga, which is started or shown.
    Saga(SagaRoute),
}

impl Answerer {
    /// What the gateway answers with, as people read it; `None` for a service.
    pub fn own_answer(&self) -> Option<String> {
        match self {
            Self::Service(_) => None,
            Self::Files(folder) => Some(format!("files of {}", folder.root().display())),
            Self::Redirection(redirection) => Some(redirection.description()),
            Self::Saga(route) => Some(format!("saga {}", route.saga)),
        }
    }
}

/// What a route changes in its requests and answers. Nothing by default.
#[derive(Debug, Clone, Default)]
pub struct RouteTransforms {
    /// How answers are compressed; `None`: not at all.
    pub compression: Option<Arc<AnswerCompression>>,
    /// How the bodies of requests are decoded; `None`: they are passed on as they are.
    pub decoding: Option<BodyDecoding>,
    /// What is changed in the header sections of requests to the service.
    pub request_headers: Option<Arc<HeaderEdits>>,
    /// What is changed in the header sections of answers.
    pub answer_headers: Option<Arc<AnswerEdits>>,
    /// Who gets copies of requests; `None`: nobody. Only for a service that speaks HTTP.
    pub mirror: Option<Arc<Mirror>>,
}
