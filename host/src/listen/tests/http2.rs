//! HTTP/2 where neither the real binary nor another client shows it: the age of a connection, answers of a wrong
//! length, and each reason for which a connection is ended. Everything else is in `tests/it/http2`.

use super::*;
use crate::listen::Http2Settings;
use crate::listen::wire_client::TEST_TIMEOUT;
use crate::telemetry::Http2Refusals;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// `GET /` of the host `a` on stream 1, in fields of the static table (RFC 7541, appendix A).
const GET_FRAME: &[u8] = b"\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01a";
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;

fn settings(max_age: Option<Duration>) -> Settings {
    let http2 = Http2Settings { prior_knowledge: true, max_age, ..Http2Settings::default() };
    Settings { http2: Some(http2), ..Settings::default() }
}

/// The kinds and streams of the frames that come, up to the first of this kind.
async fn frames_until(stream: &mut TcpStream, wanted: u8) -> Vec<(u8, u8)> {
    let mut seen = Vec::new();
    loop {
        let mut header = [0; 9];
        within(stream.read_exact(&mut header)).await.unwrap_or_else(|error| panic!("{error} after {seen:?}"));
        let mut content = vec![0; usize::from(header[1]) << 8 | usize::from(header[2])];
        within(stream.read_exact(&mut content)).await.expect("the content of a frame");
        seen.push((header[3], header[8]));
        if header[3] == wanted {
            return seen;
        }
    }
}

#[tokio::test]
async fn an_old_connection_takes_no_further_stream_and_finishes_those_it_has() {
    let (asked, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let service = {
        let (asked, go) = (Arc::clone(&asked), Arc::clone(&go));
        move |_, _| {
            let (asked, go) = (Arc::clone(&asked), Arc::clone(&go));
            async move {
                asked.notify_one();
                go.notified().await;
                Response::new(full_body("late"))
            }
        }
    };
    let server = serve(settings(Some(SHORT)), service).await;
    let mut stream = TcpStream::connect(server.addr).await.expect("a connection");
    stream.write_all(&[PREFACE, GET_FRAME].concat()).await.expect("bytes are taken");
    within(asked.notified()).await;
    frames_until(&mut stream, GOAWAY).await;
    go.notify_one();
    let answer = frames_until(&mut stream, 0).await;
    assert!(answer.ends_with(&[(1, 1), (0, 1)]), "head and body of stream 1: {answer:?}");
}

#[tokio::test]
async fn an_answer_of_another_length_than_its_head_says_breaks_off() {
    for (length, pieces) in [("5", vec![Ok("abc")]), ("2", vec![Ok("a"), Ok("bc")])] {
        let service = move |_, _| {
            let answer = Response::builder().header("content-length", length).body(chunks(pieces.clone()));
            async move { answer.expect("an answer") }
        };
        let server = serve(settings(None), service).await;
        let mut stream = TcpStream::connect(server.addr).await.expect("a connection");
        stream.write_all(&[PREFACE, GET_FRAME].concat()).await.expect("bytes are taken");
        let frames = frames_until(&mut stream, RST_STREAM).await;
        assert_eq!(frames.last(), Some(&(RST_STREAM, 1)), "{length}: {frames:?}");
    }
}

/// A frame of this kind, with these flags, on this stream.
fn frame(kind: u8, flags: u8, stream: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("a small frame").to_be_bytes();
    [&[0, length[0], length[1], kind, flags, 0, 0, 0, stream][..], content].concat()
}

/// Waits until so many connections were ended for each reason.
async fn refused(refusals: &Http2Refusals, expected: &[(&str, u64)]) {
    let counted = || refusals.counts().into_iter().filter(|(_, count)| *count > 0).collect::<Vec<_>>();
    let waited = timeout(TEST_TIMEOUT, async {
        while counted() != expected {
            tokio::task::yield_now().await;
        }
    });
    assert!(waited.await.is_ok(), "{:?} are not {expected:?}", counted());
}

#[tokio::test]
async fn each_connection_that_a_fault_of_its_peer_has_ended_is_counted_by_the_reason() {
    let settings = Settings { header_timeout: SHORT, ..settings(None) };
    let listener = Listener::bind(settings).await.expect("port 0 is free");
    let refusals = Arc::clone(listener.http2_refusals().expect("it speaks HTTP/2"));
    let addr = listener.local_addr().expect("it is bound");
    tokio::spawn(listener.serve(|_, _| async { Response::new(empty_body()) }, Drain::new()));
    let begun = frame(1, 1, 1, b"\x82\x86\x84");
    // One field of the static table in each: no bound of bytes is near.
    let continued = frame(9, 0, 1, b"\x90").repeat(64);
    let mut sent = Vec::new();
    for (bytes, reason) in [
        // h2's own bound on the frames of a header block, and the host's on frames that carry nothing.
        ([&*begun, &*continued].concat(), "enhance-your-calm"),
        (frame(6, 0, 0, &[0; 8]).repeat(1100), "enhance-your-calm"),
        (frame(0, 0, 0, b"x"), "protocol-error"),
        ([&[0, 0x40, 1, 0, 0, 0, 0, 0, 1][..], &[0; 0x4001]].concat(), "frame-size-error"),
        (frame(8, 0, 0, &[0x7f, 0xff, 0xff, 0xff]), "flow-control-error"),
        // The rest of the header block does not come.
        (begun, "slow-headers"),
    ] {
        let mut stream = TcpStream::connect(addr).await.expect("a connection");
        // What is sent behind the end may find no reader.
        let _ = stream.write_all(&[PREFACE, &bytes].concat()).await;
        match sent.last_mut() {
            Some((last, count)) if *last == reason => *count += 1,
            _ => sent.push((reason, 1)),
        }
        refused(&refusals, &sent).await;
    }
    // An answer, an end in order, a client that goes away, and one that ends the connection with an error of its own.
    for bytes in [GET_FRAME.to_vec(), frame(7, 0, 0, &[0; 8]), Vec::new(), frame(7, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 2])] {
        let mut stream = TcpStream::connect(addr).await.expect("a connection");
        stream.write_all(&[PREFACE, &bytes].concat()).await.expect("bytes are taken");
        stream.shutdown().await.expect("it is connected");
        // It is reset if it ends with the fault of its peer.
        let _ = within(stream.read_to_end(&mut Vec::new())).await;
    }
    refused(&refusals, &sent).await;
}
