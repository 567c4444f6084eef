//! Which answers are compressed, and how they stream.

use super::AnswerCompression;
use crate::base::{Body, BodyError, ErrorKind, empty_body, full_body};
use crate::coding::{ContentCoding, Decoder};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use std::collections::BTreeMap;
use tokio::sync::mpsc;

const TEXT: &str = "a line of text that comes again and again\n";

/// What the gateway sends for an answer with these fields and `body` to a request with those.
async fn sent(
    method: &str,
    request: &[(&str, &str)],
    status: u16,
    answer: &[(&str, &str)],
    body: Body,
) -> (BTreeMap<String, String>, Bytes) {
    let head = request.iter().fold(Request::builder().method(method), |head, (name, value)| head.header(*name, *value));
    let head = head.body(()).expect("a request").into_parts().0;
    let built =
        answer.iter().fold(Response::builder().status(status), |built, (name, value)| built.header(*name, *value));
    let compression = AnswerCompression::new(vec![ContentCoding::Zstd, ContentCoding::Brotli, ContentCoding::Gzip]);
    let (parts, body) = compression.negotiate(&head).apply(built.body(body).expect("an answer")).into_parts();
    let fields = parts.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().expect("text").into()));
    (fields.collect(), body.collect().await.expect("a whole body").to_bytes())
}

fn decoded(coding: ContentCoding, mut bytes: &[u8]) -> String {
    let (mut decoder, mut room, mut text) = (Decoder::new(coding), vec![0; 1 << 16], Vec::new());
    loop {
        let (read, made) = decoder.step(bytes, &mut room).expect("it is of the coding");
        text.extend_from_slice(&room[..made]);
        bytes = &bytes[read..];
        if bytes.is_empty() && made < room.len() {
            break;
        }
    }
    assert!(decoder.is_whole());
    String::from_utf8(text).expect("text")
}

#[tokio::test]
async fn a_text_is_compressed_by_the_coding_that_its_client_takes() {
    let text = TEXT.repeat(100);
    for (accepted, coding) in
        [("br", ContentCoding::Brotli), ("zstd", ContentCoding::Zstd), ("gzip", ContentCoding::Gzip)]
    {
        let length = text.len().to_string();
        let fields = [
            ("content-type", "text/plain"),
            ("content-length", length.as_str()),
            ("etag", "\"v1\""),
            ("accept-ranges", "bytes"),
        ];
        let (fields, body) = sent("GET", &[("accept-encoding", accepted)], 200, &fields, full_body(text.clone())).await;
        let expected = [
            ("content-encoding", coding.as_str()),
            ("content-type", "text/plain"),
            ("etag", "W/\"v1\""),
            ("vary", "Accept-Encoding"),
        ];
        assert_eq!(fields, expected.map(|(name, value)| (name.into(), value.into())).into(), "{accepted}");
        assert!(body.len() * 10 < text.len());
        assert_eq!(decoded(coding, &body), text);
    }
}

/// What is never compressed, each with whether `Vary` is there all the same.
#[tokio::test]
async fn what_must_stay_as_it_is_stays() {
    let text = || full_body(TEXT.repeat(100));
    let plain = ("content-type", "text/plain");
    type Fields<'a> = &'a [(&'a str, &'a str)];
    let cases: [(&str, u16, Fields<'_>, bool); 14] = [
        ("another type", 200, &[("content-type", "image/png")], false),
        ("no type", 200, &[], false),
        ("events", 200, &[("content-type", "text/event-stream; charset=utf-8")], false),
        ("compressed already", 200, &[plain, ("content-encoding", "br")], false),
        ("no-transform", 200, &[plain, ("cache-control", "public, No-Transform")], false),
        ("a part", 206, &[plain, ("content-range", "bytes 0-9/100")], false),
        ("parts", 206, &[("content-type", "multipart/byteranges; boundary=a")], false),
        ("not satisfiable", 416, &[plain, ("content-range", "bytes */100")], false),
        ("no content", 204, &[plain], false),
        ("reset", 205, &[plain], false),
        ("a digest", 200, &[plain, ("content-digest", "sha-256=:AA==:")], false),
        ("a signature", 200, &[plain, ("signature", "sig=:AA==:")], false),
        ("tiny", 200, &[plain, ("content-length", "1023")], false),
        ("another protocol", 101, &[plain], false),
    ];
    for (what, status, fields, varies) in cases {
        let (sent, body) = sent("GET", &[("accept-encoding", "gzip")], status, fields, text()).await;
        let encoding = fields.iter().find(|(name, _)| *name == "content-encoding").map(|(_, value)| *value);
        assert_eq!(sent.get("content-encoding").map(String::as_str), encoding, "{what}");
        assert_eq!((sent.contains_key("vary"), body), (varies, TEXT.repeat(100).into()), "{what}");
    }
    let (fields, body) = sent("GET", &[], 200, &[plain, ("etag", "\"v1\"")], text()).await;
    assert_eq!((fields["vary"].as_str(), fields["etag"].as_str()), ("Accept-Encoding", "\"v1\""));
    assert_eq!((fields.get("content-encoding"), body.len()), (None, TEXT.len() * 100), "the client takes no coding");
    let (fields, _) = sent("GET", &[("accept-encoding", "gzip")], 200, &[plain], full_body("tiny")).await;
    assert_eq!(fields.get("content-encoding"), None, "its length is known without a field");
}

#[tokio::test]
async fn an_answer_without_content_has_the_fields_of_the_one_with_content() {
    let accepts = ("accept-encoding", "gzip");
    let fields = [("content-type", "text/plain"), ("content-length", "9000"), ("etag", "\"v1\"")];
    let (head, body) = sent("HEAD", &[accepts], 200, &fields, empty_body()).await;
    assert_eq!((head["content-encoding"].as_str(), head["etag"].as_str(), body.len()), ("gzip", "W/\"v1\"", 0));
    assert!(!head.contains_key("content-length"), "that of the content before its compression");
    for (known, tag) in
        [("W/\"v1\"", "W/\"v1\""), ("\"v0\", W/\"v1\"", "W/\"v1\""), ("\"v1\"", "\"v1\""), ("*", "\"v1\"")]
    {
        let request = [accepts, ("if-none-match", known)];
        let (fields, _) = sent("GET", &request, 304, &[("etag", "\"v1\""), ("vary", "Origin")], empty_body()).await;
        assert_eq!(fields["etag"], tag, "{known}");
    }
    let (fields, _) = sent("GET", &[accepts], 304, &[("vary", "Cookie, accept-encoding")], empty_body()).await;
    assert_eq!(fields["vary"], "Cookie, accept-encoding");
    let (fields, _) = sent("GET", &[accepts], 304, &[], empty_body()).await;
    assert_eq!(fields["vary"], "Accept-Encoding");
}

#[tokio::test]
async fn a_line_is_sent_when_the_service_is_silent_and_a_broken_body_stays_broken() {
    for coding in ContentCoding::ALL {
        let (service, lines) = mpsc::channel::<Result<Frame<Bytes>, BodyError>>(4);
        let lines = futures_util::stream::unfold(lines, async |mut lines| Some((lines.recv().await?, lines)));
        let head = Request::builder().header("accept-encoding", coding.as_str()).body(()).expect("a request");
        let answer = Response::builder().header("content-type", "text/plain");
        let answer = answer.body(StreamBody::new(Box::pin(lines)).boxed_unsync()).expect("an answer");
        let compression = AnswerCompression::new(ContentCoding::ALL.to_vec());
        let mut body = compression.negotiate(&head.into_parts().0).apply(answer).into_body();
        let (mut decoder, mut room) = (Decoder::new(coding), [0; 4096]);
        for line in ["one\n", "two\n"] {
            service.send(Ok(Frame::data(line.into()))).await.expect("it is read");
            let mut text = Vec::new();
            while text != line.as_bytes() {
                let frame = body.frame().await.expect("a frame").expect("a whole one").into_data().expect("data");
                let mut rest = &frame[..];
                while !rest.is_empty() {
                    let (read, made) = decoder.step(rest, &mut room).expect("it is of the coding");
                    text.extend_from_slice(&room[..made]);
                    rest = &rest[read..];
                }
            }
        }
        service.send(Err(BodyError::new(ErrorKind::Reset, "broken"))).await.expect("it is read");
        let broken = body.frame().await.expect("a frame").expect_err("it is broken");
        assert_eq!(broken.kind, ErrorKind::Reset);
        assert!(body.frame().await.is_none() && !decoder.is_whole(), "no end that looks whole");
    }
}

#[tokio::test]
async fn a_long_body_is_compressed_in_turns_and_keeps_its_trailer_section() {
    let text = TEXT.repeat(10_000);
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
    let frames = [Frame::data(Bytes::from(text.clone())), Frame::trailers(trailers)].map(Ok::<_, BodyError>);
    let body = StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync();
    let head = Request::builder().header("accept-encoding", "br").body(()).expect("a request").into_parts().0;
    let answer = Response::builder().header("content-type", "text/plain").body(body).expect("an answer");
    let answer = AnswerCompression::new(vec![ContentCoding::Brotli]).negotiate(&head).apply(answer);
    let collected = answer.into_body().collect().await.expect("a whole body");
    assert_eq!(collected.trailers().expect("a trailer section")["grpc-status"], "0");
    assert_eq!(decoded(ContentCoding::Brotli, &collected.to_bytes()), text);
}
