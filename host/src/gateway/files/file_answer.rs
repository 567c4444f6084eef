//! The answer with a file, or a part of it.

use super::conditions::{self, FileVerdict, Validators};
use super::file_range::FileRange;
use super::opened_file::OpenedFile;
use crate::base::{Body, empty_body};
use crate::coding::ContentCoding;
use crate::gateway::disk::{DiskPermits, file_body};
use crate::gateway::problem::Problem;
use http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The file that a request gets.
pub(super) struct FoundFile {
    pub(super) file: OpenedFile,
    /// The media type, of the content before its coding.
    pub(super) media_type: &'static str,
    /// The coding of the file.
    pub(super) coding: Option<ContentCoding>,
    /// Whether another client may get another file, or the content compressed.
    pub(super) varies: bool,
}

impl FoundFile {
    /// The entity tag: when the file was changed, to the nanosecond, and its length. So it is the same on each host
    /// that has the file with its time, and another one for each coding.
    fn validators(&self) -> Validators {
        let (seconds, nanoseconds) = self.file.modified;
        let coding = self.coding.map(|coding| format!("-{}", coding.as_str())).unwrap_or_default();
        let tag = format!("\"{seconds:x}.{nanoseconds:x}-{:x}{coding}\"", self.file.length);
        Validators { tag: HeaderValue::from_str(&tag).expect("digits in quotes"), modified: seconds }
    }
}

/// The answer with `found`, by the conditions and the range of the request.
///
/// # Errors
/// 412 and 416.
pub(super) fn answer(disk: &DiskPermits, head: &Parts, found: FoundFile) -> Result<Response<Body>, Problem> {
    let (validators, length) = (found.validators(), found.file.length);
    let mut fields = HeaderMap::with_capacity(8);
    fields.insert(ETAG, validators.tag.clone());
    // A time to come must not be sent (RFC 9110, section 8.8.2.1).
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if let Some(date) = conditions::http_date(validators.modified).filter(|_| validators.modified <= now) {
        fields.insert(LAST_MODIFIED, date);
    }
    if found.varies {
        fields.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    let (status, part) = match conditions::evaluate(&head.headers, &validators, length) {
        FileVerdict::Failed => {
            let (kind, title) = ("precondition-failed", "The precondition failed");
            return Err(Problem::new(StatusCode::PRECONDITION_FAILED, kind, title, "the file is another version"));
        }
        FileVerdict::NotModified => {
            let mut answer = Response::new(empty_body());
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            *answer.headers_mut() = fields;
            return Ok(answer);
        }
        FileVerdict::Send(FileRange::Unsatisfiable) => return Err(not_satisfiable(length)),
        FileVerdict::Send(FileRange::Whole) => (StatusCode::OK, 0..length),
        FileVerdict::Send(FileRange::Part(part)) => {
            let range = format!("bytes {}-{}/{length}", part.start, part.end - 1);
            fields.insert(CONTENT_RANGE, HeaderValue::from_str(&range).expect("digits"));
            (StatusCode::PARTIAL_CONTENT, part)
        }
    };
    fields.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(found.media_type));
    fields.insert(CONTENT_LENGTH, HeaderValue::from(part.end - part.start));
    if let Some(coding) = found.coding {
        fields.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.as_str()));
    }
    let is_empty = head.method == Method::HEAD || part.is_empty();
    let body = if is_empty { empty_body() } else { file_body(disk.clone(), Arc::new(found.file.file), part, ()) };
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = fields;
    Ok(answer)
}

fn not_satisfiable(length: u64) -> Problem {
    let (title, detail) = ("The range is not in the file", format!("the file has {length} bytes"));
    let range = HeaderValue::from_str(&format!("bytes */{length}")).expect("digits");
    let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "range-not-satisfiable", title, detail);
    problem.with_header(CONTENT_RANGE, range)
}
