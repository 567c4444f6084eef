//! The command line, and the verbs against an admin on a loopback socket.

use super::address::AdminAddress;
use super::command::{Command, Remote, Verb};
use super::failure::CliError;
use super::log_format_arg::LogFormatArg;
use super::verb::{admin, request};
use crate::admin::fake::Fake;
use crate::admin::{Admin, BreakerView, FaultView, MAX_COMPONENT, OutsideView, ServiceView, Settings, Token};
use crate::app::{AdminSource, KnownAdmin};
use crate::base::ServiceName;
use crate::listen::{self, Drain, Listener};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use http::StatusCode;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tempfile::NamedTempFile;
use tokio::net::TcpSocket;

fn parse(line: &str) -> Result<Command, clap::Error> {
    Command::try_parse_from(line.split_whitespace())
}

#[test]
fn the_command_line_is_consistent() {
    Command::command().debug_assert();
}

#[test]
fn the_flag_overrides_the_variable_the_variable_the_manifest_and_the_manifest_the_default() {
    let at = |port| KnownAdmin {
        address: SocketAddr::from(([127, 0, 0, 1], port)),
        secure: false,
        source: AdminSource::Manifest("atoll.toml".into()),
    };
    let known =
        |variable: Option<&str>| admin(None, variable.map(str::to_owned), || Some(at(6))).map(|a| a.to_string());
    assert!(known(None).is_ok_and(|admin| admin == "http://127.0.0.1:6"));
    assert!(known(Some("localhost:7")).is_ok_and(|admin| admin == "http://localhost:7"));
    let found = |flag: Option<&str>, variable: Option<&str>| {
        let flag = flag.map(|text| text.parse().expect("an address"));
        admin(flag, variable.map(str::to_owned), || None)
            .map(|admin| admin.to_string())
            .map_err(|failure| format!("{:#}", anyhow::Error::from(failure)))
    };
    assert_eq!(found(None, None), Ok("http://127.0.0.1:9090".to_owned()));
    assert_eq!(found(None, Some("")), Ok("http://127.0.0.1:9090".to_owned()));
    assert_eq!(found(None, Some("localhost:7")), Ok("http://localhost:7".to_owned()));
    assert_eq!(found(Some("localhost:8"), Some("ftp://wrong")), Ok("http://localhost:8".to_owned()));
    let wrong = found(None, Some("ftp://wrong")).expect_err("no other scheme is supported");
    assert!(
        wrong.starts_with("ATOLL_ADMIN is not the address of an admin: only http and https are supported"),
        "{wrong}"
    );
}

#[test]
fn run_and_check_take_the_path_of_a_manifest() {
    for (line, path, format) in [
        ("atoll run", "atoll.toml", None),
        ("atoll run a/b.toml --log-format json", "a/b.toml", Some(LogFormatArg::Json)),
    ] {
        let Verb::Run { manifest, log_format, .. } = parse(line).expect(line).verb else { panic!("{line}") };
        assert_eq!((manifest.path.as_path(), log_format), (Path::new(path), format));
    }
    assert!(matches!(parse("atoll check").expect("right").verb, Verb::Check { .. }));
}

#[test]
fn inspect_takes_a_file_and_optionally_a_service_of_a_manifest() {
    let inspected = |line: &str| {
        let Verb::Inspect { file, against, manifest } = parse(line).expect(line).verb else { panic!("{line}") };
        (file, against.map(|name| name.to_string()), manifest)
    };
    assert_eq!(inspected("atoll inspect a.wasm"), ("a.wasm".into(), None, None));
    let users = Some("users".to_owned());
    assert_eq!(inspected("atoll inspect a.wasm --against users"), ("a.wasm".into(), users.clone(), None));
    assert_eq!(
        inspected("atoll inspect --against users --manifest b/c.toml a.wasm"),
        ("a.wasm".into(), users, Some("b/c.toml".into()))
    );
}

#[test]
fn the_admin_flag_is_accepted_before_and_after_the_verb() {
    for line in ["atoll --admin localhost:7 ps --json", "atoll ps --json --admin http://localhost:7/"] {
        let command = parse(line).expect(line);
        assert_eq!(command.admin.map(|admin| admin.to_string()).as_deref(), Some("http://localhost:7"));
        assert!(matches!(command.verb, Verb::Remote(Remote::Ps { output, all: false }) if output.is_json()));
    }
}

#[test]
fn a_wrong_command_line_has_exit_code_2_and_says_why() {
    for line in [
        "atoll",
        "atoll start",
        "atoll swap users",
        "atoll inspect",
        "atoll inspect a.wasm --against Users",
        "atoll inspect a.wasm --manifest atoll.toml",
        "atoll swap Users new.wasm",
        "atoll rollback",
        "atoll rollback users stable",
        "atoll rollback users abc12",
        "atoll breaker",
        "atoll breaker open",
        "atoll breaker open Users",
        "atoll breaker trip users",
        "atoll fault",
        "atoll fault add",
        "atoll fault add products",
        "atoll fault add products --for 5m",
        "atoll fault add products --latency 200",
        "atoll fault add products --latency 1.5s",
        "atoll fault add products --latency-share 30%",
        "atoll fault add products --latency 1s --latency-share 30",
        "atoll fault add products --error 10",
        "atoll fault add products --trap 101%",
        "atoll fault add products --error 1% --for forever",
        "atoll fault clear --id one",
        "atoll run --log-format xml",
        "atoll ps --admin ftp://example.org",
    ] {
        let error = parse(line).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
    }
    let name = parse("atoll swap Users new.wasm").expect_err("a capital letter").to_string();
    assert!(name.contains("is no service name"), "{name}");
    let digest = parse("atoll rollback users my-revision").expect_err("no digest").to_string();
    assert!(digest.contains("'my-revision'") && digest.contains("`atoll history SERVICE`"), "{digest}");
    let share = parse("atoll fault add users --error 10").expect_err("no percentage").to_string();
    assert!(share.contains("like \"10%\""), "{share}");
    let duration = parse("atoll fault add users --latency 200").expect_err("no unit").to_string();
    assert!(duration.contains("250ms, 5s, 1m or 2h"), "{duration}");
}

#[test]
fn a_revision_is_named_by_the_first_digits_of_its_digest() {
    for (written, digits) in [("3f9a0c", "3f9a0c"), ("3F9A0C51B2D4", "3F9A0C51B2D4"), ("3f9a0c51b2d4…", "3f9a0c51b2d4")]
    {
        let line = format!("atoll rollback users {written}");
        let Verb::Remote(Remote::Rollback { revision, .. }) = parse(&line).expect(&line).verb else { panic!("{line}") };
        assert_eq!(revision.as_deref(), Some(digits));
    }
}

#[test]
fn the_help_lists_the_verbs_examples_environment_and_exit_codes() {
    let error = parse("atoll --help").expect_err("help is no command");
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::DisplayHelp, 0));
    let help = error.to_string();
    for word in [
        "run",
        "check",
        "inspect",
        "ps",
        "swap",
        "rollback",
        "breaker",
        "fault",
        "Examples:",
        "ATOLL_ADMIN_TOKEN",
        "Exit codes:",
        "--admin <URL>",
    ] {
        assert!(help.contains(word), "{word} is missing in:\n{help}");
    }
}

/// An admin before a fake host; it serves until it is dropped.
struct Host {
    fake: Arc<Fake>,
    address: AdminAddress,
    drain: Drain,
}

impl Host {
    async fn start(token: Option<&str>) -> Self {
        let socket = Listener::bind(listen::Settings::default()).await.expect("a free port");
        let address = socket.local_addr().expect("an address");
        let fake = Arc::new(Fake::default());
        let admin = Admin::new(
            Settings { address, token: token.map(Token::new), operators: Vec::new(), secure: false },
            fake.clone(),
        );
        let drain = Drain::new();
        tokio::spawn(socket.serve(move |request, _peer| admin.handle(request), drain.clone()));
        Self { fake, address: address.to_string().parse().expect("an address"), drain }
    }

    async fn send(&self, verb: Remote, token: Option<&str>) -> anyhow::Result<String> {
        request(verb, self.address.clone(), token, None).await
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.drain.start(std::time::Duration::ZERO);
    }
}

fn file(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a file");
    file.write_all(bytes).expect("written");
    file
}

fn swap(file: &Path) -> Remote {
    let path = file.to_str().expect("a path in UTF-8");
    match Command::try_parse_from(["atoll", "swap", "users", path]).expect("a command line").verb {
        Verb::Remote(swap) => swap,
        other => panic!("{other:?}"),
    }
}

fn rollback(name: &str) -> Remote {
    Remote::Rollback { service: ServiceName::new(name).expect("a name"), revision: None }
}

/// The error of a failed verb, and its help.
fn failure(outcome: anyhow::Result<String>) -> (CliError, String) {
    let failure = outcome.expect_err("it fails").downcast::<CliError>().expect("a failure of ours");
    let help = failure.help().unwrap_or_default();
    (failure, help)
}

#[tokio::test]
async fn ps_routes_swap_and_rollback_reach_the_admin() {
    let host = Host::start(None).await;
    let table = host.send(remote("atoll ps"), None).await.expect("a table");
    assert!(table.contains("aaaaaaaaaaaa*"), "{table}");
    let json = host.send(remote("atoll ps --json"), None).await.expect("JSON");
    assert_eq!(serde_json::from_str::<Vec<ServiceView>>(&json).expect("services").len(), 2);
    let routes = host.send(remote("atoll routes"), None).await.expect("a table");
    assert!(routes.contains("/legacy/{id}"), "{routes}");

    // Larger than the buffers of a socket, so that it is streamed.
    let mut component = b"\0asm".to_vec();
    component.resize(3 * 1024 * 1024, 7);
    let printed = host.send(swap(file(&component).path()), None).await.expect("swapped");
    assert_eq!(printed, "users: cccccccccccc serves; `atoll rollback users` returns to aaaaaaaaaaaa");
    assert!(host.fake.swapped.lock().expect("free").iter().eq([&component]));
    assert_eq!(host.send(rollback("users"), None).await.expect("rolled back"), "users: bbbbbbbbbbbb serves");
}

/// The verb in `line`, for a running host.
fn remote(line: &str) -> Remote {
    let Verb::Remote(remote) = parse(line).expect(line).verb else { panic!("{line}") };
    remote
}

#[tokio::test]
async fn the_breaker_verbs_open_close_and_reset_circuits() {
    let host = Host::start(None).await;
    let opened = host.send(remote("atoll breaker open users users-1"), None).await.expect("opened");
    assert!(opened.contains("open (forced)") && opened.contains("closed  "), "{opened}");
    assert!(!opened.contains("legacy"), "{opened}");
    let closed = host.send(remote("atoll breaker close users"), None).await.expect("closed");
    assert_eq!(closed.matches("closed (forced)").count(), 2, "{closed}");
    let reset = host.send(remote("atoll breaker reset users"), None).await.expect("reset");
    assert!(!reset.contains("forced"), "{reset}");
    let (unknown, help) = failure(host.send(remote("atoll breaker open users users-7"), None).await);
    assert_eq!(unknown.to_string(), "`users` has no such endpoint");
    assert!(help.contains("the endpoints of each service"), "{help}");
}

#[tokio::test]
async fn the_fault_verbs_add_list_and_clear_faults() {
    let host = Host::start(None).await;
    let line = "atoll fault add users --latency 200ms --error 10% --trap 1% --for 5m";
    let printed = host.send(remote(line), None).await.expect("added");
    let expected = "users: +200ms, 10% errors, 1% traps on purpose, 5m left; `atoll fault clear users --id 1` ends it";
    assert_eq!(printed, expected);
    let printed = host.send(remote("atoll fault add legacy --trap 0.5%"), None).await.expect("added");
    assert!(printed.starts_with("legacy: 0.5% traps on purpose, until it is cleared; "), "{printed}");
    host.send(remote("atoll fault add users --latency 1s --for 1500ms"), None).await.expect("added");
    assert_eq!(host.fake.faults.lock().expect("free")[2].seconds_left, Some(2), "rounded up");

    let table = host.send(remote("atoll fault list"), None).await.expect("a table");
    assert_eq!(table.lines().count(), 4, "{table}");
    let json = host.send(remote("atoll fault list --json"), None).await.expect("JSON");
    assert_eq!(serde_json::from_str::<Vec<FaultView>>(&json).expect("faults").len(), 3);
    let ps = host.send(remote("atoll ps"), None).await.expect("a table");
    assert!(ps.contains("\n! legacy: 0.5% traps on purpose"), "{ps}");

    let (wrong, help) = failure(host.send(remote("atoll fault clear legacy --id 1"), None).await);
    assert!(matches!(wrong, CliError::Refused { status: StatusCode::NOT_FOUND, .. }), "{wrong}");
    assert!(help.contains("atoll fault list"), "{help}");
    for (line, printed) in [
        ("atoll fault clear users --id 1", "1 fault cleared"),
        ("atoll fault clear --id 3", "1 fault cleared"),
        ("atoll fault clear users", "there was no fault"),
        ("atoll fault clear", "1 fault cleared"),
    ] {
        assert_eq!(host.send(remote(line), None).await.expect(line), printed, "{line}");
    }
    let refused = host.send(remote("atoll fault add users --latency 2h"), None).await;
    assert!(failure(refused).0.to_string().contains("`latency_ms` is a whole number"));
}

#[tokio::test]
async fn ps_shows_outside_hosts_below_the_services() {
    let host = Host::start(None).await;
    let without = host.send(remote("atoll ps"), None).await.expect("a table");
    assert!(!without.contains("OUTSIDE"), "{without}");
    let (service, name) = ("users".to_owned(), "https://api.example.com".to_owned());
    let one = OutsideView { service, host: name, breaker: BreakerView::Open, requests: 5, failures: 2, in_flight: 1 };
    host.fake.outside.lock().expect("free").push(one);
    let with = host.send(remote("atoll ps"), None).await.expect("a table");
    let below = with.strip_prefix(&without).expect("the same above");
    assert!(below.starts_with("\nSERVICE  OUTSIDE") && below.contains("https://api.example.com  open"), "{below}");
}

#[tokio::test]
async fn a_refusal_has_the_admins_reason_and_help() {
    let host = Host::start(None).await;
    let (broken, help) = failure(host.send(swap(file(b"text").path()), None).await);
    assert_eq!(broken.to_string(), "not a component: the magic number is missing");
    assert!(help.contains("nothing was changed"), "{help}");
    let (nothing, _) = failure(host.send(rollback("legacy"), None).await);
    assert!(matches!(nothing, CliError::Refused { status: StatusCode::CONFLICT, .. }), "{nothing}");
    let (unknown, help) = failure(host.send(rollback("nobody"), None).await);
    assert_eq!(unknown.to_string(), "there is no service `nobody`");
    assert!(help.contains("atoll ps"), "{help}");
    // What was typed comes back as it was, whatever is in it.
    let (unknown, help) = failure(host.send(remote("atoll key revoke my-key/../é?"), None).await);
    assert_eq!(unknown.to_string(), "there is no key `my-key/../é?`");
    assert!(help.contains("atoll key list"), "{help}");
    let (missing, _) = failure(host.send(swap(Path::new("no/such/file.wasm")), None).await);
    let missing = format!("{:#}", anyhow::Error::from(missing));
    assert!(missing.starts_with("cannot read no/such/file.wasm: "), "{missing}");
}

#[tokio::test]
async fn a_component_that_is_too_large_is_not_uploaded() {
    let host = Host::start(None).await;
    let sparse = file(b"\0asm");
    sparse.as_file().set_len(MAX_COMPONENT as u64 + 1).expect("a sparse file");
    let (failure, _) = failure(host.send(swap(sparse.path()), None).await);
    assert!(matches!(failure, CliError::TooLarge { max: 128, .. }), "{failure}");
}

#[tokio::test]
async fn the_token_is_sent_and_never_printed() {
    let host = Host::start(Some("s3cret")).await;
    assert!(host.send(remote("atoll ps"), Some("s3cret")).await.is_ok());
    for wrong in [None, Some(""), Some("wr0ng")] {
        let (failure, help) = failure(host.send(remote("atoll ps"), wrong).await);
        assert!(matches!(failure, CliError::Refused { status: StatusCode::UNAUTHORIZED, .. }), "{failure}");
        assert!(help.contains("ATOLL_ADMIN_TOKEN"), "{help}");
        assert!(!format!("{failure:?}{failure}").contains("wr0ng"));
    }
    let (unsendable, _) = failure(host.send(remote("atoll ps"), Some("a\nb")).await);
    assert!(matches!(unsendable, CliError::Token));
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_is_an_error_with_help() {
    // Bound, so that nobody else gets the port, but not listening.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
    let address = socket.local_addr().expect("an address");
    let admin: AdminAddress = address.to_string().parse().expect("an address");
    let (unreachable, help) = failure(request(remote("atoll ps"), admin, None, None).await);
    assert!(matches!(unreachable, CliError::Unreachable { .. }), "{unreachable}");
    assert!(help.contains("is the host running?"), "{help}");
}

#[tokio::test]
async fn an_answer_that_is_not_an_admins_is_an_error() {
    let socket = Listener::bind(listen::Settings::default()).await.expect("a free port");
    let address = socket.local_addr().expect("an address");
    let drain = Drain::new();
    let hello = |_request, _peer| async { http::Response::new(crate::base::full_body("hello")) };
    tokio::spawn(socket.serve(hello, drain.clone()));
    let admin: AdminAddress = address.to_string().parse().expect("an address");
    let (strange, _) = failure(request(remote("atoll ps -o json"), admin, None, None).await);
    assert!(matches!(strange, CliError::Strange { .. }), "{strange}");
    drain.start(std::time::Duration::ZERO);
}
