//! What an operator sees where something is used up or does not fit: the log, the disk, the engine's pool, a client's
//! time, a component. `diagnosis.rs` has the services that fail by themselves.

use super::atoll::{Atoll, Home, Http, TIMEOUT, eventually};
use super::components::component;
use http::StatusCode;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

fn manifest(garbled: SocketAddr) -> String {
    let mut text = String::from(
        "[runtime]\ninstances = 8\n[gateway]\nrate_grace = \"100ms\"\n[log]\nguest_lines = 1\nguest_burst = 20\n",
    );
    for (name, target, rest) in [
        ("chatty", "component = \"{component:fixture-hostile}\"", ""),
        ("writer", "component = \"{component:fixture-kv}\"", "state = true\nbreaker = { failure_threshold = 1_000 }\n"),
        ("reader", "component = \"{component:fixture-kv}\"", "state = true\n"),
        ("slow", "component = \"{component:fixture-hostile}\"", "limits = { timeout = \"1m\", wait = \"1m\" }\n"),
        ("swapped", "component = \"{component:fixture-hello}\"", ""),
        ("garbled", &format!("urls = [\"http://{garbled}\"]"), ""),
    ] {
        text += &format!("[service.{name}]\n{target}\nretry = {{ tries = 0 }}\n{rest}");
        text += &format!("[[route]]\nprefix = \"/{name}\"\nstrip_prefix = \"/{name}\"\nservice = \"{name}\"\n");
    }
    text
}

/// Takes connections, and answers what is no HTTP.
async fn mail_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut buffer = [0; 4096];
            // Whatever came: it is answered, and the connection ends.
            let _ = socket.read(&mut buffer).await;
            let _ = socket.write_all(b"220 ready for mail\r\n").await;
        }
    });
    address
}

/// What a verb prints.
async fn run(home: &Home, atoll: &Atoll, arguments: &[&str]) -> String {
    let output = home.command(arguments).env("ATOLL_ADMIN", &atoll.admin).output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Waits until the verb prints all these words.
async fn prints(home: &Home, atoll: &Atoll, verb: &[&str], words: &[&str]) {
    eventually(&format!("{verb:?} prints {words:?}"), async || {
        let text = run(home, atoll, verb).await;
        words.iter().all(|word| text.contains(word)).then_some(())
    })
    .await;
}

/// Asserts that `atoll ps` has the endpoint beside the revision of its service, or beside none.
async fn has_row(home: &Home, atoll: &Atoll, endpoint: &str, with_revision: bool) {
    let ps = run(home, atoll, &["ps"]).await;
    let row = ps.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = row.into_iter().find(|row| row.get(3) == Some(&endpoint)).unwrap_or_else(|| panic!("{endpoint}: {ps}"));
    let is_revision = row[1].len() == 12 && row[1].bytes().all(|byte| byte.is_ascii_hexdigit());
    assert_eq!(is_revision, with_revision, "{ps}");
}

async fn get(atoll: &Atoll, path: &str) -> StatusCode {
    Http::default().get(&format!("{}{path}", atoll.gateway)).await.status
}

async fn put(atoll: &Atoll, path: &str) -> StatusCode {
    Http::default().send(http::Request::put(format!("{}{path}", atoll.gateway)), "a value").await.status
}

#[tokio::test]
async fn what_is_used_up_or_does_not_fit_is_named_with_service_revision_endpoint_and_cause() {
    let home = Home::new(&manifest(mail_server().await));
    let atoll = home.start_without_file_size_signal().await;

    assert_eq!(get(&atoll, &format!("/chatty/log?text={}", "x%0A".repeat(200))).await, 200);
    prints(&home, &atoll, &["why", "chatty"], &["first cause\n  lines-left-out in chatty (revision "]).await;

    assert_eq!(get(&atoll, "/garbled/x").await, StatusCode::BAD_GATEWAY);
    prints(&home, &atoll, &["why", "garbled"], &["first cause\n  bad-answer in garbled\n"]).await;

    let swap = http::Request::post(format!("{}/v1/services/swapped/swap", atoll.admin));
    let swap = swap.header("content-type", "application/wasm");
    let misfit = std::fs::read(component("fixture-broken-start")).unwrap();
    assert!(Http::default().send(swap, misfit).await.status.is_client_error());
    prints(&home, &atoll, &["changes", "--kind", "swap-refused"], &["swap-refused swapped: "]).await;

    slow_client(&atoll).await;
    prints(&home, &atoll, &["why", "reader"], &["first cause\n  bad-requests in reader (revision ", "slow-body 1"])
        .await;

    full_disk(&home, &atoll).await;
    full_pool(&home, &atoll).await;
    for endpoint in ["chatty-0", "swapped-0", "reader-0", "writer-0", "slow-0"] {
        has_row(&home, &atoll, endpoint, true).await;
    }
    has_row(&home, &atoll, "garbled-url-0", false).await;
}

/// A body of which nothing comes.
async fn slow_client(atoll: &Atoll) {
    let mut client = TcpStream::connect(atoll.gateway.strip_prefix("http://").unwrap()).await.unwrap();
    let head = b"PUT /reader/bucket/default/a HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n";
    client.write_all(head).await.unwrap();
    let mut answer = Vec::new();
    timeout(TIMEOUT, client.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&answer));
}

/// One service writes in vain, and another one's reads go on meanwhile. Before, 2,746 of 3,001 of them failed.
async fn full_disk(home: &Home, atoll: &Atoll) {
    assert_eq!(put(atoll, "/reader/bucket/default/kept").await, StatusCode::NO_CONTENT);
    atoll.limit_file_size(Some(4096));
    for _ in 0..50 {
        let (written, read) =
            tokio::join!(put(atoll, "/writer/bucket/default/a"), get(atoll, "/reader/bucket/default/kept"));
        assert!(written.is_server_error(), "{written}");
        assert_eq!(read, StatusCode::OK);
    }
    let words = &["first cause\n  store-unavailable in writer (revision "];
    prints(home, atoll, &["why", "writer"], words).await;
    atoll.limit_file_size(None);
    eventually("a write", async || put(atoll, "/writer/bucket/default/a").await.is_success().then_some(())).await;
}

/// More slow requests than there are instances.
async fn full_pool(home: &Home, atoll: &Atoll) {
    let mut clients = JoinSet::new();
    for _ in 0..20 {
        let url = format!("{}/slow/sleep?ms=50000", atoll.gateway);
        clients.spawn(async move { Http::default().get(&url).await });
    }
    let words = &["first cause\n  pool-full in slow (revision ", "of which `slow` holds most"];
    prints(home, atoll, &["why", "slow"], words).await;
    prints(home, atoll, &["ps"], &["~ slow: holds "]).await;
    clients.shutdown().await;
}

#[tokio::test]
async fn a_log_that_nobody_reads_is_a_change_of_the_host_and_so_is_its_end() {
    let home = Home::new("[log]\nqueue = \"64KiB\"\n[service.hello]\ncomponent = \"{component:fixture-hello}\"\n");
    let mut atoll = home.start_unread().await;
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        let url = format!("{}/nowhere", atoll.gateway);
        clients.spawn(async move {
            let http = Http::default();
            for _ in 0..250 {
                assert_eq!(http.get(&url).await.status, StatusCode::NOT_FOUND);
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    prints(&home, &atoll, &["changes", "--kind", "log-dropped"], &["log-dropped host: "]).await;
    atoll.read_log();
    prints(&home, &atoll, &["changes", "--kind", "log-back"], &["log-back host: lines are written again; "]).await;
}
