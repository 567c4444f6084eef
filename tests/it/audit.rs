//! The audit file of the real binary, and the verbs that read it.

use super::atoll::{Atoll, Home, Http, TIMEOUT, hello_revision};
use http::Method;
use std::fs;
use std::process::Output;

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn home() -> Home {
    Home::new(
        r#"
        [audit]
        file = "audit.jsonl"
        refusals = 5

        [service.hello]
        component = "{component:fixture-hello}"
        requires = ["hello:read"]

        [[route]]
        prefix = "/"
        service = "hello"
        "#,
    )
}

async fn order(atoll: &Atoll, method: Method, path: &str, body: &str) {
    let request = http::Request::builder().method(method).uri(format!("{}{path}", atoll.admin));
    let request = request.header("content-type", "application/json");
    let answer = Http::default().send(request, body.to_owned()).await;
    assert!(answer.status.is_success(), "{path}: {}", answer.status);
}

/// What the dashboard shows: the newest first, and only what was asked for.
async fn served_by_the_admin(atoll: &Atoll) {
    let lines = async |query: &str| {
        let answer = Http::default().get(&format!("{}/v1/audit?{query}", atoll.admin)).await;
        assert_eq!(answer.status, 200, "{query}");
        let lines: Vec<serde_json::Value> = serde_json::from_slice(&answer.body).unwrap();
        lines
    };
    let changes = lines("who=loopback&limit=2").await;
    let words: Vec<_> = changes.iter().map(|line| (line["what"].as_str().unwrap(), &line["on"])).collect();
    assert_eq!(words, [("breaker", &"hello".into()), ("rollback", &"hello".into())]);
    let swaps = lines("what=swap").await;
    assert_eq!((swaps.len(), swaps[0]["seq"].as_u64()), (1, Some(2)));
    assert!(swaps[0]["before"].is_string() && swaps[0]["before"] != swaps[0]["after"]);
    assert_eq!(lines("on=nothing").await, [] as [serde_json::Value; 0]);
    let wrong = Http::default().get(&format!("{}/v1/audit?limit=0", atoll.admin)).await;
    assert_eq!(wrong.status, 400);
}

#[tokio::test]
async fn changes_and_refusals_are_in_the_audit_file_and_survive_a_kill() {
    let home = home();
    let atoll = home.start().await;
    let revision = hello_revision(b"revision-001-bbb", home.folder.path());
    let swapped = home.output(&["--admin", &atoll.admin, "swap", "hello", revision.to_str().unwrap()]).await;
    assert!(swapped.status.success(), "{}", text(&swapped));
    order(&atoll, Method::POST, "/v1/services/hello/rollback", "").await;
    let forced = home.output(&["--admin", &atoll.admin, "breaker", "open", "hello"]).await;
    assert!(forced.status.success(), "{}", text(&forced));
    for _ in 0..50 {
        let refused = Http::default().get(&format!("{}/", atoll.gateway)).await;
        let problem = refused.problem();
        assert_eq!((refused.status.as_u16(), problem["type"].as_str()), (403, Some("urn:atoll:problem:forbidden")));
        assert_eq!((problem["scope"].as_str(), refused.headers.get("connection")), (Some("hello:read"), None));
    }
    served_by_the_admin(&atoll).await;
    // What an operator was told is on the disk, whatever happens to the host then.
    let fault = home.output(&["--admin", &atoll.admin, "fault", "add", "hello", "--error", "10%"]).await;
    assert!(fault.status.success(), "{}", text(&fault));
    atoll.kill().await;

    let file = home.folder.path().join("audit.jsonl");
    let listed = text(&home.output(&["audit", "list", "audit.jsonl"]).await);
    let lines: Vec<&str> = listed.lines().collect();
    for (at, words) in [(0, " host start "), (1, " loopback swap `hello` "), (2, " loopback rollback `hello` ")] {
        assert!(lines[at].contains(words), "{listed}");
    }
    assert!(listed.contains("loopback breaker `hello` (open)") && listed.contains("fault-added `hello`"), "{listed}");
    let refused = lines.iter().filter(|line| line.contains(" refused `/*` (forbidden) request ")).count();
    let entries = fs::read_to_string(&file).unwrap();
    let entries = entries.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let left_out: u64 = entries.filter_map(|entry| entry["left_out"].as_u64()).sum();
    // On a slow machine several seconds pass, and each of them has room for five lines.
    assert!(refused >= 5 && refused as u64 + left_out == 50, "{refused} and {left_out}:\n{listed}");

    // A line that the kill has torn is closed by the next start.
    let mut bytes = fs::read(&file).unwrap();
    bytes.extend_from_slice(br#"{"seq":99,"time":"#);
    fs::write(&file, bytes).unwrap();
    let torn = text(&home.output(&["audit", "verify", "audit.jsonl"]).await);
    assert!(torn.contains("is whole") && torn.contains("the next line will say so"), "{torn}");
    let atoll = home.start().await;
    tokio::time::timeout(TIMEOUT, atoll.stop()).await.unwrap();
    let verified = home.output(&["audit", "verify", "audit.jsonl"]).await;
    let told = text(&verified);
    assert!(verified.status.success() && told.contains("is whole") && told.contains("is torn"), "{told}");
    let listed = text(&home.output(&["audit", "list", "audit.jsonl", "--last", "4"]).await);
    let words = ["chain-repaired", "host start", "SIGTERM drain", "host stop"];
    assert!(listed.lines().zip(words).all(|(line, word)| line.contains(word)), "{listed}");

    // Who changes an entry is found at the next one; who cuts the end off, by the digest that was kept.
    let digest = told.lines().find_map(|line| line.strip_prefix("digest ")).unwrap();
    let kept = home.output(&["audit", "verify", "audit.jsonl", "--contains", digest]).await;
    assert!(kept.status.success(), "{}", text(&kept));
    let whole = fs::read_to_string(&file).unwrap();
    let shorter = whole.trim_end().rsplit_once('\n').unwrap().0.to_owned() + "\n";
    fs::write(&file, &shorter).unwrap();
    let cut = home.output(&["audit", "verify", "audit.jsonl", "--contains", digest]).await;
    assert!(!cut.status.success() && text(&cut).contains("cut off"), "{}", text(&cut));
    fs::write(&file, whole.replacen("\"swap\"", "\"none\"", 1)).unwrap();
    let changed = home.output(&["audit", "verify", "audit.jsonl"]).await;
    assert!(!changed.status.success() && text(&changed).contains("line 3"), "{}", text(&changed));
}

#[tokio::test]
async fn a_host_without_an_audit_file_leaves_none_and_a_wrong_one_stops_the_start() {
    let home = Home::new("[audit]\nfile = \"atoll.toml\"\n");
    let output = home.output(&["run", "atoll.toml"]).await;
    assert!(!output.status.success() && text(&output).contains("no audit file"), "{}", text(&output));
}

#[tokio::test]
async fn an_audit_file_and_keys_that_are_folders_are_told_with_their_place_by_check_and_by_run() {
    for (manifest, place) in [
        ("[audit]\nfile = 'taken'\n", "atoll.toml:2:8"),
        ("[audit]\nfile = 'none/audit.jsonl'\n", "atoll.toml:2:8"),
        ("[gateway]\nkeys = 'taken'\n[auth.partner]\nkind = 'api-key'\n", "atoll.toml:2:8"),
    ] {
        let home = Home::new(manifest);
        fs::create_dir(home.folder.path().join("taken")).unwrap();
        for verb in ["check", "run"] {
            let output = home.output(&[verb, "atoll.toml"]).await;
            assert!(!output.status.success() && text(&output).contains(place), "{verb}: {}", text(&output));
        }
    }
}

#[tokio::test]
async fn an_audit_file_that_takes_no_lines_is_seen_in_readyz_and_in_a_metric() {
    let home = home();
    let atoll = home.start_without_file_size_signal().await;
    let ready = async || {
        let answer = Http::default().get(&format!("{}/readyz", atoll.admin)).await;
        serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap()
    };
    assert_eq!(ready().await["status"], "ready");
    // As on a full disk.
    atoll.limit_file_size(Some(fs::metadata(home.folder.path().join("audit.jsonl")).unwrap().len()));
    order(&atoll, Method::DELETE, "/v1/faults", "").await;
    let degraded = ready().await;
    assert!(degraded["status"] == "degraded" && degraded["audit"].is_string(), "{degraded}");
    let metrics = Http::default().get(&format!("{}/metrics", atoll.admin)).await;
    let metrics = String::from_utf8(metrics.body.to_vec()).unwrap();
    assert!(metrics.contains("atoll_audit_failing 1\n") && metrics.contains("atoll_audit_lost_events_total 1\n"));
    atoll.limit_file_size(None);
    order(&atoll, Method::DELETE, "/v1/faults", "").await;
    assert_eq!(ready().await["status"], "ready");
}
