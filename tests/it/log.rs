//! The log of the real host: a reader that stalls, guests that print too much, and failures that repeat.

use super::atoll::{Atoll, Home, Http, eventually};
use http::StatusCode;
use rustix::process::Signal;
use serde_json::Value;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Stdio;
use tokio::task::JoinSet;

const HOSTILE: &str = r#"
[service.hostile]
component = "{component:fixture-hostile}"
breaker = { failure_threshold = 1_000, recovery_timeout = "50ms" }
retry = { tries = 0 }

[service.other]
component = "{component:fixture-hostile}"

[service.short]
component = "{component:fixture-hostile}"
breaker = { failure_threshold = 3, recovery_timeout = "50ms" }
retry = { tries = 0 }

[[route]]
prefix = "/hostile"
strip_prefix = "/hostile"
service = "hostile"

[[route]]
prefix = "/other"
strip_prefix = "/other"
service = "other"

[[route]]
prefix = "/short"
strip_prefix = "/short"
service = "short"
"#;

/// A number of requests whose lines of the access log, some 250 bytes each, are far more than a pipe and two queues of
/// 64 KiB take.
const MANY: usize = 2_000;

/// Sends `MANY` requests that must all be answered.
async fn flood(gateway: &str) {
    let (http, mut clients) = (Http::default(), JoinSet::new());
    for _ in 0..8 {
        let (http, url) = (http.clone(), format!("{gateway}/other/ok"));
        clients.spawn(async move {
            for _ in 0..MANY / 8 {
                assert_eq!(http.get(&url).await.status, StatusCode::OK);
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
}

/// The value of the metric's series whose labels contain `label`; 0 if there is none.
async fn metric(atoll: &Atoll, name: &str, label: &str) -> u64 {
    let text = Http::default().get(&format!("{}/metrics", atoll.admin)).await.body;
    let text = String::from_utf8_lossy(&text).into_owned();
    let mut series = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
    series.next().map_or(0, |line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
}

fn parsed(log: &[String]) -> Vec<Value> {
    log.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// The sum of `member` over the lines of `service` whose message contains `text`. `service` may be null.
fn sum(log: &[Value], service: &Value, text: &str, member: &str) -> u64 {
    let lines = log.iter().filter(|line| line["service"] == *service && message(line).contains(text));
    lines.filter_map(|line| line[member].as_u64()).sum()
}

/// The lines of `service` with `text` in their message that count no others.
fn written<'a>(log: &'a [Value], service: &str, text: &str) -> Vec<&'a Value> {
    let meant = |line: &&Value| line["service"] == service && message(line).contains(text) && line["more"].is_null();
    log.iter().filter(meant).collect()
}

fn message(line: &Value) -> &str {
    line["message"].as_str().unwrap_or_default()
}

/// Before, the first request after 64 KiB of lines waited for the reader, and so did all others and the admin.
#[tokio::test]
async fn a_log_that_nobody_reads_stops_neither_requests_nor_the_admin_and_says_later_what_it_dropped() {
    let home = Home::new(&format!("{HOSTILE}[log]\nqueue = \"64KiB\"\n"));
    let mut atoll = home.start_unread().await;
    flood(&atoll.gateway).await;
    assert_eq!(Http::default().get(&format!("{}/readyz", atoll.admin)).await.status, StatusCode::OK);
    let dropped = metric(&atoll, "atoll_log_lines_dropped_total", "").await;
    assert!(dropped > 0);

    atoll.read_log();
    let said = |log: &[Value]| sum(log, &Value::Null, "lines were dropped here", "dropped");
    eventually("the log says what it dropped", async || (said(&parsed(&atoll.log())) == dropped).then_some(())).await;
    assert_eq!(metric(&atoll, "atoll_log_lines_dropped_total", "").await, dropped);
    let log = parsed(&atoll.stop().await);
    assert_eq!(said(&log), dropped, "nothing is dropped any more");
    let access = log.iter().filter(|line| line["target"] == "access").count();
    assert_eq!(access + usize::try_from(dropped).unwrap(), MANY, "each request is in the log or in the count");
}

#[tokio::test]
async fn a_log_that_nobody_reads_does_not_hold_up_the_end_of_the_host() {
    let home = Home::new(&format!("{HOSTILE}[log]\nqueue = \"64KiB\"\n"));
    let mut atoll = home.start_unread().await;
    flood(&atoll.gateway).await;
    atoll.signal(Signal::TERM);
    assert_eq!(atoll.wait().await.code(), Some(0));
}

/// The pipe is full before the host starts: somebody else writes to it too, and nobody reads.
#[tokio::test]
async fn standard_output_that_nobody_reads_does_not_keep_the_host_from_serving() {
    let home = Home::new(HOSTILE);
    home.link_cache();
    let (_reader, writer) = std::io::pipe().unwrap();
    // Opened anew, so that only this end does not wait.
    let path = format!("/proc/self/fd/{}", writer.as_raw_fd());
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap();
    let mut filler = OpenOptions::new().write(true).custom_flags(nonblocking).open(path).unwrap();
    let full = loop {
        if let Err(error) = filler.write(&[b'x'; 4096]) {
            break error.kind();
        }
    };
    assert_eq!(full, ErrorKind::WouldBlock);
    let mut host = home.command(&["run", "atoll.toml"]).stdout(writer).stderr(Stdio::null()).spawn().unwrap();
    let address = eventually("the host leaves the address of its admin", async || {
        let text = std::fs::read_to_string(home.folder.path().join(".atoll/admin")).ok()?;
        text.split_once(' ').map(|(address, _)| address.to_owned())
    })
    .await;
    let answer = eventually("the host serves", async || {
        let request = http::Request::get(format!("http://{address}/readyz")).body(Default::default());
        Http::default().try_send(request.unwrap()).await.ok()
    })
    .await;
    assert_eq!(answer.status, StatusCode::OK);
    let pid = rustix::process::Pid::from_raw(i32::try_from(host.id().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(host.wait().await.unwrap().code(), Some(0));
}

/// Before, all 3,600 lines were written, and 231,000 in a second of a guest that does nothing else.
#[tokio::test]
async fn what_a_chatty_guest_prints_is_bounded_and_counted_and_its_neighbour_is_heard() {
    let home = Home::new(&format!("{HOSTILE}[log]\nguest_lines = 1\nguest_burst = 20\n"));
    let (atoll, http) = (home.start().await, Http::default());
    // 900 lines on each of the two streams, which is within the bound of one instance.
    let url = format!("{}/hostile/log?text={}", atoll.gateway, "x%0A".repeat(900));
    for _ in 0..2 {
        assert_eq!(http.get(&url).await.status, StatusCode::OK);
    }
    assert_eq!(http.get(&format!("{}/other/log?text=heard", atoll.gateway)).await.status, StatusCode::OK);
    let is_guest = |line: &&Value| line["target"] == "guest" && line["more"].is_null();
    let left_out = eventually("each line is in the log or in the count", async || {
        let written = parsed(&atoll.log()).iter().filter(is_guest).filter(|line| line["service"] == "hostile").count();
        let left_out = metric(&atoll, "atoll_log_lines_left_out_total", "\"hostile\"").await;
        (written as u64 + left_out == 2 * 2 * 900).then_some(left_out)
    })
    .await;
    assert!(left_out > 2 * 900, "{left_out}");
    atoll.logged("heard").await;
    let log = parsed(&atoll.stop().await);
    assert_eq!(sum(&log, &"hostile".into(), "standard output", "more"), left_out);
}

/// Before, each of the failures was three lines, one of them with a backtrace.
#[tokio::test]
async fn a_failure_that_repeats_is_said_once_for_each_place_and_then_by_its_number() {
    const TRAPS: u64 = 200;
    let home = Home::new(HOSTILE);
    let (atoll, http) = (home.start().await, Http::default());
    for _ in 0..TRAPS {
        assert_eq!(http.get(&format!("{}/hostile/trap", atoll.gateway)).await.status, StatusCode::BAD_GATEWAY);
    }
    assert_eq!(http.get(&format!("{}/hostile/panic", atoll.gateway)).await.status, StatusCode::BAD_GATEWAY);
    assert_eq!(http.get(&format!("{}/other/trap", atoll.gateway)).await.status, StatusCode::BAD_GATEWAY);
    let log = parsed(&atoll.stop().await);

    let instances = written(&log, "hostile", "the instance failed");
    // The innermost frame of both is that of `abort`.
    let stacks: Vec<_> = instances.iter().map(|line| line["stack"].as_str().unwrap()).collect();
    assert_eq!(stacks.len(), 2, "one line for each place: {instances:#?}");
    assert!(stacks[0] != stacks[1] && instances[0]["place"].as_str().unwrap().starts_with("0x"), "{stacks:?}");
    assert!(message(instances[0]).contains("wasm backtrace"), "{}", instances[0]);
    assert_eq!(sum(&log, &"hostile".into(), "the instance failed", "more"), TRAPS - 1);
    // For the client both were traps.
    assert_eq!(written(&log, "hostile", "a call failed").len(), 1);
    assert_eq!(sum(&log, &"hostile".into(), "a call failed", "more"), TRAPS);
    assert_eq!(written(&log, "other", "the instance failed").len(), 1, "another service is another kind");

    let access = |line: &&Value| line["target"] == "access" && line["service"] == "hostile";
    assert_eq!(log.iter().filter(access).count() as u64, TRAPS + 1, "the access log has each request");
}

#[tokio::test]
async fn as_many_failures_of_a_kind_are_written_as_the_manifest_says() {
    let home = Home::new(&format!("{HOSTILE}[log]\nrepeats = 3\n"));
    let (atoll, http) = (home.start().await, Http::default());
    for _ in 0..5 {
        assert_eq!(http.get(&format!("{}/hostile/trap", atoll.gateway)).await.status, StatusCode::BAD_GATEWAY);
    }
    let log = parsed(&atoll.stop().await);
    assert_eq!(written(&log, "hostile", "a call failed").len(), 3);
    assert_eq!(sum(&log, &"hostile".into(), "a call failed", "more"), 2);
}

#[tokio::test]
async fn a_circuit_that_opens_or_closes_is_a_line_of_the_log() {
    let home = Home::new(HOSTILE);
    let (atoll, http) = (home.start().await, Http::default());
    let status = async |path: &str| http.get(&format!("{}/short/{path}", atoll.gateway)).await.status.as_u16();
    for _ in 0..3 {
        assert_eq!(status("trap").await, 502);
    }
    let line: Value = serde_json::from_str(&atoll.logged("the circuit is open").await).unwrap();
    assert_eq!((&line["level"], &line["endpoint"]), (&"WARN".into(), &"short-0".into()));
    eventually("a probe closes the circuit", async || (status("ok").await == 200).then_some(())).await;
    let line: Value = serde_json::from_str(&atoll.logged("the circuit is closed").await).unwrap();
    assert_eq!((&line["level"], &line["endpoint"]), (&"INFO".into(), &"short-0".into()));
    // The refusals in between are in the access log and in a metric, and no lines of their own.
    let log = parsed(&atoll.stop().await);
    let own = log.iter().filter(|line| line["target"] != "access");
    assert!(own.clone().all(|line| line["kind"] != "circuit-open"), "{log:#?}");
}

/// Before, each of the 43,000 refusals in a second had a line.
#[tokio::test]
async fn refusals_of_an_open_circuit_are_lines_up_to_a_bound_and_then_a_number() {
    const REFUSED: u64 = 500;
    // No probe comes before the end: on a busy machine the requests take their time.
    let breaker = "failure_threshold = 1, recovery_timeout = \"1h\"";
    let manifest = HOSTILE.replace("failure_threshold = 3, recovery_timeout = \"50ms\"", breaker);
    let home = Home::new(&format!("{manifest}[log]\nrefusals = 1\n"));
    let (atoll, http) = (home.start().await, Http::default());
    let status = async |path: &str| http.get(&format!("{}/short/{path}", atoll.gateway)).await.status.as_u16();
    let opened = home.command(&["breaker", "open", "short"]).env("ATOLL_ADMIN", &atoll.admin).output().await.unwrap();
    assert_eq!(opened.status.code(), Some(0), "{opened:?}");
    // An order refuses as `out-of-service`, of which each has its line: it is an operator's doing.
    assert_eq!(status("ok").await, 503);
    let reset = home.command(&["breaker", "reset", "short"]).env("ATOLL_ADMIN", &atoll.admin).output().await.unwrap();
    assert_eq!(reset.status.code(), Some(0), "{reset:?}");
    assert_eq!(status("trap").await, 502);
    for _ in 0..REFUSED {
        assert_eq!(status("ok").await, 503);
    }
    let refused = metric(&atoll, "atoll_gateway_requests_total", "kind=\"circuit-open\"").await;
    assert!(refused > 400, "the circuit was not open: {refused}");
    let log = parsed(&atoll.stop().await);
    let access = |kind: &str| {
        log.iter().filter(|line| line["target"] == "access" && line["kind"] == kind && line["more"].is_null()).count()
    };
    assert_eq!((access("out-of-service"), access("trap")), (1, 1));
    // Ten at once, and one in each second since.
    let written = access("circuit-open") as u64;
    assert!((10..200).contains(&written), "{written}");
    let left_out = sum(&log, &"short".into(), "an open circuit has refused", "more");
    assert_eq!(written + left_out, refused, "each refusal is a line or in the count");
}
