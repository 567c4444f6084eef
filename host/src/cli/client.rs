//! The client of the admin's API.

use super::address::AdminAddress;
use super::admin_connector::AdminConnector;
use super::event_stream::{EventParser, StreamEvent};
use super::export_body::ExportBody;
use super::failure::CliError;
use super::output::Output;
use crate::admin::{
    AdoptedView, ApplyView, BegunView, BreakerRequest, ClearedView, ErasedView, FaultRequest, FaultView, HistoryView,
    ImportedView, KeyReplacedView, KeyRequest, KeyView, MAX_COMPONENT, MaintenanceRequest, MaintenanceView, NewKeyView,
    ProblemView, PurgeRequest, PurgedView, RolloutView, ServiceView, SnapshotView, SwapView, TrialView,
};
use crate::base::ServiceName;
use crate::mesh::Tls;
use bytes::Bytes;
use futures_util::stream::try_unfold;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::error::Error;
use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long the answer to a read may take.
const READ: Duration = Duration::from_secs(10);
/// How long the answer to a change may take: a large component is uploaded and compiled.
const CHANGE: Duration = Duration::from_secs(600);
/// How long an import or a snapshot may take.
const LONG: Duration = Duration::from_secs(6 * 3600);
/// The bytes of a file that are read at once.
const PIECE: usize = 64 * 1024;
/// The longest answer that is read, in bytes: enough for thousands of services.
const LONGEST: usize = 16 * 1024 * 1024;

/// What is sent to an admin.
type UploadBody = UnsyncBoxBody<Bytes, io::Error>;

/// A client of one admin.
pub(super) struct Client {
    admin: AdminAddress,
    authorization: Option<HeaderValue>,
    http: HttpClient<AdminConnector, UploadBody>,
}

impl Client {
    /// A client that sends `token`, if there is one. It does not connect yet. By TLS it trusts the authorities in the
    /// file `ca`; without it, those of the system.
    ///
    /// # Errors
    /// [`CliError::Token`] if the token cannot be sent in a header, [`CliError::Ca`] if the authorities cannot be read.
    pub(super) fn new(admin: AdminAddress, token: Option<&str>, ca: Option<&Path>) -> Result<Self, CliError> {
        let bearer = |token| {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| CliError::Token)?;
            value.set_sensitive(true);
            Ok(value)
        };
        let authorization = token.map(bearer).transpose()?;
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT));
        connector.enforce_http(false);
        let tls = || ca.map_or_else(Tls::system, Tls::with_ca);
        let tls = admin.is_secure().then(tls).transpose().map_err(CliError::Ca)?;
        let connector = AdminConnector { http: connector, tls };
        Ok(Self { admin, authorization, http: HttpClient::builder(TokioExecutor::new()).build(connector) })
    }

    /// The admin's answer at `path`, unchanged.
    pub(super) async fn get(&self, path: &str) -> Result<Bytes, CliError> {
        self.send(Method::GET, path, None, READ).await
    }

    /// Parses `answer`.
    ///
    /// # Errors
    /// [`CliError::Strange`] if it is not what an admin of this version answers.
    pub(super) fn read<T: DeserializeOwned>(&self, answer: &Bytes) -> Result<T, CliError> {
        serde_json::from_slice(answer).map_err(|error| self.strange(error))
    }

    /// The admin's answer at `path`: its JSON, or the text that `text` makes of it.
    pub(super) async fn show<T: DeserializeOwned>(
        &self,
        path: &str,
        output: Output,
        text: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<String> {
        let answer = self.get(path).await?;
        // The JSON is parsed in both cases, so that a script never gets JSON that is not an admin's.
        let view: T = self.read(&answer)?;
        output.answer(answer, || text(&view))
    }

    /// [`Client::show`] of a list.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        output: Output,
        text: fn(&[T]) -> String,
    ) -> anyhow::Result<String> {
        self.show(path, output, |items: &Vec<T>| text(items)).await
    }

    /// Replaces the component of `service` by the one in `file`, as the fields of `query` say.
    pub(super) async fn begin_rollout(
        &self,
        service: &ServiceName,
        file: &Path,
        query: &str,
    ) -> Result<BegunView, CliError> {
        let body = Some(("application/wasm", read_component(file)?));
        let path = format!("/v1/services/{service}/rollouts?{query}");
        let answer = self.send(Method::POST, path.trim_end_matches('?'), body, CHANGE).await?;
        self.read(&answer)
    }

    /// Applies the manifest `text`, or plans it, as the fields of `query` say. Messages name it by `file`.
    pub(super) async fn apply(&self, text: String, query: &str, file: &Path) -> Result<ApplyView, CliError> {
        let body = Some(("application/toml", Bytes::from(text)));
        let name = percent_encoded(&file.display().to_string());
        let answer = self.send(Method::POST, &format!("/v1/apply?{query}&name={name}"), body, CHANGE).await?;
        self.read(&answer)
    }

    /// The rollouts of `service`.
    pub(super) async fn history(&self, service: &ServiceName) -> Result<HistoryView, CliError> {
        self.read(&self.get(&format!("/v1/services/{service}/rollouts")).await?)
    }

    /// One rollout of `service`.
    pub(super) async fn rollout(&self, service: &ServiceName, id: u64) -> Result<RolloutView, CliError> {
        self.read(&self.get(&format!("/v1/services/{service}/rollouts/{id}")).await?)
    }

    /// Ends the canary of `service`. `end`: `promote`, `rollback` or `abort`.
    pub(super) async fn end_rollout(&self, service: &ServiceName, end: &str) -> Result<SwapView, CliError> {
        let path = format!("/v1/services/{service}/rollouts/current/{end}");
        let answer = self.send(Method::POST, &path, None, CHANGE).await?;
        self.read(&answer)
    }

    /// The file of a recording: that of this number, or of the request with this id. `random`: with the random bytes
    /// that the guest got.
    pub(super) async fn recording(
        &self,
        id: &str,
        service: Option<&ServiceName>,
        random: bool,
    ) -> Result<Vec<u8>, CliError> {
        let id = percent_encoded(id);
        let service = service.map(|service| format!("&service={service}")).unwrap_or_default();
        Ok(self.get(&format!("/v1/recordings/{id}?random={random}{service}")).await?.to_vec())
    }

    /// Makes what serves the manifest's component.
    pub(super) async fn adopt(&self, service: &ServiceName) -> Result<AdoptedView, CliError> {
        let answer = self.send(Method::POST, &format!("/v1/services/{service}/adopt"), None, CHANGE).await?;
        self.read(&answer)
    }

    /// What a swap of `service` to the component in `file` would say.
    pub(super) async fn trial(&self, service: &ServiceName, file: &Path) -> Result<TrialView, CliError> {
        let body = Some(("application/wasm", read_component(file)?));
        let answer = self.send(Method::POST, &format!("/v1/services/{service}/trial"), body, CHANGE).await?;
        self.read(&answer)
    }

    /// Returns `service` to the revision before, or to the one whose digest begins with `revision`.
    pub(super) async fn rollback(&self, service: &ServiceName, revision: Option<&str>) -> Result<SwapView, CliError> {
        let revision = revision.map(|revision| format!("/{}", percent_encoded(revision))).unwrap_or_default();
        let path = format!("/v1/services/{service}/rollback{revision}");
        let answer = self.send(Method::POST, &path, None, CHANGE).await?;
        self.read(&answer)
    }

    /// Changes circuits of `service`.
    pub(super) async fn breaker(&self, service: &ServiceName, order: &BreakerRequest) -> Result<ServiceView, CliError> {
        self.post(&format!("/v1/services/{service}/breaker"), order).await
    }

    /// Adds a fault on purpose to `service`.
    pub(super) async fn add_fault(&self, service: &ServiceName, fault: &FaultRequest) -> Result<FaultView, CliError> {
        self.post(&format!("/v1/services/{service}/faults"), fault).await
    }

    /// Clears all faults, or those of a service, or one. Returns how many there were.
    pub(super) async fn clear_faults(&self, service: Option<&ServiceName>, id: Option<u64>) -> Result<usize, CliError> {
        let of = service.map(|service| format!("/services/{service}")).unwrap_or_default();
        let which = id.map(|id| format!("/{id}")).unwrap_or_default();
        let answer = self.send(Method::DELETE, &format!("/v1{of}/faults{which}"), None, READ).await?;
        self.read(&answer).map(|ClearedView { cleared }| cleared)
    }

    /// Creates an API key.
    pub(super) async fn create_key(&self, order: &KeyRequest) -> Result<NewKeyView, CliError> {
        self.post("/v1/keys", order).await
    }

    /// Revokes the API key `id`.
    pub(super) async fn revoke_key(&self, id: &str) -> Result<KeyView, CliError> {
        let answer = self.send(Method::DELETE, &format!("/v1/keys/{}", percent_encoded(id)), None, READ).await?;
        self.read(&answer)
    }

    /// Takes all answers out of the cache. Returns how many there were.
    pub(super) async fn purge_all(&self) -> Result<u64, CliError> {
        let answer = self.send(Method::DELETE, "/v1/cache", None, READ).await?;
        self.read(&answer).map(|PurgedView { purged }| purged)
    }

    /// Takes answers out of the cache. Returns how many there were.
    pub(super) async fn purge(&self, order: &PurgeRequest) -> Result<u64, CliError> {
        self.post("/v1/cache/purge", order).await.map(|PurgedView { purged }| purged)
    }

    /// Begins or ends maintenance.
    pub(super) async fn switch_maintenance(&self, order: &MaintenanceRequest) -> Result<MaintenanceView, CliError> {
        let body = serde_json::to_vec(order).map_err(|error| self.strange(error))?;
        let answer = self.send(Method::PUT, "/v1/maintenance", Some(("application/json", body.into())), READ).await?;
        self.read(&answer)
    }

    /// Deletes the data of `service`. Returns whether there was anything.
    pub(super) async fn erase(&self, service: &ServiceName) -> Result<bool, CliError> {
        let answer = self.send(Method::DELETE, &format!("/v1/services/{service}/data"), None, CHANGE).await?;
        self.read(&answer).map(|ErasedView { erased }| erased)
    }

    /// Replaces the key of the database. Returns false if the manifest names the key in use.
    pub(super) async fn replace_state_key(&self) -> Result<bool, CliError> {
        let answer = self.send(Method::POST, "/v1/state/key", None, CHANGE).await?;
        self.read(&answer).map(|KeyReplacedView { replaced }| replaced)
    }

    /// Posts `order` as JSON.
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, order: &impl Serialize) -> Result<T, CliError> {
        let body = serde_json::to_vec(order).map_err(|error| self.strange(error))?;
        let answer = self.send(Method::POST, path, Some(("application/json", body.into())), READ).await?;
        self.read(&answer)
    }

    /// Sends a request. A `body` comes with its media type.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, Bytes)>,
        within: Duration,
    ) -> Result<Bytes, CliError> {
        self.send_body(method, path, body.map(|(media_type, body)| (media_type, whole(body))), within).await
    }

    /// Sends a request whose body may be longer than fits in memory.
    async fn send_body(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, UploadBody)>,
        within: Duration,
    ) -> Result<Bytes, CliError> {
        let exchange = async {
            let (status, body) = self.exchange(method, path, body, None).await?;
            let body = Limited::new(body, LONGEST).collect().await.map_err(|error| self.strange(error))?;
            Ok((status, body.to_bytes()))
        };
        let silent = |_| CliError::Silent { admin: self.admin.to_string(), seconds: within.as_secs() };
        let (status, body) = timeout(within, exchange).await.map_err(silent)??;
        if status.is_success() { Ok(body) } else { Err(self.refused(status, &body)) }
    }

    /// Takes the lines of the file `path` into the data of `service`.
    pub(super) async fn import(
        &self,
        service: &ServiceName,
        path: &Path,
        replaces: bool,
    ) -> Result<ImportedView, CliError> {
        let body = file_body(path).map_err(|source| CliError::File { path: path.into(), source })?;
        let resource = format!("/v1/services/{service}/data?replace={replaces}");
        let answer = self.send_body(Method::POST, &resource, Some(("application/x-ndjson", body)), LONG).await?;
        self.read(&answer)
    }

    /// Takes a snapshot of the host into the data of `service`.
    pub(super) async fn import_snapshot(
        &self,
        service: &ServiceName,
        name: &str,
        replaces: bool,
    ) -> Result<ImportedView, CliError> {
        let name = percent_encoded(name);
        let resource = format!("/v1/services/{service}/data?replace={replaces}&snapshot={name}");
        let answer = self.send(Method::POST, &resource, None, LONG).await?;
        self.read(&answer)
    }

    /// Has the host make a snapshot of the data of `service`.
    pub(super) async fn snapshot(&self, service: &ServiceName) -> Result<SnapshotView, CliError> {
        let answer = self.send(Method::POST, &format!("/v1/services/{service}/data/snapshots"), None, LONG).await?;
        self.read(&answer)
    }

    /// The data of `service`, as they come.
    pub(super) async fn export(&self, service: &ServiceName) -> Result<ExportBody, CliError> {
        let silent = |_| CliError::Silent { admin: self.admin.to_string(), seconds: READ.as_secs() };
        let path = format!("/v1/services/{service}/data");
        let (status, body) = timeout(READ, self.exchange(Method::GET, &path, None, None)).await.map_err(silent)??;
        if status.is_success() {
            return Ok(ExportBody { body, admin: self.admin.to_string() });
        }
        let body = Limited::new(body, LONGEST).collect().await.map_err(|error| self.strange(error))?;
        Err(self.refused(status, &body.to_bytes()))
    }

    /// Opens the stream of events at `path`, after the event with the id `last`.
    pub(super) async fn stream(&self, path: &str, last: Option<&str>) -> Result<EventStream, CliError> {
        let silent = |_| CliError::Silent { admin: self.admin.to_string(), seconds: READ.as_secs() };
        let exchange = timeout(READ, self.exchange(Method::GET, path, None, last));
        let (status, body) = exchange.await.map_err(silent)??;
        if status.is_success() {
            return Ok(EventStream { body, parser: EventParser::default() });
        }
        let body = Limited::new(body, LONGEST).collect().await.map_err(|error| self.strange(error))?;
        Err(self.refused(status, &body.to_bytes()))
    }

    /// Sends a request, and waits for the head of its answer.
    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, UploadBody)>,
        last: Option<&str>,
    ) -> Result<(StatusCode, Incoming), CliError> {
        let mut request = Request::builder().method(method).uri(self.admin.resource(path));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if let Some((media_type, _)) = &body {
            request = request.header(CONTENT_TYPE, *media_type);
        }
        let body = body.map_or_else(|| whole(Bytes::new()), |(_, body)| body);
        let request = request.body(body).map_err(|error| self.strange(error))?;
        let response = self.http.request(request).await.map_err(|error| self.unreachable(&error))?;
        let (head, body) = response.into_parts();
        Ok((head.status, body))
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> CliError {
        match serde_json::from_slice::<ProblemView>(body) {
            // The gateway uses this type for a path without a route; the admin uses another one.
            Ok(problem) if problem.kind.ends_with(":no-route") => self.strange("it has no such resource"),
            Ok(ProblemView { kind, detail, request_id, .. }) => CliError::Refused { status, kind, detail, request_id },
            Err(_) => self.strange(format!("it answers {status}")),
        }
    }

    fn unreachable(&self, error: &dyn Error) -> CliError {
        // The outermost error only says "client error"; the innermost one says what happened.
        let mut cause = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        CliError::Unreachable { admin: self.admin.to_string(), reason: cause.to_string() }
    }

    fn strange(&self, reason: impl ToString) -> CliError {
        CliError::Strange { admin: self.admin.to_string(), reason: reason.to_string() }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.admin.fmt(f)
    }
}

/// A stream of events that the admin sends.
pub(super) struct EventStream {
    body: Incoming,
    parser: EventParser,
}

impl EventStream {
    /// The next events; `None` when the stream has ended or broken off.
    pub(super) async fn next(&mut self) -> Option<Vec<StreamEvent>> {
        loop {
            let frame = self.body.frame().await?.ok()?;
            let Ok(data) = frame.into_data() else { continue };
            return self.parser.push(&data);
        }
    }
}

fn whole(bytes: Bytes) -> UploadBody {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// The bytes of a file, read as they are sent. `-` is standard input.
fn file_body(path: &Path) -> io::Result<UploadBody> {
    let file = std::fs::File::open(if path == "-" { Path::new("/dev/stdin") } else { path })?;
    if file.metadata()?.is_dir() {
        // A folder can be opened, and fails at the first read: in the middle of what the host gets.
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let pieces = try_unfold(file, async |mut file: std::fs::File| {
        let read = spawn_blocking(move || {
            let mut piece = vec![0; PIECE];
            let length = file.read(&mut piece)?;
            piece.truncate(length);
            Ok::<_, io::Error>((piece, file))
        });
        let (piece, file) = read.await.map_err(io::Error::other)??;
        Ok((!piece.is_empty()).then(|| (Frame::data(Bytes::from(piece)), file)))
    });
    Ok(StreamBody::new(pieces).boxed_unsync())
}

/// The component's bytes, of a bounded number: the path may be a device or a pipe.
fn read_component(path: &Path) -> Result<Bytes, CliError> {
    let mut component = Vec::new();
    let read =
        std::fs::File::open(path).and_then(|file| file.take(MAX_COMPONENT as u64 + 1).read_to_end(&mut component));
    read.map_err(|source| CliError::File { path: path.into(), source })?;
    if component.len() > MAX_COMPONENT {
        return Err(CliError::TooLarge { path: path.into(), max: MAX_COMPONENT / 1024 / 1024 });
    }
    Ok(component.into())
}

/// A text as a part of a path or as a value of a query: all but the unreserved characters of RFC 3986, section 2.3, in
/// percent encoding.
pub(super) fn percent_encoded(text: &str) -> String {
    let unreserved = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let one = |byte: u8| if unreserved(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}
