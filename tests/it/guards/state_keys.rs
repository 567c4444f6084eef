//! The key of the database: nothing readable in the file, a wrong key refuses to start, and the key is replaced while
//! the host runs, through `kill -9`.

use super::super::atoll::{Atoll, Home, Http, ended};
use super::verb;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tokio::process::Command;

const PLANTED: &str = "a-text-that-is-found-if-it-is-there";

/// `encryption` is that of [state].
fn manifest(encryption: &str) -> String {
    format!(
        r#"
[state]
{encryption}

[service.kv]
component = "{{component:fixture-kv}}"
state = true

[service.neighbour]
component = "{{component:fixture-kv}}"
state = true

[[route]]
prefix = "/kv"
strip_prefix = "/kv"
service = "kv"

[[route]]
prefix = "/neighbour"
strip_prefix = "/neighbour"
service = "neighbour"
"#
    )
}

fn key(seed: u8) -> String {
    STANDARD.encode([seed; 32])
}

async fn put(atoll: &Atoll, path: &str, value: &str) -> Result<(), String> {
    let request = Request::put(format!("{}{path}", atoll.gateway)).body(value.to_owned().into()).unwrap();
    let answer = Http::default().try_send(request).await?;
    if answer.status == 204 { Ok(()) } else { Err(format!("{answer:?}")) }
}

async fn read(atoll: &Atoll, path: &str) -> Option<String> {
    let answer = Http::default().get(&format!("{}{path}", atoll.gateway)).await;
    assert!(answer.status == 200 || answer.status == 404, "{answer:?}");
    (answer.status == 200).then(|| String::from_utf8(answer.body.to_vec()).unwrap())
}

fn database(home: &Home) -> PathBuf {
    home.folder.path().join(".atoll/state.redb")
}

fn holds(home: &Home, text: &str) -> bool {
    let file = std::fs::read(database(home)).unwrap();
    file.windows(text.len()).any(|window| window == text.as_bytes())
}

/// What a host says that does not start.
async fn refusal(mut command: Command) -> String {
    let output = ended(&mut command).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn the_file_holds_no_value_and_only_the_right_key_opens_it() {
    let home = Home::new(&manifest("encryption = { key = { env = \"SHOP_STATE_KEY\" } }"));
    let atoll = home.start_with(&[("SHOP_STATE_KEY", &key(7))]).await;
    for number in 0..50 {
        put(&atoll, &format!("/kv/bucket/default/{number}"), &format!("{PLANTED}-{number}")).await.unwrap();
    }
    assert!(!holds(&home, PLANTED), "while the host runs");
    let log = atoll.stop().await;
    assert!(!holds(&home, PLANTED), "after it has stopped");
    assert!(log.iter().all(|line| !line.contains(PLANTED) && !line.contains(&key(7))));

    let run = |variables: &[(&str, &str)]| {
        let mut command = home.command(&["run", "atoll.toml"]);
        command.envs(variables.iter().copied());
        command
    };
    let wrong = refusal(run(&[("SHOP_STATE_KEY", &key(8))])).await;
    assert!(wrong.contains("are encrypted with another key"), "{wrong}");
    assert!(!wrong.contains(&key(8)) && !wrong.contains(&key(7)), "{wrong}");
    let unset = refusal(run(&[])).await;
    assert!(unset.contains("SHOP_STATE_KEY is not set"), "{unset}");
    home.write(&manifest(""));
    home.link_cache();
    let none = refusal(run(&[])).await;
    assert!(none.contains("are encrypted; name their key in `encryption`"), "{none}");

    home.write(&manifest("encryption = { key = { env = \"SHOP_STATE_KEY\" } }"));
    let atoll = home.start_with(&[("SHOP_STATE_KEY", &key(7))]).await;
    assert_eq!(read(&atoll, "/kv/bucket/default/49").await.as_deref(), Some("a-text-that-is-found-if-it-is-there-49"));
}

/// How often the host is killed: 8 times, or as `ATOLL_KEY_KILLS` says (`just key-kills`), up to 250.
fn rounds() -> u8 {
    let asked = std::env::vars().find(|(name, _)| name == "ATOLL_KEY_KILLS");
    asked.map_or(8, |(_, asked)| asked.parse().expect("a number up to 250"))
}

#[tokio::test]
async fn the_key_is_replaced_while_the_host_runs_and_a_kill_loses_nothing() {
    let rounds = rounds();
    let home = Home::new("");
    let write_key = |seed: u8| std::fs::write(home.folder.path().join(format!("key-{seed}")), key(seed)).unwrap();
    write_key(0);
    home.write(&manifest("encryption = { key = { file = \"key-0\" } }"));
    let mut written = 0;
    for round in 1..=rounds {
        let atoll = Arc::new(home.start().await);
        for number in 0..written {
            let found = read(&atoll, &format!("/kv/bucket/default/{number}")).await;
            assert_eq!(found, Some(format!("{PLANTED}-{number}")), "round {round}");
        }
        write_key(round);
        let before = round - 1;
        home.write(&manifest(&format!(
            "encryption = {{ key = {{ file = \"key-{round}\" }}, previous = {{ file = \"key-{before}\" }} }}"
        )));
        home.link_cache();
        // Clients write meanwhile, and the host is killed sooner or later after the order.
        let acknowledged = Arc::new(AtomicUsize::new(written));
        let writer = tokio::spawn({
            let (atoll, acknowledged) = (Arc::clone(&atoll), Arc::clone(&acknowledged));
            async move {
                for number in written.. {
                    if put(&atoll, &format!("/kv/bucket/default/{number}"), &format!("{PLANTED}-{number}"))
                        .await
                        .is_err()
                    {
                        return;
                    }
                    acknowledged.store(number + 1, SeqCst);
                }
            }
        });
        let order = tokio::spawn({
            let url = format!("{}/v1/state/key", atoll.admin);
            async move { Http::default().try_send(Request::post(url).body("".into()).unwrap()).await }
        });
        if round.is_multiple_of(2) {
            let answer = order.await.unwrap().expect("an answer");
            assert_eq!(answer.json(), serde_json::json!({ "replaced": true }), "{answer:?}");
        } else {
            let more = acknowledged.load(SeqCst) + usize::from(round);
            while acknowledged.load(SeqCst) < more {
                tokio::task::yield_now().await;
            }
        }
        atoll.signal(rustix::process::Signal::KILL);
        writer.await.unwrap();
        written = acknowledged.load(SeqCst);
        let mut atoll = Arc::into_inner(atoll).expect("nobody else has it");
        atoll.wait().await;
        assert!(!holds(&home, PLANTED));
    }
    // The manifest names the last key alone: the host before has taken it.
    let atoll = home.start().await;
    atoll.stop().await;
    home.write(&manifest(&format!("encryption = {{ key = {{ file = \"key-{rounds}\" }} }}")));
    let atoll = home.start().await;
    assert_eq!(read(&atoll, "/kv/bucket/default/0").await, Some(format!("{PLANTED}-0")));
    let same = verb(&home, &atoll, &["state", "rekey"]).await;
    assert!(same.starts_with("the manifest names the key in use"), "{same}");
}

#[tokio::test]
async fn the_data_of_one_service_are_erased_and_it_goes_on_with_nothing() {
    let home = Home::new(&manifest("encryption = { key = { file = \"key\" } }"));
    std::fs::write(home.folder.path().join("key"), key(3)).unwrap();
    let atoll = home.start().await;
    for service in ["kv", "neighbour"] {
        put(&atoll, &format!("/{service}/bucket/default/a"), PLANTED).await.unwrap();
    }
    let unsure = home.output(&["state", "erase", "kv", "--admin", &atoll.admin]).await;
    assert_eq!(unsure.status.code(), Some(2), "without --yes nothing happens");
    assert_eq!(read(&atoll, "/kv/bucket/default/a").await.as_deref(), Some(PLANTED));
    let said = verb(&home, &atoll, &["state", "erase", "kv", "--yes"]).await;
    assert_eq!(said, "kv: its data are deleted\n");
    assert_eq!(read(&atoll, "/kv/bucket/default/a").await, None);
    assert_eq!(read(&atoll, "/neighbour/bucket/default/a").await.as_deref(), Some(PLANTED));
    put(&atoll, "/kv/bucket/default/b", "new").await.unwrap();
    atoll.kill().await;
    let atoll = home.start().await;
    assert_eq!(read(&atoll, "/kv/bucket/default/a").await, None, "after a kill, too");
    assert_eq!(read(&atoll, "/kv/bucket/default/b").await.as_deref(), Some("new"));
    assert_eq!(verb(&home, &atoll, &["state", "erase", "gone", "--yes"]).await, "gone: it had no data\n");
}
