//! One recorded call: all that the host handed the guest, and all that the guest handed back; and its file.

use super::blob::Blob;
use super::exchange::{RecordedExchange, RecordedHeader, headers_size};
use crate::base::ErrorKind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the format that this host writes, and the only one that it reads.
const FORMAT: u32 = 1;
/// The largest file that is read, in bytes: far more than a recording may have.
const MOST_FILE_BYTES: usize = 64 << 20;

/// One call of a guest, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// Its number in the store that keeps it, from 1.
    pub number: u64,
    /// The id of the request at the gateway that it served.
    pub request: String,
    /// The service.
    pub service: String,
    /// The digest of the component, 64 hex digits.
    pub revision: String,
    /// When it began, in milliseconds since 1970.
    pub began: u64,
    /// Whether the engine gave results that are the same on every machine: NaNs of one form, relaxed SIMD by rule.
    pub deterministic: bool,
    /// The bytes of memory that the instance could have.
    pub memory: u64,
    /// How many calls lay above it.
    pub depth: usize,
    /// What the guest was asked.
    pub call: RecordedCall,
    /// Who it was asked for.
    pub caller: Option<RecordedCaller>,
    /// The event that it handled.
    pub event: Option<RecordedEvent>,
    /// The values of its configuration.
    pub config: BTreeMap<String, Blob>,
    /// Its environment. A copy for outside never has the values.
    pub env: BTreeMap<String, Blob>,
    /// Its secrets beside the configuration. A copy for outside never has the values.
    pub secrets: BTreeMap<String, Blob>,
    /// What it got of clocks and randomness.
    pub inputs: RecordedInputs,
    /// What it asked for besides, in the order in which it asked.
    pub exchanges: Vec<RecordedExchange>,
    /// What it gave back.
    pub outcome: RecordedOutcome,
    /// How many values of this copy are masked.
    #[serde(default)]
    pub masked: usize,
}

/// What a guest was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordedCall {
    /// A request by HTTP.
    Http {
        /// The method.
        method: String,
        /// Path and query, or the whole address.
        target: Blob,
        /// The headers, in their order.
        headers: Vec<RecordedHeader>,
        /// The pieces of the body.
        body: Vec<Blob>,
        /// Whether the client came by TLS.
        secure: bool,
    },
    /// A call of a function.
    Function {
        /// The function: `shop:users/users@1.0.0#get`.
        name: String,
        /// The arguments, each as JSON.
        arguments: Vec<Blob>,
    },
}

/// Who a call is made for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedCaller {
    /// The subject.
    pub subject: String,
    /// The policy.
    pub policy: String,
    /// How it was proved.
    pub proof: String,
    /// The scopes.
    pub scopes: Vec<String>,
    /// The claims, as JSON.
    pub claims: Blob,
}

/// The event that a call handles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedEvent {
    /// The topic.
    pub topic: String,
    /// Its number.
    pub number: u64,
    /// What orders it.
    pub key: Option<String>,
    /// When it was published.
    pub time: u64,
    /// Which try it is.
    pub attempt: u32,
}

/// What a guest got of clocks and randomness, each in the order in which it asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedInputs {
    /// The time, in nanoseconds since 1970.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub times: Vec<u64>,
    /// The clock that never goes back, in nanoseconds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ticks: Vec<u64>,
    /// Random bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub random: Vec<Blob>,
    /// Random bytes of the interface for quick ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub insecure: Vec<Blob>,
    /// Its places in traces, as `wasi:otel` tells them: `traceparent`, a space, and `tracestate`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spans: Vec<String>,
    /// The seed for hash tables: 16 bytes.
    pub seed: Option<Blob>,
}

/// What a guest gave back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordedOutcome {
    /// An answer by HTTP.
    Http {
        /// The status.
        status: u16,
        /// The headers, in their order.
        headers: Vec<RecordedHeader>,
        /// The body.
        body: Blob,
    },
    /// The result of a function as JSON; `None` for one without.
    Function(Option<Blob>),
    /// It failed.
    Failed {
        /// The kind: `trap`, `timeout`.
        kind: String,
        /// The innermost error.
        cause: String,
        /// The functions on the stack, the innermost first.
        frames: Vec<String>,
        /// A hash of the offsets of all frames in the component's code.
        stack: Option<String>,
    },
}

/// Why a file is no recording that this host can read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordingError {
    /// It is too large.
    #[error("it has {0} bytes, and no recording has more than {MOST_FILE_BYTES}")]
    TooLarge(usize),
    /// It is of another version.
    #[error("it has format {0}, and this host reads format {FORMAT}: replay it with the version that wrote it")]
    OtherFormat(u64),
    /// It is something else.
    #[error("it is no recording: {0}")]
    NoRecording(String),
}

/// A file: the format before everything else.
#[derive(Serialize, Deserialize)]
struct RecordingFile<T> {
    atoll_recording: u32,
    recording: T,
}

impl Recording {
    /// The recording as a file has it: JSON, with text as text.
    pub fn to_file(&self) -> Vec<u8> {
        let file = RecordingFile { atoll_recording: FORMAT, recording: self };
        serde_json::to_vec_pretty(&file).expect("strings are its only keys, and no part of it refuses to be written")
    }

    /// The recording of a file.
    ///
    /// # Errors
    /// It is none that this host can read.
    pub fn from_file(bytes: &[u8]) -> Result<Self, RecordingError> {
        if bytes.len() > MOST_FILE_BYTES {
            return Err(RecordingError::TooLarge(bytes.len()));
        }
        let wrong = |error: serde_json::Error| RecordingError::NoRecording(error.to_string());
        // The version first: what follows may have another form in another version.
        let value: serde_json::Value = serde_json::from_slice(bytes).map_err(wrong)?;
        match value.get("atoll_recording").and_then(serde_json::Value::as_u64) {
            Some(format) if format == u64::from(FORMAT) => {}
            Some(format) => return Err(RecordingError::OtherFormat(format)),
            None => return Err(RecordingError::NoRecording("it has no member `atoll_recording`".into())),
        }
        let file: RecordingFile<Self> = serde_json::from_value(value).map_err(wrong)?;
        Ok(file.recording)
    }

    /// The bytes that it takes in memory, about.
    pub fn size(&self) -> usize {
        let values = |map: &BTreeMap<String, Blob>| map.iter().map(|(name, value)| name.len() + value.len()).sum();
        let parts: [usize; 7] = [
            self.call.size(),
            values(&self.config),
            values(&self.env),
            values(&self.secrets),
            self.inputs.size(),
            self.exchanges.iter().map(RecordedExchange::size).sum(),
            self.outcome.size(),
        ];
        512 + parts.iter().sum::<usize>()
    }

    /// Whether the service failed: a crash, a timeout, or an answer of 500 or more.
    pub fn has_failed(&self) -> bool {
        self.outcome.has_failed()
    }
}

impl RecordedCall {
    /// The bytes that it holds.
    pub fn size(&self) -> usize {
        match self {
            Self::Http { method, target, headers, body, .. } => {
                method.len() + target.len() + headers_size(headers) + body.iter().map(Blob::len).sum::<usize>()
            }
            Self::Function { name, arguments } => name.len() + arguments.iter().map(Blob::len).sum::<usize>(),
        }
    }

    /// What it is, without its query: `GET /users/7`, `shop:users/users@1.0.0#get`.
    pub fn in_words(&self) -> String {
        match self {
            Self::Http { method, target, .. } => {
                let target = String::from_utf8_lossy(target.bytes()).into_owned();
                format!("{method} {}", target.split_once('?').map_or(&*target, |(path, _)| path))
            }
            Self::Function { name, .. } => name.clone(),
        }
    }
}

impl RecordedInputs {
    pub(super) fn size(&self) -> usize {
        let random = self.random.iter().chain(&self.insecure).map(|bytes| 24 + bytes.len()).sum::<usize>();
        let spans = self.spans.iter().map(|span| 24 + span.len()).sum::<usize>();
        8 * (self.times.len() + self.ticks.len()) + random + spans
    }
}

impl RecordedOutcome {
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Http { headers, body, .. } => headers_size(headers) + body.len(),
            Self::Function(result) => result.as_ref().map_or(0, Blob::len),
            Self::Failed { cause, frames, .. } => cause.len() + frames.iter().map(String::len).sum::<usize>(),
        }
    }

    /// Whether the service failed: a crash, a timeout, or an answer of 500 or more.
    pub fn has_failed(&self) -> bool {
        match self {
            Self::Http { status, .. } => *status >= 500,
            Self::Function(_) => false,
            Self::Failed { .. } => true,
        }
    }

    /// Whether it took too long.
    pub fn is_late(&self) -> bool {
        matches!(self, Self::Failed { kind, .. } if *kind == ErrorKind::Timeout.as_str())
    }

    /// What it is: `200`, `a result`, `trap: wasm trap: …`.
    pub fn in_words(&self) -> String {
        match self {
            Self::Http { status, .. } => status.to_string(),
            Self::Function(_) => "a result".into(),
            Self::Failed { kind, cause, .. } => format!("{kind}: {}", cause.lines().next().unwrap_or_default()),
        }
    }
}
