//! The bodies of requests without their coding, for a service that knows none.

use super::body_limit::UploadStatus;
use super::problem::Problem;
use crate::base::{Body, BodyError, ErrorKind, StreamedContent, header_tokens};
use crate::coding::{ContentCoding, Decoder};
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The statuses and kinds of what a route refuses that decodes bodies.
pub(super) const REFUSED: [(u16, &str); 2] = [(415, "unsupported-coding"), (400, "bad-coding")];

/// The answer to a body that becomes too many times as long without its coding.
pub(super) fn too_dense() -> Problem {
    let detail =
        "the body becomes too many times as long without its coding: send it with less compression, or with none";
    let kind = ErrorKind::BodyTooLarge.as_str();
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, kind, "The body is compressed too much", detail).closing()
}

/// The room for what one step makes.
const STEP: usize = 16 << 10;
/// So much may be made of anything: short texts may have any ratio.
const FREE: u64 = 64 << 10;

/// How a route decodes the bodies of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyDecoding {
    /// How many times as long a body may become, after its first 64 KiB.
    pub ratio: u32,
}

/// The coding of one body, and what may come out of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct EncodedUpload {
    coding: ContentCoding,
    ratio: u32,
    /// The most bytes that may come out.
    limit: u64,
}

impl BodyDecoding {
    /// The coding of the body of a request with these headers; `None` if it has none. At most `limit` bytes may come
    /// out of it.
    ///
    /// # Errors
    /// 415 with `Accept-Encoding` (RFC 7694) for a coding that is not known here, and for several codings, one around
    /// the other.
    pub(super) fn upload(self, headers: &HeaderMap, limit: u64) -> Result<Option<EncodedUpload>, Problem> {
        let mut codings =
            header_tokens(headers, &CONTENT_ENCODING).filter(|coding| !coding.eq_ignore_ascii_case(b"identity"));
        let coding = match (codings.next(), codings.next()) {
            (None, _) => return Ok(None),
            (Some(coding), None) => ContentCoding::parse(coding),
            (Some(_), Some(_)) => None,
        };
        match coding {
            Some(coding) => Ok(Some(EncodedUpload { coding, ratio: self.ratio, limit })),
            None => {
                let (title, detail) = ("The coding is not known", "a body may have one coding: br, zstd or gzip");
                let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
                let problem = Problem::new(status, "unsupported-coding", title, detail).closing();
                Err(problem.with_header(ACCEPT_ENCODING, HeaderValue::from_static("br, zstd, gzip")))
            }
        }
    }
}

impl EncodedUpload {
    /// The body without its coding. `upload` learns of one that is too long or broken.
    pub(super) fn decoded(self, body: Body, upload: &UploadStatus) -> Body {
        if body.is_end_stream() {
            return body;
        }
        let decoder = Decoder::new(self.coding);
        let (input, upload) = (Bytes::new(), upload.clone());
        let body = DecodedBody { body, upload, decoder, input, of: self, read: 0, made: 0, full: false, ended: false };
        body.boxed_unsync()
    }

    /// Takes the coding off `request`, whose body it is.
    pub(super) fn take_off(self, request: &mut Request<Body>, upload: &UploadStatus) {
        let body = std::mem::replace(request.body_mut(), crate::base::empty_body());
        *request.body_mut() = self.decoded(body, upload);
        request.headers_mut().remove(CONTENT_ENCODING);
        request.headers_mut().remove(CONTENT_LENGTH);
        StreamedContent::mark(request);
    }
}

/// A body while it is decoded.
struct DecodedBody {
    body: Body,
    upload: UploadStatus,
    decoder: Decoder,
    /// What was read of the body and is not decoded yet.
    input: Bytes,
    of: EncodedUpload,
    /// How many bytes were read and decoded.
    read: u64,
    /// How many bytes came out.
    made: u64,
    /// Whether the last step has filled its room, so that more may come without input.
    full: bool,
    ended: bool,
}

impl DecodedBody {
    /// The next piece; `None` at the end.
    fn next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        loop {
            if self.input.is_empty() && !self.full {
                match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                    // Trailer sections of requests end at the connection.
                    Some(frame) => self.input = frame?.into_data().unwrap_or_default(),
                    None if self.decoder.is_whole() => return Poll::Ready(Ok(None)),
                    None => return Poll::Ready(Err(self.broken())),
                }
            }
            let mut room = vec![0; STEP];
            let Ok((read, made)) = self.decoder.step(&self.input, &mut room) else {
                return Poll::Ready(Err(self.broken()));
            };
            drop(self.input.split_to(read));
            (self.read, self.made, self.full) = (self.read + read as u64, self.made + made as u64, made == STEP);
            if let Err(error) = self.check() {
                return Poll::Ready(Err(error));
            }
            if made > 0 {
                room.truncate(made);
                return Poll::Ready(Ok(Some(room.into())));
            }
        }
    }

    /// Whether what came out is within both bounds.
    fn check(&self) -> Result<(), BodyError> {
        let detail = if self.made > self.of.limit {
            self.upload.note_too_large();
            "the request's body is longer without its coding than its route allows"
        } else if self.made > FREE.max(self.read * u64::from(self.of.ratio)) {
            self.upload.note_too_dense();
            "the request's body becomes more times as long without its coding than `decompress_ratio` allows"
        } else {
            return Ok(());
        };
        Err(BodyError::new(ErrorKind::BodyTooLarge, detail))
    }

    fn broken(&self) -> BodyError {
        self.upload.note_broken();
        BodyError::new(ErrorKind::ClientGone, format!("the request's body: {}", self.decoder.error()))
    }
}

impl http_body::Body for DecodedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = ready!(self.next(context));
        self.ended = !matches!(next, Ok(Some(_)));
        Poll::Ready(next.transpose().map(|next| next.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

/// The problem for a body that is not of its coding.
pub(super) fn broken() -> Problem {
    let detail = "the body is not of the coding in `Content-Encoding`, or incomplete";
    Problem::bad_request("bad-coding", detail).closing()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{empty_body, full_body};
    use crate::coding::Encoder;

    fn encoded(coding: ContentCoding, content: &[u8]) -> Vec<u8> {
        let (mut encoder, mut output) = (Encoder::new(coding), Vec::new());
        encoder.push(content, &mut output).expect("it takes any bytes");
        encoder.finish(&mut output).expect("it ends");
        output
    }

    async fn decode(coding: ContentCoding, body: Vec<u8>, limit: u64, ratio: u32) -> (Option<Vec<u8>>, [bool; 3]) {
        let (body, upload) = UploadStatus::watch(full_body(body));
        let decoded = EncodedUpload { coding, ratio, limit }.decoded(body, &upload).collect().await;
        let wrong = [upload.was_too_large(), upload.was_too_dense(), upload.was_broken()];
        (decoded.ok().map(|body| body.to_bytes().to_vec()), wrong)
    }

    #[tokio::test]
    async fn a_body_is_decoded_within_its_bounds() {
        let content = b"0123456789".repeat(20_000);
        for coding in ContentCoding::ALL {
            let body = encoded(coding, &content);
            let whole = decode(coding, body.clone(), 200_000, 100_000).await;
            assert_eq!(whole, (Some(content.clone()), [false; 3]), "{coding:?}");
            let too_long = decode(coding, body.clone(), 199_999, 100_000).await;
            assert_eq!(too_long, (None, [true, false, false]), "{coding:?}: its length");
            let ratio = decode(coding, body.clone(), 200_000, 2).await;
            assert_eq!(ratio, (None, [false, true, false]), "{coding:?}: its ratio");
            let free = decode(coding, encoded(coding, &content[..60_000]), 200_000, 2).await;
            assert_eq!(free.0.map(|free| free.len()), Some(60_000), "{coding:?}: 64 KiB of any ratio");
            for broken in [&body[..body.len() - 3], b"this is no such content at all"] {
                assert_eq!(
                    decode(coding, broken.to_vec(), 200_000, 100_000).await,
                    (None, [false, false, true]),
                    "{coding:?}"
                );
            }
        }
        let (body, upload) = UploadStatus::watch(empty_body());
        let decoding = EncodedUpload { coding: ContentCoding::Gzip, ratio: 2, limit: 1 };
        assert!(decoding.decoded(body, &upload).is_end_stream(), "no body has no coding");
    }

    #[test]
    fn one_known_coding_is_taken_off() {
        let upload = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(CONTENT_ENCODING, HeaderValue::from_static(line));
            }
            BodyDecoding { ratio: 2 }.upload(&headers, 1).map(|found| found.map(|found| found.coding))
        };
        assert_eq!(upload(&[]).ok(), Some(None));
        assert_eq!(upload(&["identity"]).ok(), Some(None));
        assert_eq!(upload(&["GZIP"]).ok(), Some(Some(ContentCoding::Gzip)));
        assert_eq!(upload(&["identity, br"]).ok(), Some(Some(ContentCoding::Brotli)));
        for bad in [&["deflate"][..], &["gzip, br"], &["gzip", "gzip"], &["gzip;q=1"]] {
            assert_eq!(upload(bad).err().map(|problem| problem.status.as_u16()), Some(415), "{bad:?}");
        }
    }
}
