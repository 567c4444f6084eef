//! Peers that abuse HTTP/2. The amounts are small: each bound is reached, and other clients are served meanwhile.

use super::host;
use super::raw_client::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, RawClient, SETTINGS,
    block, frame, get, request,
};
use crate::it::atoll::{Atoll, Http, eventually};
use crate::it::plain_server::{Behaviour, PlainServer};

/// The code ENHANCE_YOUR_CALM (RFC 9113, section 7).
const CALM: u32 = 11;

fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
}

async fn serves_others(atoll: &Atoll) {
    assert_eq!(Http::default().get(&format!("{}/x", atoll.gateway)).await.status, 200);
}

#[tokio::test]
async fn a_stream_that_is_reset_at_once_calls_no_service() {
    let plain = PlainServer::start("plain").await;
    let (atoll, _home) = host(&plain, "", "").await;
    let mut client = RawClient::start(&atoll.gateway, &[]).await;
    for round in 0..20_u32 {
        let streams = (0..10).map(|at| 2 * (10 * round + at) + 1);
        let bytes: Vec<u8> = streams.flat_map(|stream| [get(stream, "/x"), reset(stream)].concat()).collect();
        client.send(&bytes).await;
        assert!(client.is_alive().await);
    }
    assert_eq!(plain.requests(), 0);
    client.send(&get(401, "/x")).await;
    assert_eq!(client.next_of(HEADERS).await.unwrap().status(), 200);
    assert_eq!(plain.requests(), 1);
    serves_others(&atoll).await;
}

#[tokio::test]
async fn a_peer_that_resets_streams_without_end_is_sent_away() {
    let plain = PlainServer::start("plain").await;
    let (atoll, _home) = host(&plain, "", "").await;
    let mut client = RawClient::start(&atoll.gateway, &[]).await;
    let mut stream = 1;
    // 1,000 at once, and 33 in each second besides: the test takes far less than a minute.
    let mut rounds = 0;
    while rounds < 300 {
        let mut bytes = Vec::new();
        for _ in 0..10 {
            bytes.extend([get(stream, "/x"), reset(stream)].concat());
            stream += 2;
        }
        client.send(&bytes).await;
        client.send(&frame(PING, 0, 0, b"is alive")).await;
        match client.next_of(PING).await {
            Some(_) => rounds += 1,
            None => break,
        }
    }
    assert!((100..300).contains(&rounds), "{rounds} times ten resets");
    serves_others(&atoll).await;
}

#[tokio::test]
async fn floods_of_frames_that_carry_nothing_end_their_connection() {
    let plain = PlainServer::start("plain").await;
    let (atoll, _home) = host(&plain, "", "").await;
    let post = frame(HEADERS, END_HEADERS, 1, &request("POST", "/x", &[]));
    for (what, flood) in [
        ("settings", frame(SETTINGS, 0, 0, &[])),
        ("pings", frame(PING, 0, 0, &[0; 8])),
        ("empty DATA", frame(DATA, 0, 1, &[])),
        ("an unknown kind", frame(99, 0, 0, &[])),
    ] {
        let mut client = RawClient::start(&atoll.gateway, &[]).await;
        client.send(&post).await;
        for _ in 0..40 {
            if !client.send(&flood.repeat(100)).await {
                break;
            }
        }
        let code = client.end().await;
        assert!(code.is_none_or(|code| code == CALM), "{what}: {code:?}");
        serves_others(&atoll).await;
    }
    // A header block without end (CVE-2024-27316).
    let mut client = RawClient::start(&atoll.gateway, &[]).await;
    client.send(&frame(HEADERS, END_STREAM, 1, &request("GET", "/x", &[]))).await;
    let more = block(&[("a-field", "with a value that is not short")]);
    for _ in 0..4000 {
        if !client.send(&frame(CONTINUATION, 0, 1, &more)).await {
            break;
        }
    }
    client.end().await;
    serves_others(&atoll).await;
    assert_eq!(plain.seen().len(), 5, "only the others were served");
    let counted = "atoll_http2_refusals_total{reason=\"enhance-your-calm\"} 5";
    eventually("each of the five connections is counted", async || {
        let metrics = Http::default().get(&format!("{}/metrics", atoll.admin)).await;
        String::from_utf8_lossy(&metrics.body).lines().any(|line| line == counted).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_preface_and_a_header_block_have_a_deadline_and_an_idle_connection_an_end() {
    let plain = PlainServer::start("plain").await;
    let (atoll, _home) =
        host(&plain, "header_timeout = \"200ms\"\nkeep_alive = \"300ms\"\nwrite_timeout = \"300ms\"", "").await;
    let begun = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &get(1, "/x")].concat();
    for (what, bytes, code) in [
        ("nothing", Vec::new(), None),
        ("half of a preface", PREFACE[..10].to_vec(), None),
        ("a preface alone", PREFACE.to_vec(), None),
        ("half of a block", [&begun[..], &frame(HEADERS, END_STREAM, 3, &request("GET", "/x", &[]))].concat(), None),
        ("half of a frame", [&begun[..], &get(3, "/x")[..20]].concat(), None),
        ("no further request", begun.clone(), Some(0)),
    ] {
        let mut client = RawClient::connect(&atoll.gateway).await;
        client.send(&bytes).await;
        let mut last = None;
        while let Some(frame) = client.next().await {
            if frame.kind == GOAWAY {
                last = Some(frame.code());
            }
        }
        // Before a bound cuts the connection off, it may have been told to make no further stream.
        assert!(last == code || (code.is_none() && last == Some(0)), "{what}: {last:?}");
    }
    serves_others(&atoll).await;
}

#[tokio::test]
async fn a_peer_that_opens_no_window_loses_its_stream() {
    let plain = PlainServer::start("plain").await;
    let (atoll, _home) = host(&plain, "write_timeout = \"300ms\"", "").await;
    let no_window = [&4_u16.to_be_bytes()[..], &0_u32.to_be_bytes()].concat();
    let mut client = RawClient::start(&atoll.gateway, &no_window).await;
    client.send(&get(1, "/large/100000")).await;
    assert_eq!(client.next_of(HEADERS).await.unwrap().status(), 200);
    let ended = client.next_of(RST_STREAM).await.unwrap();
    assert_eq!(ended.stream, 1);
    assert!(client.is_alive().await, "the connection goes on");
    let line = atoll.logged("\"end\":\"slow\"").await;
    assert!(line.contains("/large/100000"), "{line}");
    serves_others(&atoll).await;
}

#[tokio::test]
async fn a_hundred_streams_are_served_at_a_time_and_no_more() {
    let plain = PlainServer::start("plain").await;
    let (atoll, _home) = host(&plain, "", "streams = 3").await;
    plain.behave(Behaviour::Silent);
    let mut client = RawClient::start(&atoll.gateway, &[]).await;
    for stream in [1, 3, 5] {
        client.send(&get(stream, "/x")).await;
    }
    eventually("three are served", async || (plain.requests() == 3).then_some(())).await;
    client.send(&get(7, "/x")).await;
    let refused = client.next_of(RST_STREAM).await.unwrap();
    assert_eq!((refused.stream, refused.code()), (7, 7), "REFUSED_STREAM: the client may try again");
    plain.behave(Behaviour::Works);
    let mut served: Vec<u32> = Vec::new();
    while served.len() < 3 {
        served.push(client.next_of(HEADERS).await.unwrap().stream);
    }
    served.sort_unstable();
    assert_eq!(served, [1, 3, 5]);
}
