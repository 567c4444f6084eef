//! What an operator sees when something is wrong: `why`, `traps`, `changes`, `logs` and `ps` of the real binary,
//! against planted faults. For each fault one command leads to the service, the revision and the cause.

use super::atoll::{Answer, Atoll, Home, Http, eventually};
use super::components::component;
use super::plain_server::{Behaviour, DeadAddress, PlainServer};
use http::Method;
use serde_json::Value;
use std::process::{Output, Stdio};
use tokio::io::{AsyncBufReadExt, BufReader};

/// A host with services that are made to fail, and the command line beside it.
struct Ward {
    atoll: Atoll,
    home: Home,
    http: Http,
    /// Nobody listens here.
    _dead: DeadAddress,
    silent: PlainServer,
    sick: PlainServer,
}

/// Each service has a fault of its own, and no circuit opens before the test has looked, unless the fault is to open
/// it.
fn manifest(dead: &str, silent: &str, sick: &str) -> String {
    let mut text = String::from("[telemetry.logs]\nkeep = \"1MiB\"\naccess = \"full\"\n");
    for (name, rest) in [
        ("traps", ""),
        ("eats", "limits = { memory = \"16MiB\" }\n"),
        ("loops", "limits = { timeout = \"200ms\" }\n"),
        ("full", "limits = { concurrency = 1, waiting = 0 }\n"),
        ("hasty", ""),
        ("closed", "requires = [\"never:granted\"]\n"),
        ("held", ""),
        ("faulty", ""),
        ("asks", "calls = [\"dead\"]\n"),
        ("printing", ""),
    ] {
        text += &format!(
            "[service.{name}]\ncomponent = \"{{component:fixture-hostile}}\"\n\
             breaker = {{ failure_threshold = 1_000 }}\nretry = {{ tries = 0 }}\n{rest}"
        );
    }
    for (name, address, rest) in [
        ("dead", dead, "breaker = { failure_threshold = 2 }\n"),
        ("silent", silent, "limits = { timeout = \"200ms\" }\nbreaker = { failure_threshold = 1_000 }\n"),
        ("sick", sick, "health = { path = \"/healthz\", interval = \"100ms\", timeout = \"100ms\", down = 1 }\n"),
    ] {
        text += &format!("[service.{name}]\nurls = [\"http://{address}\"]\nretry = {{ tries = 0 }}\n{rest}");
    }
    let routed =
        ["traps", "eats", "loops", "full", "closed", "held", "faulty", "asks", "printing", "dead", "silent", "sick"];
    for name in routed {
        text += &format!("[[route]]\nprefix = \"/{name}\"\nstrip_prefix = \"/{name}\"\nservice = \"{name}\"\n");
    }
    text + "[[route]]\nprefix = \"/hasty\"\nstrip_prefix = \"/hasty\"\nservice = \"hasty\"\ntimeout = \"100ms\"\n"
}

impl Ward {
    async fn open() -> Self {
        let (dead, silent, sick) =
            (DeadAddress::new(), PlainServer::start("silent").await, PlainServer::start("sick").await);
        silent.behave(Behaviour::Silent);
        let addresses = [dead.address(), silent.address, sick.address].map(|address| address.to_string());
        let home = Home::new(&manifest(&addresses[0], &addresses[1], &addresses[2]));
        let atoll = home.start().await;
        Self { atoll, home, http: Http::default(), _dead: dead, silent, sick }
    }

    async fn get(&self, path: &str) -> Answer {
        self.http.get(&format!("{}{path}", self.atoll.gateway)).await
    }

    async fn output(&self, arguments: &[&str]) -> Output {
        self.home.command(arguments).env("ATOLL_ADMIN", &self.atoll.admin).output().await.unwrap()
    }

    /// What a verb prints.
    async fn run(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments).await;
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Asserts that `atoll why` names this as the first cause of the service, with these words, and that `ps` has the
    /// service's row of the last minute.
    async fn first_cause(&self, service: &str, cause: &str, words: &[&str]) {
        let text = self.run(&["why", service]).await;
        let first = text.split("beside it").next().unwrap();
        assert!(first.contains(&format!("{service}: first cause\n  {cause} in {service}")), "{text}");
        words.iter().for_each(|word| assert!(first.contains(word), "{word} is missing:\n{text}"));
        assert!(first.contains("next: atoll"), "{text}");
        let view: Value = serde_json::from_str(&self.run(&["why", service, "--json"]).await).unwrap();
        assert_eq!((&view["well"], &view["causes"][0]["cause"]), (&false.into(), &cause.into()));
    }
}

#[tokio::test]
async fn each_planted_fault_is_named_by_one_command_with_service_revision_and_cause() {
    let ward = Ward::open().await;
    assert!(ward.run(&["why", "traps"]).await.contains("nothing is wrong"));

    ward.get("/traps/panic").await;
    ward.first_cause("traps", "trap", &["(revision ", "1 of 1 tries", "next: atoll traps traps"]).await;
    ward.get("/eats/eat").await;
    ward.first_cause("eats", "memory-limit", &["(revision ", "next: atoll traps eats"]).await;
    ward.get("/loops/loop").await;
    ward.first_cause("loops", "timeout", &["(revision ", "1 of 1 tries"]).await;
    ward.get("/hasty/sleep?ms=5000").await;
    ward.first_cause("hasty", "deadline-too-short", &["1 by the deadline `route`", "next: atoll routes"]).await;
    ward.get("/closed/ok").await;
    ward.first_cause("closed", "refused-by-policy", &["forbidden 1"]).await;
    ward.get("/silent/x").await;
    ward.first_cause("silent", "timeout", &["1 of 1 tries"]).await;

    // Two of three are refused: the one that is served holds the place.
    let (one, two, three) =
        tokio::join!(ward.get("/full/sleep?ms=500"), ward.get("/full/sleep?ms=500"), ward.get("/full/sleep?ms=500"));
    assert!([one, two, three].iter().any(|answer| answer.status == 503));
    ward.first_cause("full", "overloaded", &["were refused in the last minute"]).await;

    ward.run(&["breaker", "open", "held"]).await;
    ward.first_cause("held", "out-of-service", &["held-0", "next: atoll breaker reset held"]).await;
    ward.run(&["fault", "add", "faulty", "--error", "100%"]).await;
    ward.get("/faulty/ok").await;
    ward.first_cause("faulty", "fault-on-purpose", &["100%", "next: atoll fault clear faulty"]).await;

    // A neighbour that fails: the path leads to it, and the symptom stands below.
    for _ in 0..3 {
        ward.get("/asks/fetch?method=GET&url=http://dead.internal/x").await;
    }
    ward.first_cause("dead", "connect", &["tries of `dead`"]).await;
    let text = ward.run(&["why", "asks"]).await;
    assert!(text.starts_with("asks: first cause\n  connect in asks -> dead\n"), "{text}");
    assert!(text.contains("circuit-open in asks -> dead"), "{text}");

    ward.sick.health(503);
    eventually("the health checks fail", async || {
        ward.run(&["changes", "--kind", "unready"]).await.contains("sick").then_some(())
    })
    .await;
    ward.first_cause("sick", "not-ready", &["1 of 1 endpoints does not pass its health checks"]).await;

    assert_the_whole_host_names_all(&ward).await;
    assert_all_is_shown(&ward).await;
    drop(ward.silent);
}

/// One command that needs no name leads to each of them; what explains others comes first.
async fn assert_the_whole_host_names_all(ward: &Ward) {
    let whole = ward.run(&["why"]).await;
    assert!(whole.lines().next().unwrap().ends_with(" of 13 services do not fare well"), "{whole}");
    assert!(!whole.contains(" in printing"), "nothing is wrong there:\n{whole}");
    for (cause, service) in [
        ("trap", "traps (revision "),
        ("memory-limit", "eats (revision "),
        ("timeout", "loops (revision "),
        ("deadline-too-short", "hasty (revision "),
        ("refused-by-policy", "closed (revision "),
        ("timeout", "silent\n"),
        ("overloaded", "full (revision "),
        ("out-of-service", "held (revision "),
        ("fault-on-purpose", "faulty (revision "),
        ("connect", "dead\n"),
        ("not-ready", "sick\n"),
    ] {
        assert!(whole.contains(&format!("\n  {cause} in {service}")), "{cause} in {service}:\n{whole}");
    }
    // Whatever `asks` suffers itself, it is for what it calls.
    let asks: Vec<_> = whole.lines().filter(|line| line.contains(" in asks")).collect();
    assert!(!asks.is_empty(), "{whole}");
    assert!(asks.iter().all(|line| line.ends_with("for connect in asks -> dead")), "{whole}");
    let (_, changes) = whole.split_once("changes of the last ten minutes").expect("the changes come last");
    assert!(changes.contains(" circuit-ordered held ") && !changes.contains("circuit-opened"), "{whole}");
}

/// What `changes`, the metrics, `ps` and `top` show after all that.
async fn assert_all_is_shown(ward: &Ward) {
    // Each of the changes has an event with its reason, and with the operator who ordered it.
    let changes = ward.run(&["changes"]).await;
    for change in [
        "circuit-ordered held held-0: open (by loopback)",
        "fault-begun faulty: ",
        "circuit-opened dead dead-url-0: too many failures, the last one: connect: ",
        "unready sick sick-url-0: ",
    ] {
        assert!(changes.contains(change), "{change} is missing:\n{changes}");
    }
    let metrics = ward.http.get(&format!("{}/metrics", ward.atoll.admin)).await.body;
    let metrics = String::from_utf8_lossy(&metrics).into_owned();
    for series in [
        r#"atoll_changes_total{service="dead",kind="circuit-opened"} 1"#,
        r#"atoll_failures_by_kind_total{service="traps",endpoint="traps-0",kind="trap"} 1"#,
    ] {
        assert!(metrics.lines().any(|line| line == series), "{series}");
    }

    let ps = ward.run(&["ps"]).await;
    let row = |service: &str| {
        let (_, recent) = ps.split_once("the last minute").expect("the second table");
        recent.lines().find(|line| line.starts_with(&format!("{service} "))).unwrap().to_owned()
    };
    assert!(row("traps").contains("100.0%") && row("traps").contains("trap "), "{ps}");
    assert!(row("held").contains("circuit-ordered "), "{ps}");
    assert!(row("full").split_whitespace().any(|cell| cell == "0/1"), "{ps}");
    // Without a terminal `top` is one picture.
    let top = ward.run(&["top"]).await;
    assert!(top.lines().next().unwrap().contains("open circuits") && top.contains("circuit-opened dead"), "{top}");
}

#[tokio::test]
async fn a_trap_report_has_the_stack_the_message_and_the_shape_of_the_request_without_its_secrets() {
    let ward = Ward::open().await;
    for _ in 0..3 {
        let request = http::Request::post(format!("{}/traps/panic?token=hush-hush", ward.atoll.gateway));
        let request =
            request.header("content-type", "text/plain; charset=utf-8").header("authorization", "Bearer hush-hush");
        assert_eq!(ward.http.try_send(request.body("a body".into()).unwrap()).await.unwrap().status, 502);
    }
    ward.get("/traps/trap").await;
    let text = eventually("the requests have ended", async || {
        let text = ward.run(&["traps", "traps"]).await;
        (text.matches("request: ").count() == 2).then_some(text)
    })
    .await;
    assert!(text.contains(" trap 3 times, last ") && text.contains(" trap once, last "), "{text}");
    assert!(text.contains("panicked at"), "the message of the panic is on standard error:\n{text}");
    assert!(text.contains("fixture_hostile::faults::panic"), "the names are demangled:\n{text}");
    assert!(text.contains("request: POST on route /traps/*, text/plain, 6 bytes"), "{text}");
    let json = ward.run(&["traps", "--json"]).await;
    let reports: Vec<Value> = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (reports.len(), reports[1]["count"].as_u64(), reports[1]["digest"].as_str().unwrap().len()),
        (2, Some(3), 64)
    );
    assert!(!json.contains("hush") && !text.contains("hush"));
    assert!(ward.run(&["traps", "full"]).await.contains("no traps"));
}

#[tokio::test]
async fn the_log_is_read_from_memory_by_service_level_and_request_and_followed() {
    let ward = Ward::open().await;
    let mut follower = ward.home.command(&["logs", "printing", "-f", "--json"]);
    let follower = follower.env("ATOLL_ADMIN", &ward.atoll.admin).stdout(Stdio::piped());
    let mut follower = follower.spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();

    let answer = ward.get("/printing/log?text=ERROR%20the%20cart%20is%20gone,%20password=hunter2").await;
    let id = answer.header("x-request-id").to_owned();
    ward.get("/other").await;
    let line: Value = loop {
        let line = tokio::time::timeout(super::atoll::TIMEOUT, lines.next_line()).await.unwrap().unwrap().unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        if line["target"] == "guest" {
            break line;
        }
    };
    // Its level is the one that it names, its secret is masked, and it has the request's id.
    assert_eq!((&line["level"], &line["service"]), (&"error".into(), &"printing".into()));
    assert_eq!(line["text"], "ERROR the cart is gone, password=***");
    assert_eq!(line["request_id"], id.as_str());
    follower.kill().await.unwrap();

    let errors = ward.run(&["logs", "printing", "--level", "error", "--since", "5m"]).await;
    assert_eq!(errors.lines().count(), 2, "standard output and standard error: {errors}");
    assert!(!errors.contains("access") && !errors.contains("hunter2"), "{errors}");
    let of_request = eventually("the access line", async || {
        let text = ward.run(&["logs", "--trace", &id]).await;
        text.contains(" INFO access printing").then_some(text)
    })
    .await;
    assert!(of_request.contains("route=/printing/*") && of_request.contains("client=127.0.0.1"), "{of_request}");
    assert!(!of_request.contains("/other"), "{of_request}");
    assert!(ward.output(&["logs", "--since", "soon"]).await.status.code() == Some(1));
    assert!(!ward.atoll.log().iter().any(|line| line.contains("hunter2")), "the log is masked too");
}

#[tokio::test]
async fn the_stream_sends_changes_as_they_come_and_goes_on_after_the_last_event() {
    let ward = Ward::open().await;
    ward.run(&["breaker", "open", "held"]).await;
    ward.run(&["breaker", "reset", "held"]).await;
    let all: Vec<Value> = ward
        .run(&["changes", "--service", "held", "--json"])
        .await
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(all.len(), 2, "{all:?}");
    // A page that has seen the first of them.
    let first = all[0]["id"].as_u64().unwrap();
    let mut stream = ward.http.events(&format!("{}/v1/stream", ward.atoll.admin), Some(first)).await;
    let (mut change, mut rates) = (None, None);
    while change.is_none() || rates.is_none() {
        let (kind, id, data) = stream.next().await;
        match kind.as_str() {
            "change" => change = change.or(Some((id, data))),
            "rates" => rates = Some(data),
            other => panic!("{other}"),
        }
    }
    let (id, change) = change.unwrap();
    assert_eq!((id.unwrap(), &change["reason"]), ((first + 1).to_string(), &"reset".into()));
    let services = rates.unwrap().as_array().unwrap().len();
    assert_eq!(services, 13, "the rates of every service, once a second");
}

#[tokio::test]
async fn a_swap_that_breaks_a_service_is_named_as_the_newest_change_beside_the_cause() {
    let home = Home::new(
        "[service.hello]\ncomponent = \"{component:fixture-hello}\"\nbreaker = { failure_threshold = 1_000 }\n\
         [[route]]\nprefix = \"/\"\nservice = \"hello\"\n",
    );
    let atoll = home.start().await;
    let run =
        async |arguments: &[&str]| home.command(arguments).env("ATOLL_ADMIN", &atoll.admin).output().await.unwrap();
    let worse = component("fixture-hostile").display().to_string();
    assert_eq!(run(&["swap", "hello", &worse]).await.status.code(), Some(0));
    assert_eq!(run(&["swap", "hello", "/dev/null"]).await.status.code(), Some(1));
    Http::default().get(&format!("{}/panic", atoll.gateway)).await;
    let text = String::from_utf8(run(&["why", "hello"]).await.stdout).unwrap();
    assert!(
        text.contains("trap in hello") && text.contains("(swapped ") && text.contains("serves in place of"),
        "{text}"
    );
    let changes = String::from_utf8(run(&["changes"]).await.stdout).unwrap();
    assert!(changes.contains("swapped hello: ") && changes.contains("(by loopback)"), "{changes}");
    assert!(changes.contains("swap-refused hello: invalid: "), "{changes}");
}

#[tokio::test]
async fn an_operator_may_do_what_its_role_says_and_changes_bear_its_name() {
    let home = Home::new(
        "[service.hello]\ncomponent = \"{component:fixture-hello}\"\n[audit]\nfile = \"audit.jsonl\"\n\
         [operator.ann]\nrole = \"operate\"\ntoken = { file = \"ann\" }\n\
         [operator.grafana]\ntoken = { file = \"grafana\" }\n",
    );
    for name in ["ann", "grafana"] {
        std::fs::write(home.folder.path().join(name), format!("{name}-0123456789abcdef0123456789")).unwrap();
    }
    let atoll = home.start_with(&[("ATOLL_ADMIN_TOKEN", "root-0123456789abcdef0123456789")]).await;
    let send = async |method: Method, path: &str, token: &str, body: &str| {
        let request = http::Request::builder().method(method).uri(format!("{}{path}", atoll.admin));
        let request = request.header("authorization", format!("Bearer {token}-0123456789abcdef0123456789"));
        let request = request.header("content-type", "application/json").body(body.to_owned().into()).unwrap();
        Http::default().try_send(request).await.unwrap()
    };
    let open = "{\"order\":\"open\"}";
    let breaker = "/v1/services/hello/breaker";
    assert_eq!(send(Method::GET, "/v1/services", "nobody", "").await.status, 401);
    assert_eq!(send(Method::GET, "/v1/services", "grafana", "").await.status, 200);
    let refused = send(Method::POST, breaker, "grafana", open).await;
    assert_eq!(refused.status, 403);
    assert!(refused.problem()["detail"].as_str().unwrap().contains("this needs `operate`"));
    assert_eq!(send(Method::POST, breaker, "ann", open).await.status, 200);
    assert_eq!(send(Method::POST, "/v1/keys", "ann", "{\"name\":\"x\"}").await.status, 403);
    // The token of the environment may do everything: it is refused for want of a policy, not of a role.
    assert_eq!(send(Method::POST, "/v1/keys", "root", "{\"name\":\"x\"}").await.status, 409);
    let changes = send(Method::GET, "/v1/changes", "grafana", "").await.json();
    assert_eq!(changes[0]["by"], "ann");
    let audit = std::fs::read_to_string(home.folder.path().join("audit.jsonl")).unwrap();
    assert!(audit.contains("\"who\":\"ann\"") && !audit.contains("0123456789abcdef0123456789"), "{audit}");
}

#[tokio::test]
async fn the_manifest_chooses_the_format_of_the_log_and_of_the_access_log() {
    for (format, access, expected) in [
        ("json", "short", "\"target\":\"access\""),
        ("pretty", "combined", "127.0.0.1 - - ["),
        ("json", "common", "] \"GET /hello HTTP/1.1\" 200 "),
    ] {
        let home = Home::new(&format!(
            "[telemetry.logs]\nformat = \"{format}\"\naccess = \"{access}\"\n\
             [service.hello]\ncomponent = \"{{component:fixture-hello}}\"\n\
             [[route]]\nprefix = \"/hello\"\nservice = \"hello\"\n"
        ));
        let atoll = home.start_by_manifest().await;
        Http::default().get(&format!("{}/hello?token=hush", atoll.gateway)).await;
        atoll.logged(expected).await;
        let log = atoll.stop().await;
        assert!(!log.iter().any(|line| line.contains("hush")));
        let combined = log.iter().filter(|line| line.ends_with("\"-\" \"-\"")).count();
        assert_eq!(combined, usize::from(access == "combined"), "{log:#?}");
        let json = log.iter().filter(|line| line.starts_with('{')).count();
        assert_eq!(json > 0, format == "json", "{log:#?}");
    }
}

#[tokio::test]
async fn a_function_that_reports_an_error_of_its_own_is_named() {
    let home = Home::new(
        "[service.types]\ncomponent = \"{component:fixture-types}\"\nretry = { tries = 0 }\n[[route]]\n\
         method = \"GET\"\npath = \"/gone\"\ncall = \"types/faults#be-unavailable\"\n",
    );
    let (atoll, http) = (home.start().await, Http::default());
    assert_eq!(http.get(&format!("{}/gone?reason=closed", atoll.gateway)).await.status, 503);
    let output = home.output(&["why", "types"]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    let said = "#be-unavailable reported `unavailable`";
    assert!(text.contains("function-error in types") && text.contains(said), "{text}");
}

#[tokio::test]
async fn a_service_or_a_kind_that_is_not_there_is_said_so() {
    let home = Home::new(
        "[telemetry]\nsample = 1.0\n[telemetry.logs]\nkeep = \"1MiB\"\n[service.hello]\n\
         component = \"{component:fixture-hello}\"\n",
    );
    let _atoll = home.start().await;
    for arguments in [
        &["changes", "--service", "helo"][..],
        &["changes", "--service", "helo", "--follow"],
        &["traps", "helo"],
        &["logs", "helo"],
        &["logs", "helo", "--follow"],
        &["trace", "--service", "helo"],
        &["why", "helo"],
    ] {
        let output = home.output(arguments).await;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
        assert!(text.contains("there is no service `helo`") && text.contains("`atoll ps` lists"), "{text}");
        assert!(output.stdout.is_empty(), "{output:?}");
    }
    for arguments in [&["changes", "--service", "hello"][..], &["traps", "hello"], &["trace", "--service", "hello"]] {
        assert_eq!(home.output(arguments).await.status.code(), Some(0), "{arguments:?}");
    }
    let kind = home.output(&["changes", "--kind", "swaped"]).await;
    let text = String::from_utf8_lossy(&kind.stderr).into_owned();
    assert_eq!(kind.status.code(), Some(1));
    assert!(text.contains("`kind` is one of host-started, ") && text.contains(", swapped, "), "{text}");
}

#[tokio::test]
async fn after_a_rollback_the_revision_that_failed_is_named_and_not_the_one_that_serves() {
    let home = Home::new(
        "[service.guest]\ncomponent = \"{component:fixture-hello}\"\nretry = { tries = 0 }\n[[route]]\n\
         prefix = \"/guest\"\nstrip_prefix = \"/guest\"\nservice = \"guest\"\n",
    );
    let (atoll, http) = (home.start().await, Http::default());
    let run = async |arguments: &[&str]| {
        let output = home.output(arguments).await;
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let revision = async || {
        let view: Value = http.get(&format!("{}/v1/services/guest", atoll.admin)).await.json();
        view["revision"].as_str().unwrap().to_owned()
    };
    let good = revision().await;
    run(&["swap", "guest", component("fixture-hostile").to_str().unwrap()]).await;
    let bad = revision().await;
    assert_eq!(http.get(&format!("{}/guest/status/500", atoll.gateway)).await.status, 500);
    // This host keeps no lines of its log, so `atoll logs` alone shows nothing more.
    let text = run(&["why", "guest"]).await;
    let next = "next: atoll logs guest --level warn --since 5m\n    which needs `keep` in [telemetry.logs], which this";
    assert!(text.contains(next), "{text}");
    let view: Value = serde_json::from_str(&run(&["why", "guest", "--json"]).await).unwrap();
    assert_eq!(view["causes"][0]["next"], "atoll logs guest --level warn --since 5m");
    assert_eq!(http.get(&format!("{}/guest/panic", atoll.gateway)).await.status, 502);
    run(&["rollback", "guest"]).await;
    assert_eq!(revision().await, good);
    assert_eq!(http.get(&format!("{}/guest", atoll.gateway)).await.status, 200);
    let text = run(&["why", "guest"]).await;
    assert!(text.contains(&format!("first cause\n  trap in guest (revision {bad})")), "{text}");
    assert!(!text.contains(&format!("(revision {good})")), "{text}");
}
