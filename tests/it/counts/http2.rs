//! The counts over HTTP/2, where an answer may be h2's own, and a client goes away by a reset of its stream.

use super::super::atoll::eventually;
use super::super::http2::raw_client::{
    CONTINUATION, END_HEADERS, END_STREAM, Frame, HEADERS, RST_STREAM, RawClient, frame, get, request,
};
use super::{Counted, Metrics};
use std::collections::BTreeMap;

const MANIFEST: &str = r#"
[gateway]
rate_grace = "200ms"

[gateway.http2]
prior_knowledge = true

[service.hostile]
component = "{component:fixture-hostile}"
limits = { timeout = "10m", total = "10m" }

[[route]]
prefix = "/"
service = "hostile"
timeout = "10m"
"#;

type Ledger = BTreeMap<(String, String, String), u64>;

fn counted(metrics: &Metrics) -> Ledger {
    let ended = metrics.of("atoll_gateway_requests_total", &[]).filter(|series| series.value > 0.0);
    let label = |series: &super::Series, name| series.label(name).to_owned();
    ended.map(|one| ((label(one, "route"), label(one, "status"), label(one, "kind")), one.value as u64)).collect()
}

/// A request with a field of so many bytes, in as many frames as that takes.
fn with_field(stream: u32, bytes: usize) -> Vec<u8> {
    let block = request("GET", "/ok", &[("x-large", &"a".repeat(bytes))]);
    let mut pieces = block.chunks(16 * 1024).peekable();
    let mut frames = Vec::new();
    let (mut kind, mut flags) = (HEADERS, END_STREAM);
    while let Some(piece) = pieces.next() {
        flags |= if pieces.peek().is_none() { END_HEADERS } else { 0 };
        frames.extend(frame(kind, flags, stream, piece));
        (kind, flags) = (CONTINUATION, 0);
    }
    frames
}

/// The head of the answer on this stream.
async fn answer(client: &mut RawClient, stream: u32) -> Frame {
    loop {
        let frame = client.next_of(HEADERS).await.expect("the connection goes on");
        if frame.stream == stream {
            return frame;
        }
    }
}

#[tokio::test]
async fn over_http2_the_gateway_counts_what_its_clients_saw_too() {
    let host = Counted::start(MANIFEST).await;
    let mut client = RawClient::start(&host.atoll.gateway, &[]).await;
    let mut sent = Ledger::new();
    let mut note = |route: &str, status: &str, kind: &str| {
        *sent.entry((route.to_owned(), status.to_owned(), kind.to_owned())).or_default() += 1;
    };

    client.send(&get(1, "/ok")).await;
    assert_eq!(answer(&mut client, 1).await.status(), 200);
    note("/*", "200", "answer");

    // Above the bound of 32 KiB and below h2's; and above that too, twice: the second answer refers to the first.
    client.send(&with_field(3, 40 * 1024)).await;
    assert!(answer(&mut client, 3).await.content.len() > 16, "the gateway's answer has fields");
    note("(none)", "431", "headers-too-large");
    for stream in [5, 7] {
        client.send(&with_field(stream, 75 * 1024)).await;
        let refused = answer(&mut client, stream).await;
        assert!(refused.flags & END_STREAM != 0 && refused.content.len() <= 16, "h2's own: {refused:?}");
        note("(unparsed)", "431", "headers-too-large");
    }

    // A body that does not come.
    client.send(&frame(HEADERS, END_HEADERS, 9, &request("POST", "/ok", &[("content-length", "5")]))).await;
    answer(&mut client, 9).await;
    note("/*", "408", "slow-body");

    // A client that goes away before the head of the answer, and one within it.
    for (stream, path, status) in [(11, "/sleep?ms=600000", "499"), (13, "/stall-mid-stream", "200")] {
        client.send(&get(stream, path)).await;
        if status == "200" {
            assert_eq!(answer(&mut client, stream).await.status(), 200);
        }
        let in_flight = async || host.metrics().await.service("atoll_in_flight", "hostile");
        eventually("it is under way", async || (in_flight().await > 0.0).then_some(())).await;
        client.send(&frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())).await;
        eventually("the host has noticed", async || (in_flight().await == 0.0).then_some(())).await;
        note("/*", status, "client-gone");
    }
    assert!(client.is_alive().await, "all of this is on one connection");

    let total: u64 = sent.values().sum();
    let counts = eventually("all requests are counted", async || {
        let counts = counted(&host.metrics().await);
        (counts.values().sum::<u64>() >= total).then_some(counts)
    })
    .await;
    assert_eq!(counts, sent);
    let log = host.atoll.stop().await;
    let lines = log.iter().filter(|line| line.contains("\"target\":\"access\"")).count() as u64;
    assert_eq!(lines, total, "each has its line");
}
