//! Starts the real binary with its own manifest and its own state, and speaks HTTP to it.

use super::components::{component, workspace};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinHandle;

/// How long a test waits for an event that must happen, even on a busy machine, before the test fails.
pub const TIMEOUT: Duration = Duration::from_secs(60);
/// How many of the last lines of a host's log a failed test prints.
const LAST_LINES: usize = 100;

/// A temporary folder with a manifest. The host also writes its state and its cache there.
pub struct Home {
    pub folder: TempDir,
}

/// Lets this process have as many files as it may: its tests run side by side, and some have both ends of hundreds of
/// connections, while 1,024 files are usual.
fn raise_file_limit() {
    static RAISED: Once = Once::new();
    RAISED.call_once(|| {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    });
}

impl Home {
    /// A folder whose manifest is `manifest`. `{component:NAME}` in the text becomes the path of that component.
    pub fn new(manifest: &str) -> Self {
        raise_file_limit();
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let home = Self { folder };
        home.write(manifest);
        home
    }

    /// Replaces the manifest.
    pub fn write(&self, manifest: &str) {
        let mut text = String::new();
        let mut rest = manifest;
        while let Some((before, after)) = rest.split_once("{component:") {
            let (name, after) = after.split_once('}').expect("every `{component:` in a manifest has a closing brace");
            text += before;
            text += &component(name).display().to_string();
            rest = after;
        }
        fs::write(self.manifest(), text + rest).unwrap();
    }

    /// The manifest's path.
    pub fn manifest(&self) -> PathBuf {
        self.folder.path().join("atoll.toml")
    }

    /// A command that runs the binary in this folder. `ATOLL_TEST_BINARY`: another one, as of a release build.
    pub fn command(&self, arguments: &[&str]) -> Command {
        #[expect(clippy::disallowed_methods, reason = "whoever runs the tests says which binary is tested")]
        let other = std::env::var_os("ATOLL_TEST_BINARY");
        let mut command = Command::new(other.unwrap_or_else(|| env!("CARGO_BIN_EXE_atoll").into()));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("ATOLL_ADMIN")
            .env_remove("ATOLL_ADMIN_TOKEN")
            .env_remove("ATOLL_ADMIN_CA")
            .env_remove("ATOLL_STATE_PATH")
            .env_remove("ATOLL_LOG")
            .env("ATOLL_GATEWAY_LISTEN", "127.0.0.1:0")
            .env("ATOLL_ADMIN_LISTEN", "127.0.0.1:0")
            .env("ATOLL_TLS_LISTEN", "127.0.0.1:0")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs a verb to its end.
    pub async fn output(&self, arguments: &[&str]) -> Output {
        ended(&mut self.command(arguments)).await
    }

    /// Starts the host and waits until it prints the addresses on which it listens.
    pub async fn start(&self) -> Atoll {
        self.start_with(&[]).await
    }

    /// Starts the host with more variables in its environment.
    pub async fn start_with(&self, variables: &[(&str, &str)]) -> Atoll {
        self.link_cache();
        let mut command = self.command(&["run", "atoll.toml", "--log-format", "json"]);
        command.envs(variables.iter().copied());
        Atoll::spawn(command).await
    }

    /// Starts a host that may be killed before it listens; `None`: it was, by SIGKILL.
    pub async fn start_or_kill(&self, variables: &[(&str, &str)]) -> Option<Atoll> {
        self.link_cache();
        let mut command = self.command(&["run", "atoll.toml", "--log-format", "json"]);
        command.envs(variables.iter().copied());
        match Atoll::try_spawn(command).await {
            Ok(atoll) => Some(atoll),
            Err((Some(status), _)) if status.signal() == Some(9) => None,
            Err((status, log)) => panic!("the host was not killed ({status:?}), and did not start:\n{log}"),
        }
    }

    /// Starts the host with more arguments.
    pub async fn start_with_arguments(&self, arguments: &[&str]) -> Atoll {
        self.link_cache();
        Atoll::spawn(self.command(&[&["run", "atoll.toml", "--log-format", "json"], arguments].concat())).await
    }

    /// Starts the host with the format of the log that the manifest names.
    pub async fn start_by_manifest(&self) -> Atoll {
        self.link_cache();
        Atoll::spawn(self.command(&["run", "atoll.toml"])).await
    }

    /// Starts the host so that a write beyond the largest size of a file is an error, and does not end it.
    pub async fn start_without_file_size_signal(&self) -> Atoll {
        self.start_through(&["sh", "-c", r#"trap "" XFSZ; exec "$0" "$@""#], &[]).await
    }

    /// Starts the host by another program, which becomes what it is told to run, with more variables.
    pub async fn start_through(&self, program: &[impl AsRef<OsStr>], variables: &[(&str, &str)]) -> Atoll {
        let [first, arguments @ ..] = program else { return self.start_with(variables).await };
        self.link_cache();
        let host = self.command(&["run", "atoll.toml", "--log-format", "json"]);
        let mut command = Command::new(first);
        command.args(arguments).arg(host.as_std().get_program()).args(host.as_std().get_args());
        command.current_dir(self.folder.path()).kill_on_drop(true).stdin(Stdio::null());
        for (name, value) in host.as_std().get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.envs(variables.iter().copied());
        Atoll::spawn(command).await
    }

    /// Starts the host with a log that nobody reads before [`Atoll::read_log`].
    pub async fn start_unread(&self) -> Atoll {
        self.link_cache();
        Atoll::spawn_unread(self.command(&["run", "atoll.toml", "--log-format", "json"])).await
    }

    /// Makes this folder use the cache of compiled code that all tests share. Compiling is what takes the time.
    pub fn link_cache(&self) {
        let shared = workspace().join("target/test-cache");
        fs::create_dir_all(&shared).unwrap();
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o700)).unwrap();
        let text = fs::read_to_string(self.manifest()).unwrap();
        if !text.contains("[runtime]") {
            fs::write(self.manifest(), format!("{text}\n[runtime]\ncache = {:?}\n", shared.display().to_string()))
                .unwrap();
        }
    }
}

/// Runs a command that ends by itself. A host that starts all the same must not hold up the suite.
pub async fn ended(command: &mut Command) -> Output {
    tokio::time::timeout(TIMEOUT, command.output()).await.expect("it ends by itself").unwrap()
}

/// A running host.
pub struct Atoll {
    child: Child,
    pub gateway: String,
    pub admin: String,
    /// The gateway's address by TLS, with its scheme; empty without TLS.
    pub secure: String,
    /// The address of its name server, if it has one.
    pub dns: Option<String>,
    log: Arc<Mutex<Vec<String>>>,
    /// The host's standard error, while nobody reads it.
    unread: Option<ChildStderr>,
    /// The task that copies the host's standard error into `log`.
    reader: Option<JoinHandle<()>>,
}

impl Atoll {
    async fn spawn(command: Command) -> Self {
        Self::try_spawn(command).await.unwrap_or_else(|(_, log)| panic!("the host did not start:\n{log}"))
    }

    /// Starts the host; how it has ended and its log, if it does not listen.
    async fn try_spawn(mut command: Command) -> Result<Self, (Option<ExitStatus>, String)> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (log, errors) = (Arc::default(), child.stderr.take().unwrap());
        let reader = read_lines(errors, Arc::clone(&log));
        Self::listening(child, log, None, Some(reader)).await
    }

    async fn spawn_unread(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let unread = child.stderr.take();
        Self::listening(child, Arc::default(), unread, None).await.expect("the host starts")
    }

    /// Waits until the host prints the addresses on which it listens. If it does not: how it has ended, `None` if it
    /// runs on, and its log.
    async fn listening(
        mut child: Child,
        log: Arc<Mutex<Vec<String>>>,
        unread: Option<ChildStderr>,
        reader: Option<JoinHandle<()>>,
    ) -> Result<Self, (Option<ExitStatus>, String)> {
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (mut found, mut secure, mut dns) = (HashMap::new(), String::new(), None);
        let started = Instant::now();
        while found.len() < 2 {
            let line = tokio::time::timeout(TIMEOUT.saturating_sub(started.elapsed()), lines.next_line()).await;
            let Ok(Ok(Some(line))) = line else {
                let left = TIMEOUT.saturating_sub(started.elapsed());
                let status = tokio::time::timeout(left, child.wait()).await.ok().and_then(Result::ok);
                return Err((status, log.lock().unwrap().join("\n")));
            };
            match line.split_once(" listening on ") {
                Some(("gateway", address)) if address.starts_with("https:") => secure = address.to_owned(),
                Some(("dns", address)) => dns = Some(address.to_owned()),
                Some((edge, address)) => _ = found.insert(edge.to_owned(), address.to_owned()),
                None => {}
            }
        }
        let [gateway, admin] = ["gateway", "admin"].map(|edge| found[edge].clone());
        Ok(Self { child, gateway, admin, secure, dns, log, unread, reader })
    }

    /// Begins to read the log of a host that was started by [`Home::start_unread`].
    pub fn read_log(&mut self) {
        let unread = self.unread.take().expect("nobody reads the log yet");
        self.reader = Some(read_lines(unread, Arc::clone(&self.log)));
    }

    /// The process id of the host.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id().expect("the host runs")).unwrap()
    }

    /// Sends a signal to the host.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.pid()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Sets the largest size of a file that the host may write, in bytes; `None`: any size. Beyond it, a write fails as
    /// on a full disk.
    pub fn limit_file_size(&self, bytes: Option<u64>) {
        let pid = rustix::process::Pid::from_raw(self.pid());
        let limit = rustix::process::Rlimit { current: bytes, maximum: None };
        rustix::process::prlimit(pid, rustix::process::Resource::Fsize, limit).unwrap();
    }

    /// Waits until the host has ended.
    pub async fn wait(&mut self) -> ExitStatus {
        tokio::time::timeout(TIMEOUT, self.child.wait()).await.expect("the host did not end in time").unwrap()
    }

    /// Ends the host by `kill -9`, without a drain.
    pub async fn kill(mut self) {
        self.child.start_kill().unwrap();
        self.wait().await;
    }

    /// Ends the host by SIGTERM, as an operator does. Returns the whole log, so that a test can assert that something
    /// was never logged.
    pub async fn stop(mut self) -> Vec<String> {
        self.signal(rustix::process::Signal::TERM);
        let status = self.wait().await;
        assert_eq!(status.code(), Some(0), "{status}");
        let reader = self.reader.take().expect("somebody reads the log");
        tokio::time::timeout(TIMEOUT, reader).await.expect("the log did not end with the host").unwrap();
        self.log.lock().unwrap().clone()
    }

    /// Waits for a line of the log that contains `text`. The log comes through a pipe, so a line can arrive a little
    /// later than the answer that belongs to it.
    pub async fn logged(&self, text: &str) -> String {
        eventually(text, async || self.log().into_iter().find(|line| line.contains(text))).await
    }

    /// The lines of the log so far. A poisoned lock is accepted, so that this also works while a test panics.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Resident memory in KiB.
    pub fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

/// Copies the lines of `errors` into `log`.
fn read_lines(errors: ChildStderr, log: Arc<Mutex<Vec<String>>>) -> JoinHandle<()> {
    let mut errors = BufReader::new(errors).lines();
    tokio::spawn(async move {
        while let Ok(Some(line)) = errors.next_line().await {
            log.lock().unwrap().push(line);
        }
    })
}

impl Drop for Atoll {
    /// A test that fails prints the last lines of its host's log.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            for line in &log[log.len().saturating_sub(LAST_LINES)..] {
                eprintln!("  log: {line}");
            }
        }
    }
}

/// An HTTP answer with its whole body.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The problem document (RFC 9457) of an error answer. Asserts that every member is there and agrees with the
    /// status and the headers.
    pub fn problem(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        for member in ["type", "title", "detail", "request_id"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member} is missing: {self:?}");
        }
        assert_eq!(problem["status"], self.status.as_u16(), "{self:?}");
        assert_eq!(problem["request_id"], self.header("x-request-id"), "{self:?}");
        problem
    }
}

/// An HTTP client with pooled connections.
#[derive(Clone)]
pub struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
    /// What each request says of who sends it.
    authorization: Option<HeaderValue>,
}

impl Default for Http {
    fn default() -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http(), authorization: None }
    }
}

impl Http {
    /// One that shows this token.
    pub fn with_token(token: &str) -> Self {
        Self { authorization: Some(format!("Bearer {token}").parse().unwrap()), ..Self::default() }
    }

    /// Sends a request. An error means that the connection failed or that the body broke off.
    pub async fn try_send(&self, mut request: http::Request<Full<Bytes>>) -> Result<Answer, String> {
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        let sent = tokio::time::timeout(TIMEOUT, self.client.request(request))
            .await
            .map_err(|_| format!("no answer within {TIMEOUT:?}"))?;
        let (head, body) = sent.map_err(|error| format!("{error:?}"))?.into_parts();
        let body = body.collect().await.map_err(|error| format!("the body broke off: {error}"))?.to_bytes();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    /// Sends a GET request to `url`.
    pub async fn get(&self, url: &str) -> Answer {
        self.try_send(http::Request::get(url).body(Full::default()).unwrap()).await.unwrap()
    }

    /// Opens the stream of events at `url`, after the event with this id.
    pub async fn events(&self, url: &str, after: Option<u64>) -> Events {
        let mut request = http::Request::get(url);
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        let answer = self.client.request(request.body(Full::default()).unwrap()).await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Events { body: answer.into_body(), text: String::new() }
    }

    /// Sends a request with this body.
    pub async fn send(&self, request: http::request::Builder, body: impl Into<Bytes>) -> Answer {
        self.try_send(request.body(Full::from(body.into())).unwrap()).await.unwrap()
    }

    /// Sends `body` as JSON.
    pub async fn json(&self, method: Method, url: &str, body: &Value) -> Answer {
        self.try_json(method, url, body).await.unwrap()
    }

    /// As [`Http::json`], to a server that may be gone.
    pub async fn try_json(&self, method: Method, url: &str, body: &Value) -> Result<Answer, String> {
        let request = http::Request::builder().method(method).uri(url).header("content-type", "application/json");
        self.try_send(request.body(Full::from(body.to_string())).unwrap()).await
    }
}

/// A stream of events, with one line of data each.
pub struct Events {
    body: hyper::body::Incoming,
    text: String,
}

impl Events {
    /// The next event: its type, its id, its data.
    pub async fn next(&mut self) -> (String, Option<String>, Value) {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let value = event.lines().find_map(|line| line.strip_prefix(name));
                    value.map(|value| value.trim_start().to_owned())
                };
                let found = field("event:").map(|kind| (kind, field("id:"), field("data:").unwrap()));
                self.text = rest.to_owned();
                if let Some((kind, id, data)) = found {
                    return (kind, id, serde_json::from_str(&data).unwrap());
                }
                continue;
            }
            let frame = tokio::time::timeout(TIMEOUT, self.body.frame()).await.expect("an event comes");
            let frame = frame.expect("the stream goes on").unwrap();
            self.text += std::str::from_utf8(frame.data_ref().unwrap()).unwrap();
        }
    }
}

/// Calls `poll` again and again until it returns a value. Fails after [`TIMEOUT`]; `what` names the awaited event in
/// the failure message.
pub async fn eventually<T>(what: &str, mut poll: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = poll().await {
            return found;
        }
        assert!(started.elapsed() < TIMEOUT, "this did not happen within {TIMEOUT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Writes another revision of the fixture `hello` into `folder`: the same component, with another name in the bytes
/// that hold its revision's name.
pub fn hello_revision(name: &[u8; 16], folder: &Path) -> PathBuf {
    let mut bytes = fs::read(component("fixture-hello")).unwrap();
    let original = b"revision-000-aaa";
    let positions: Vec<_> =
        bytes.windows(16).enumerate().filter(|(_, window)| window == original).map(|(at, _)| at).collect();
    assert_eq!(positions.len(), 1, "the revision's name must occur exactly once in the component's bytes");
    bytes[positions[0]..positions[0] + 16].copy_from_slice(name);
    let path = folder.join(format!("hello-{}.wasm", String::from_utf8_lossy(name)));
    fs::write(&path, bytes).unwrap();
    path
}
