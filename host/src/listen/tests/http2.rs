//! HTTP/2 where neither the real binary nor another client shows it: the age of a connection, and answers of a wrong
//! length. Everything else is in `tests/it/http2`.

use super::*;
use crate::listen::Http2Settings;
use tokio::io::AsyncReadExt;

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
