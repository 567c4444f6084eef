//! `[gateway]` and `[admin]`: the two HTTP edges.

use super::auth_names::AuthNamesKind;
use super::cache_bounds::CacheDiskSettings;
use super::edge_finding_key::EdgeFindingKey;
use super::listen_addresses::ListenAddresses;
use super::openapi::OpenapiKind;
use super::reader::address::{IpAddressKind, SocketAddressKind};
use super::reader::file::{CreatedPath, PathKind};
use super::reader::key::ManifestKey;
use super::reader::key_spans::KeySpans;
use super::reader::kind::{ChoiceKind, CountKind, FlagKind, ListKind};
use super::reader::measure::{DurationKind, GIB, HOUR, KIB, MIB, MINUTE, SizeKind, in_memory};
use super::reader::section::Section;
use super::tls::{self, GatewayTlsConfig, Redirect, TlsConfig};
use super::{cache_bounds, cors, entry, http2, idle_keys, token};
use crate::admin;
use crate::contract::{Info, Names};
use crate::gateway::{CorsPolicy, HttpsSettings};
use crate::telemetry::AccessFormat;
use crate::{gateway, listen};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use toml::Spanned;

/// The settings of the gateway.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// Its socket.
    pub listen: listen::Settings,
    /// Its second socket; `None`: it has no TLS.
    pub tls: Option<GatewayTlsConfig>,
    /// How it handles a request. The OpenAPI document is added once the components are loaded.
    pub settings: gateway::Settings,
    /// How long requests in flight may take after the host was told to stop: 0 to 1 h.
    pub drain: Duration,
    /// How long a request may take until the head of its answer, unless its route says otherwise: 1 ms to 1 h.
    pub timeout: Duration,
    /// Which pages of other origins may use a route that does not say it; `None`: the service decides.
    pub cors: Option<Arc<CorsPolicy>>,
    /// How JSON writes the names of WIT.
    pub names: Names,
    /// What the answer to `GET /openapi.json` says of the API; `None`: there is no answer.
    pub openapi: Option<Info>,
    /// The file of the API keys.
    pub keys: PathBuf,
    /// Where the cache keeps what is too large for the memory; `None`: nowhere.
    pub cache_disk: Option<CacheDiskSettings>,
    /// The policies of a route that names none.
    pub(super) default_auth: Vec<Spanned<String>>,
}

/// The settings of the admin, from the manifest and the environment.
#[derive(Debug, Clone)]
pub struct AdminConfig {
    /// Its socket.
    pub listen: listen::Settings,
    /// `None`: it has no TLS.
    pub tls: Option<TlsConfig>,
    /// Who may use it. There is a token if other machines can reach the socket.
    pub settings: admin::Settings,
}

/// If it is set, it overrides `gateway.listen`.
const GATEWAY_LISTEN: &str = "ATOLL_GATEWAY_LISTEN";
/// If it is set, it overrides `admin.listen`.
const ADMIN_LISTEN: &str = "ATOLL_ADMIN_LISTEN";

/// How long a connection may be idle, in either direction.
const IDLE: DurationKind = DurationKind { min: 100, max: HOUR };

static LISTEN: ManifestKey<SocketAddressKind> =
    ManifestKey::new("listen", SocketAddressKind, r#""127.0.0.1:8080""#, "The address to which customers connect.");
static HEADER_TIMEOUT: ManifestKey<DurationKind> = ManifestKey::new(
    "header_timeout",
    DurationKind { min: 100, max: 10 * MINUTE },
    r#""10s""#,
    "How long the header section of a request may take, and how long a new connection may take to send its first byte. \
     Then the answer is 408.",
);
static KEEP_ALIVE: ManifestKey<DurationKind> =
    ManifestKey::new("keep_alive", IDLE, r#""60s""#, "How long a connection may be idle between two requests.");
static WRITE_TIMEOUT: ManifestKey<DurationKind> = ManifestKey::new(
    "write_timeout",
    IDLE,
    r#""60s""#,
    "How long a client may take to read no byte of an answer that is ready. Then the connection is closed.",
);
/// A rate in bytes a second: up to 1 GiB.
const RATE: SizeKind = SizeKind { min: 0, max: GIB };
static MIN_UPLOAD_RATE: ManifestKey<SizeKind> = ManifestKey::new(
    "min_upload_rate",
    RATE,
    r#""240B""#,
    "The least bytes per second of a request's body, while the service waits for the body. A client below it for \
     `rate_grace` is answered with 408. Once the service has answered, only bodies whose length was said must keep it. \
     0: any rate.",
);
static MIN_DOWNLOAD_RATE: ManifestKey<SizeKind> = ManifestKey::new(
    "min_download_rate",
    RATE,
    r#""240B""#,
    "The least bytes per second that a client takes of an answer, while there are bytes for it to take. The connection \
     of a client below it for `rate_grace` is closed. 0: any rate.",
);
static RATE_GRACE: ManifestKey<DurationKind> = ManifestKey::new(
    "rate_grace",
    DurationKind { min: 100, max: 10 * MINUTE },
    r#""5s""#,
    "How long a client may be below these two rates. Each such span of waiting for the client counts by itself.",
);
static ANSWER_BUFFER: ManifestKey<SizeKind> = ManifestKey::new(
    "answer_buffer",
    SizeKind { min: 0, max: GIB },
    r#""1MiB""#,
    "How much of one answer is read ahead of a slow client, so that the service is done with it and free for other \
     calls. 0: nothing.",
);
static ANSWER_MEMORY: ManifestKey<SizeKind> = ManifestKey::new(
    "answer_memory",
    SizeKind { min: MIB, max: 64 * GIB },
    r#""256MiB""#,
    "The most memory for all that is read ahead of slow clients. If it is used up, their services wait for them.",
);
static MAX_HEADERS: ManifestKey<CountKind<u16>> = ManifestKey::new(
    "max_headers",
    CountKind { min: 10, max: 1000 },
    "100",
    "The largest number of header fields of a request. A request with more is answered with 431.",
);
static HEADER_BYTES: ManifestKey<SizeKind> = ManifestKey::new(
    "header_bytes",
    SizeKind { min: KIB, max: MIB },
    r#""32KiB""#,
    "The largest header section of a request. A larger one is answered with 431.",
);
static CONNECTIONS: ManifestKey<CountKind<u32>> = ManifestKey::new(
    "connections",
    CountKind { min: 1, max: 1_000_000 },
    "10000",
    "The largest number of connections at the same time. A further one takes the place of the connection that has been \
     idle for the longest time; if none is idle, it waits.",
);
static CONNECTIONS_PER_ADDRESS: ManifestKey<CountKind<u32>> = ManifestKey::new(
    "connections_per_address",
    CountKind { min: 0, max: 1_000_000 },
    "0",
    "The largest number of connections at the same time from one address (an IPv6 address by its first 64 bits), \
     `trusted_proxies` excepted. A further one is closed. 0: any number.",
);
static DRAIN: ManifestKey<DurationKind> = ManifestKey::new(
    "drain",
    DurationKind { min: 0, max: HOUR },
    r#""30s""#,
    "How long requests in flight may take to finish after the host was told to stop.",
);
static TIMEOUT: ManifestKey<DurationKind> = ManifestKey::new(
    "timeout",
    TOTAL,
    r#""15s""#,
    "How long a request may take until the head of its answer, with everything that happens on the way. Then the \
     answer is 504.",
);
static TRUSTED_PROXIES: ManifestKey<ListKind<IpAddressKind>> = ManifestKey::new(
    "trusted_proxies",
    ListKind { of: IpAddressKind, max: 64 },
    "[]",
    "The peers whose `Forwarded` and `X-Forwarded-*` headers the gateway trusts. It replaces the headers of all \
     others.",
);
static PROXY_PROTOCOL: ManifestKey<FlagKind> = ManifestKey::new(
    "proxy_protocol",
    FlagKind,
    "false",
    "Whether each connection begins with a header of the PROXY protocol (version 1 or 2), which names the client. It \
     is read from `trusted_proxies` alone; connections of others, or without it, are closed.",
);
static NAMES: ManifestKey<ChoiceKind<Names>> = ManifestKey::new(
    "names",
    ChoiceKind(&[("snake_case", Names::Snake), ("camelCase", Names::Camel), ("kebab-case", Names::Kebab)]),
    r#""snake_case""#,
    "How the names of WIT are written in JSON and in queries: `unit_price`, `unitPrice`, or `unit-price` as in WIT.",
);
static BODY_MEMORY: ManifestKey<SizeKind> = ManifestKey::new(
    "body_memory",
    SizeKind { min: MIB, max: 64 * GIB },
    r#""64MiB""#,
    "The most memory for the request bodies that are read before one service is called: whole on typed routes, where a \
     request that does not fit is answered with 503; the first 64 KiB of a body of known length on others, where less \
     is read if it does not fit.",
);
static OPENAPI: ManifestKey<OpenapiKind> = ManifestKey::new(
    "openapi",
    OpenapiKind,
    "true",
    "Whether `GET /openapi.json` answers with the description of the typed routes and of those to sagas, and the name \
     and version of the API in it. Without them they are those of the host.",
);

static DEFAULT_AUTH: ManifestKey<AuthNamesKind> = ManifestKey::new(
    "default_auth",
    AuthNamesKind,
    r#""none""#,
    "The policies (`[auth.NAME]`) of each route that has no `auth` of its own. With it a route that says nothing is \
     closed, and `auth = \"none\"` opens one. `/openapi.json` has no route, so it stays open.",
);
const API_KEYS: CreatedPath = CreatedPath { is_folder: false, help: "name a file in it, such as keys.json" };
static KEYS: ManifestKey<PathKind> = ManifestKey::new(
    "keys",
    PathKind,
    r#"".atoll/keys.json""#,
    "The file of the API keys, which a policy of the kind `api-key` needs: their names, scopes and hashes, never the \
     keys. The host creates it and its folders. `atoll key` changes it while the host runs.",
);

static ADMIN: ManifestKey<SocketAddressKind> = ManifestKey::new(
    "listen",
    SocketAddressKind,
    r#""127.0.0.1:9090""#,
    "The address to which operators connect. It cannot be the gateway's.",
);

/// How long a request may take: the kind of `gateway.timeout` and of a route's `timeout`.
pub(super) const TOTAL: DurationKind = DurationKind { min: 1, max: HOUR };

/// Reads `[gateway]` and `[admin]`, and adds their addresses to `listeners`.
pub(super) fn read(
    root: &mut Section<'_>,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    spans: &mut KeySpans<EdgeFindingKey>,
    listeners: &mut ListenAddresses,
) -> (GatewayConfig, AdminConfig) {
    let report = root.report;
    let before = report.count();
    let mut section = root.section("gateway");
    let gateway_address = section.get_or_variable(&LISTEN, GATEWAY_LISTEN, env);
    let mut gateway = gateway(&mut section, gateway_address.value, folder);
    spans.note_key(EdgeFindingKey::ApiKeys, &section, KEYS.name);
    let tls = tls::of_gateway(&mut section, folder, env);
    idle_keys::refuse_of_gateway(&section, &gateway.listen);
    section.close();

    let mut section = root.section("admin");
    let admin_address = section.get_or_variable(&ADMIN, ADMIN_LISTEN, env);
    let admin_tls = tls::of_admin(&mut section, folder);
    section.close();
    // A wrong address was replaced by its default, which nobody meant.
    if report.count() == before {
        listeners.add("gateway", &gateway_address, report);
        listeners.add("admin", &admin_address, report);
        if let Some((secure, _)) = &tls {
            listeners.add("gateway by TLS", secure, report);
        }
    }
    gateway.tls = tls.map(|(_, tls)| tls);
    if let Some(tls) = &mut gateway.tls {
        tls.tls.settings.http2 = gateway.listen.http2.is_some();
    }
    gateway.settings.https = gateway.tls.as_ref().and_then(https);
    let address = admin_address.value;
    let admin = AdminConfig {
        listen: listen::Settings { address, ..listen::Settings::default() },
        settings: admin::Settings {
            address,
            token: token::read(&admin_address, root.has("operator"), env, report),
            operators: Vec::new(),
            secure: admin_tls.is_some(),
        },
        tls: admin_tls,
    };
    (gateway, admin)
}

/// What the gateway does about plain HTTP, if anything.
fn https(tls: &GatewayTlsConfig) -> Option<HttpsSettings> {
    let redirect = match tls.redirect {
        Redirect::No => None,
        Redirect::ToListener => Some(tls.address.port()),
        Redirect::ToPort(port) => Some(port),
    };
    (redirect.is_some() || tls.hsts.is_some()).then_some(HttpsSettings { redirect, hsts: tls.hsts })
}

fn gateway(section: &mut Section<'_>, address: SocketAddr, folder: &Path) -> GatewayConfig {
    let (max_headers, header_bytes) = (section.get(&MAX_HEADERS).into(), in_memory(section.get(&HEADER_BYTES)));
    let connections = section.get(&CONNECTIONS);
    let trusted_proxies: Vec<IpAddr> = section.get(&TRUSTED_PROXIES).into_iter().map(Spanned::into_inner).collect();
    let proxy_protocol = section.get_sourced(&PROXY_PROTOCOL);
    if proxy_protocol.value && trusted_proxies.is_empty() {
        let help = "name the addresses of the proxies in `trusted_proxies`";
        section.report.push(
            proxy_protocol.origin,
            "`proxy_protocol` without `trusted_proxies` refuses everybody",
            help,
        );
    }
    let proxies: Vec<IpAddr> = trusted_proxies.iter().map(IpAddr::to_canonical).collect();
    let proxy_protocol = proxy_protocol.value.then(|| proxies.clone());
    let (cache, cache_disk) = cache_bounds::bounds(section, folder);
    GatewayConfig {
        listen: listen::Settings {
            address,
            header_timeout: section.get(&HEADER_TIMEOUT),
            idle_timeout: section.get(&KEEP_ALIVE),
            write_timeout: section.get(&WRITE_TIMEOUT),
            min_upload_rate: section.get(&MIN_UPLOAD_RATE),
            min_download_rate: section.get(&MIN_DOWNLOAD_RATE),
            rate_grace: section.get(&RATE_GRACE),
            answer_buffer: in_memory(section.get(&ANSWER_BUFFER)),
            answer_memory: in_memory(section.get(&ANSWER_MEMORY)),
            max_headers,
            header_bytes,
            connections: usize::try_from(connections).expect("at most a million"),
            per_address: usize::try_from(section.get(&CONNECTIONS_PER_ADDRESS)).expect("at most a million"),
            proxies,
            proxy_protocol,
            http2: http2::read(section),
            ..listen::Settings::default()
        },
        settings: gateway::Settings {
            trusted_proxies,
            max_headers,
            header_bytes,
            body_memory: in_memory(section.get(&BODY_MEMORY)),
            entry: entry::read(section),
            openapi: None,
            https: None,
            acme: None,
            audit: None,
            cache,
            cache_disk: None,
            access: AccessFormat::default(),
            sticky: Vec::new(),
            traces: None,
            sagas: gateway::SagaEntrance::default(),
        },
        tls: None,
        drain: section.get(&DRAIN),
        timeout: section.get(&TIMEOUT),
        cors: cors::read(section, None),
        names: section.get(&NAMES),
        openapi: section.get(&OPENAPI),
        cache_disk,
        keys: API_KEYS.resolve(section.get_sourced(&KEYS), folder, section.report),
        default_auth: section.get(&DEFAULT_AUTH),
    }
}
