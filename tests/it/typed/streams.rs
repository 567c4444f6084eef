//! Streams and futures between two guests: read completely, delayed, dropped and broken off.

use super::{Typed, route};
use serde_json::json;

const MIB: u64 = 1 << 20;

async fn open() -> Typed {
    let mut manifest = r#"
[gateway]
timeout = "1m"

[service.types]
component = "{component:fixture-types}"
isolation = "reuse"
limits = { memory = "16MiB", timeout = "1m" }
breaker = { failure_threshold = 1000 }

[service.relay]
component = "{component:fixture-relay}"
calls = ["types"]
isolation = "reuse"
limits = { memory = "16MiB", timeout = "1m" }
breaker = { failure_threshold = 1000 }
"#
    .to_owned();
    for path in [
        "pipe-bytes/{count}",
        "pipe-copied/{count}",
        "pipe-items/{count}",
        "sum-of/{count}",
        "length-of/{count}",
        "number-of/{value}/{pause}",
        "text-of/{value}",
        "taken/{count}/{rest}",
        "given/{count}",
        "unread",
        "broken-off/{count}",
        "ended/{count}",
        "breaks-reading/{count}",
    ] {
        let name = path.split('/').next().unwrap();
        manifest += &route(&format!("/{path}"), &format!("relay/probes#{name}"), "");
    }
    let short = "timeout = \"1s\"";
    manifest += &route("/short/taken/{count}/{rest}", "relay/probes#taken", short);
    manifest += &route("/short/number-of/{value}/{pause}", "relay/probes#number-of", short);
    manifest += &route("/short/pipe-bytes/{count}", "relay/probes#pipe-bytes", short);
    Typed::start(&manifest).await
}

#[tokio::test]
async fn streams_and_futures_of_every_size_arrive_unchanged() {
    let host = open().await;
    for count in [0, 1, 4_095, 4_096, 4_097, 65_537, 10 * MIB] {
        assert_eq!(
            host.value(&format!("/pipe-bytes/{count}")).await,
            json!({ "count": count, "intact": true }),
            "{count} bytes"
        );
    }
    assert_eq!(host.value("/pipe-copied/5000").await, json!({ "count": 5_000, "intact": true }));
    assert_eq!(host.value("/pipe-items/10000").await, json!([]));
    assert_eq!(host.value("/sum-of/100000").await, json!(99_999_u64 * 100_000 / 2));
    assert_eq!(host.value(&format!("/length-of/{}", 3 * MIB + 1)).await, json!(3 * MIB + 1));
    assert_eq!(host.value("/number-of/7/0").await, json!(7));
    assert_eq!(host.value("/number-of/4294967295/30").await, json!(u32::MAX));
    assert_eq!(host.value("/text-of/%F0%9F%8F%9D%20atoll").await, json!("🏝 atoll"));
    host.at_rest(&["relay", "types"]).await;
}

/// Each guest may have 16 MiB, so neither can hold the whole stream. The host's own memory shows that it does not
/// either.
#[tokio::test]
async fn a_stream_of_a_hundred_mebibytes_is_not_held_in_memory() {
    let host = open().await;
    assert_eq!(host.value(&format!("/pipe-bytes/{MIB}")).await["intact"], true);
    let before = host.atoll.resident();
    let (mut most, mut poll_memory) = (0, tokio::time::interval(std::time::Duration::from_millis(20)));
    let path = format!("/pipe-bytes/{}", 100 * MIB);
    let mut piped = std::pin::pin!(host.value(&path));
    let piped = loop {
        tokio::select! {
            piped = &mut piped => break piped,
            _ = poll_memory.tick() => most = most.max(host.atoll.resident()),
        }
    };
    assert_eq!(piped, json!({ "count": 100 * MIB, "intact": true }));
    assert!(most < before + 40 * 1_024, "{before} KiB before, {most} KiB at most");
}

#[tokio::test]
async fn a_reader_that_pauses_stops_the_writer() {
    let host = open().await;
    for (count, rest) in [(0, 100), (10, 100), (1_000, 0)] {
        let taken = host.value(&format!("/taken/{count}/{rest}")).await.as_u64().unwrap();
        // One item may wait between the two guests, and one more may be on its way.
        assert!((count..=count + 3).contains(&taken), "{taken} of {count} after {rest} ms");
    }
    host.at_rest(&["relay", "types"]).await;
}

#[tokio::test]
async fn a_reader_that_drops_its_stream_ends_the_writer() {
    let host = open().await;
    for count in [1, 100, 200_000] {
        let given = host.value(&format!("/given/{count}")).await;
        assert_eq!(given[0], json!({ "count": count, "intact": true }));
        let written = given[1].as_u64().unwrap();
        assert!((count..count + 256 * 1_024).contains(&written), "{written} of {count}");
    }
    assert!(host.value("/unread").await.as_u64().unwrap() < 256 * 1_024);
    // The writers have stopped: no instance is left that could still write.
    host.at_rest(&["relay", "types"]).await;
}

#[tokio::test]
async fn a_stream_that_breaks_off_traps_its_reader_and_never_looks_complete() {
    let host = open().await;
    for count in [0, 1, 10_000] {
        assert_eq!(host.failure(&format!("/broken-off/{count}")).await, (502, "trap".into()), "{count}");
    }
    host.atoll.logged("the stream broke off, because its writer failed: trap").await;
    assert_eq!(host.failure("/breaks-reading/10").await, (502, "trap".into()));
    host.atoll.logged("breaks-reading failed (trap), and its type has no error case `unavailable(string)`").await;
    assert_eq!(host.value("/pipe-bytes/1000").await["intact"], true, "other calls must still work");
    host.at_rest(&["relay", "types"]).await;
}

#[tokio::test]
async fn a_stream_that_its_writer_has_ended_is_complete_though_the_writer_then_traps() {
    let host = open().await;
    // Not 0: without a byte that is read the trap would come before the answer of the call.
    for count in [1, 2, 10_000] {
        for _ in 0..5 {
            assert_eq!(host.value(&format!("/ended/{count}")).await, count, "{count}");
        }
    }
    host.at_rest(&["relay", "types"]).await;
}

/// The callee has answered long before, with the stream. The rest of its work ends with its reader.
#[tokio::test]
async fn a_reader_past_its_deadline_ends_the_writer() {
    let host = open().await;
    for path in ["/short/taken/5/60000", "/short/number-of/1/60000", "/short/pipe-bytes/1000000000000"] {
        let started = std::time::Instant::now();
        assert_eq!(host.failure(path).await, (504, "timeout".into()), "{path}");
        host.at_rest(&["relay", "types"]).await;
        assert!(started.elapsed().as_secs() < 30, "{path}: {:?}", started.elapsed());
    }
}
