//! A guest's request by HTTP on its tape: recorded while both bodies stream, or answered from the recording.

use super::call_tape::{CallTape, recorded_headers};
use super::recorded_body::{BodyMoment, RecordedBody};
use crate::recording::{Blob, RecordedExchange, RecordedQuestion, RecordedReply};
use bytes::Bytes;
use http::request::Parts;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use wasmtime_wasi_http::{Error, WasiBody};

/// The exchange of one request, on a tape that records, or on none.
pub(crate) struct TapedExchange {
    tape: CallTape,
    /// Its number; `None`: nothing of it is kept.
    at: Option<usize>,
}

impl TapedExchange {
    /// Begins to record the exchange that `request` opens.
    pub(crate) fn begin(tape: CallTape, request: http::Request<WasiBody>) -> (Self, http::Request<WasiBody>) {
        if tape.is_off() {
            return (Self { tape, at: None }, request);
        }
        let (parts, body) = request.into_parts();
        let at = tape.asked(|| question(&parts, Blob::default()));
        let tell = move |tape: &CallTape, moment: BodyMoment<'_>| {
            if let BodyMoment::Piece(piece) = moment {
                tape.add_to(at, piece.len(), |exchange| add_to_question(exchange, piece));
            }
        };
        let body = RecordedBody::new(body, tape.clone(), tell).boxed_unsync();
        (Self { tape, at }, http::Request::from_parts(parts, body))
    }

    /// The answer has come; its body is recorded while it streams.
    pub(crate) fn answered(self, answer: http::Response<WasiBody>) -> http::Response<WasiBody> {
        let Self { tape, at } = self;
        if tape.is_off() {
            return answer;
        }
        tape.answered(at, || RecordedReply::Response {
            status: answer.status().as_u16(),
            headers: recorded_headers(answer.headers()),
            body: Vec::new(),
            broken: false,
        });
        let tell = move |tape: &CallTape, moment: BodyMoment<'_>| match moment {
            BodyMoment::Piece(piece) => tape.add_to(at, piece.len(), |exchange| {
                if let Some(RecordedReply::Response { body, .. }) = &mut exchange.answer {
                    body.push(Blob(piece.clone()));
                }
            }),
            BodyMoment::Broken => tape.add_to(at, 0, |exchange| {
                if let Some(RecordedReply::Response { broken, .. }) = &mut exchange.answer {
                    *broken = true;
                }
            }),
            BodyMoment::End => {}
        };
        answer.map(|body| RecordedBody::new(body, tape, tell).boxed_unsync())
    }

    /// There is no answer, for this reason.
    pub(crate) fn failed(self, kind: &str) {
        self.tape.answered(self.at, || RecordedReply::Failed { kind: kind.to_owned() });
    }
}

fn add_to_question(exchange: &mut RecordedExchange, piece: &Bytes) {
    if let RecordedQuestion::Http { body, .. } = &mut exchange.question {
        *body = if body.is_empty() { Blob(piece.clone()) } else { [body.bytes(), piece].concat().into() };
    }
}

fn question(parts: &Parts, body: Blob) -> RecordedQuestion {
    RecordedQuestion::Http {
        method: parts.method.to_string(),
        address: parts.uri.to_string().into(),
        headers: recorded_headers(&parts.headers),
        body,
    }
}

/// The recorded answer to `request`, on a tape that plays; or the kind of the failure. The request goes nowhere.
pub(crate) async fn played(
    tape: &CallTape,
    request: http::Request<WasiBody>,
) -> Result<http::Response<WasiBody>, String> {
    let (parts, body) = request.into_parts();
    // A body that the guest breaks off is what it has written of it.
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    match tape.played_answer(&question(&parts, Blob(body))).await {
        Some(RecordedReply::Response { status, headers, body, broken }) => {
            let pieces = body.into_iter().map(|piece| Ok(Frame::data(piece.0)));
            let end = broken.then_some(Err(Error::HttpResponseIncomplete));
            let body = StreamBody::new(futures_util::stream::iter(pieces.chain(end).collect::<Vec<_>>()));
            let mut answer = http::Response::new(body.boxed_unsync());
            *answer.status_mut() = http::StatusCode::from_u16(status).map_err(|_| "bad-answer".to_owned())?;
            for (name, value) in headers {
                let name = http::HeaderName::from_bytes(name.as_bytes());
                if let (Ok(name), Ok(value)) = (name, http::HeaderValue::from_bytes(value.bytes())) {
                    answer.headers_mut().append(name, value);
                }
            }
            Ok(answer)
        }
        Some(RecordedReply::Failed { kind }) => Err(kind),
        _ => Err("host".into()),
    }
}
