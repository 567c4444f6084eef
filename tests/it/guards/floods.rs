//! Limits before authentication: a flood of wrong credentials reaches no issuer.

use super::super::atoll::Home;
use super::super::plain_server::PlainServer;
use super::{get, left};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// An issuer that knows no token, and counts the questions.
async fn issuer() -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                let mut head = vec![0; 4096];
                while stream.read(&mut head).await.is_ok_and(|read| read > 0) {
                    count.fetch_add(1, SeqCst);
                    let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                                  content-length: 16\r\n\r\n{\"active\":false}";
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, asked)
}

#[tokio::test]
async fn a_flood_of_wrong_tokens_is_refused_before_the_issuer_is_asked() {
    let (issuer, asked) = issuer().await;
    let upstream = PlainServer::start("only").await;
    let manifest = format!(
        r#"
[limit.floods]
rate = "1/1h"
burst = 5

[limit.callers]
rate = "1/1h"
burst = 2
by = "subject"

[auth.opaque]
kind = "introspection"
endpoint = "http://{issuer}/introspect"
client_id = "gateway"
client_secret = {{ file = "secret" }}

[service.legacy]
urls = ["http://{}"]

[[route]]
prefix = "/"
service = "legacy"
auth = "opaque"
limit = ["callers", "floods"]
"#,
        upstream.address
    );
    let home = Home::new(&manifest);
    std::fs::write(home.folder.path().join("secret"), "hush").unwrap();
    let atoll = home.start().await;
    for number in 0..5_u64 {
        let answer = get(&atoll, "/", ("authorization", &format!("Bearer wrong-{number}"))).await;
        assert_eq!(answer.status, 401, "{answer:?}");
        assert_eq!(left(&answer, "floods"), 4 - number, "a refused credential is counted");
    }
    let before = asked.load(SeqCst);
    assert!(before >= 5, "each of them was new to the issuer: {before}");
    for number in 5..30 {
        let answer = get(&atoll, "/", ("authorization", &format!("Bearer wrong-{number}"))).await;
        assert_eq!(answer.problem()["violated-policies"], serde_json::json!(["floods"]), "{answer:?}");
    }
    assert_eq!(asked.load(SeqCst), before, "the issuer learns nothing of the flood");
    assert_eq!(upstream.requests(), 0);
}
