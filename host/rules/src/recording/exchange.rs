//! One question of a guest to the host, and the host's answer.

use super::blob::Blob;
use serde::{Deserialize, Serialize};

/// A header: its name in lower case, and its value.
pub type RecordedHeader = (String, Blob);

/// What a guest asked the host for in a call, and what it got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedExchange {
    /// What it asked for.
    pub question: RecordedQuestion,
    /// What it got; `None`: nothing before the call ended.
    pub answer: Option<RecordedReply>,
    /// The place of the answer among the answers of the call, from 0: several questions may wait at a time.
    pub order: u32,
    /// Whether the answer was there at once, without a wait.
    pub at_once: bool,
}

/// What a guest asks the host for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordedQuestion {
    /// The values of keys of its own data.
    Get {
        /// The keys.
        keys: Vec<Blob>,
    },
    /// A page of its own data.
    Scan {
        /// What the keys begin with.
        prefix: Blob,
        /// The key that the page comes after.
        after: Option<Blob>,
        /// The most entries; 0: keys alone, by `wasi:keyvalue`.
        limit: u32,
    },
    /// The key of a cursor of `wasi:keyvalue`.
    Cursor {
        /// The cursor.
        cursor: u64,
    },
    /// Changes of its own data, with events.
    Commit(RecordedCommit),
    /// A call of a function of another service.
    Call {
        /// The service.
        service: String,
        /// The function: `shop:users/users@1.0.0#get`.
        function: String,
        /// The arguments, each as JSON.
        arguments: Vec<Blob>,
    },
    /// A request by HTTP, to another service or a host outside.
    Http {
        /// The method.
        method: String,
        /// The whole address.
        address: Blob,
        /// The headers, in their order.
        headers: Vec<RecordedHeader>,
        /// The body.
        body: Blob,
    },
}

/// What a commit changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedCommit {
    /// The version that each key must have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<(Blob, u64)>,
    /// The new value of each key; `None`: the key goes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub writes: Vec<(Blob, Option<Blob>)>,
    /// The events.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<PublishedEvent>,
}

/// An event that a guest publishes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedEvent {
    /// The topic.
    pub topic: String,
    /// What orders it.
    pub key: Option<String>,
    /// Its JSON.
    pub payload: Blob,
}

/// What a guest gets for a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordedReply {
    /// Values, each with its version; `None`: there is none.
    Values(Vec<Option<(Blob, u64)>>),
    /// A page of entries, each with its version.
    Page {
        /// The entries: key, value, version.
        entries: Vec<(Blob, Blob, u64)>,
        /// The cursor of the next page.
        next: Option<Blob>,
    },
    /// A key, or none.
    Key(Option<Blob>),
    /// A commit was made.
    Change {
        /// Its version.
        version: u64,
        /// The sums of its additions.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        sums: Vec<u64>,
    },
    /// The store refused or failed.
    Refused {
        /// The case of the guest's error.
        case: RefusalCase,
        /// Its text; of a conflict the key.
        text: String,
    },
    /// The result of a function as JSON; `None` for one without.
    Result(Option<Blob>),
    /// The call got no answer.
    Failed {
        /// The kind: `timeout`.
        kind: String,
    },
    /// An answer by HTTP.
    Response {
        /// The status.
        status: u16,
        /// The headers, in their order.
        headers: Vec<RecordedHeader>,
        /// The pieces of the body.
        body: Vec<Blob>,
        /// Whether the body broke off.
        broken: bool,
    },
}

/// The cases in which the store answers with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalCase {
    /// A key has another version than the commit demands.
    Conflict,
    /// More than the bounds allow.
    TooLarge,
    /// The store cannot answer.
    Unavailable,
    /// The service may not publish on that topic.
    NotGranted,
    /// An event is not of its topic's type.
    Refused,
}

impl RecordedExchange {
    /// The bytes that it takes, about.
    pub fn size(&self) -> usize {
        128 + self.question.size() + self.answer.as_ref().map_or(0, RecordedReply::size)
    }
}

impl RecordedQuestion {
    /// Whether it changes something outside of the call: a write, an event, a call.
    pub fn is_effect(&self) -> bool {
        !matches!(self, Self::Get { .. } | Self::Scan { .. } | Self::Cursor { .. })
    }

    /// The bytes that it holds.
    pub fn size(&self) -> usize {
        match self {
            Self::Get { keys } => keys.iter().map(Blob::len).sum(),
            Self::Scan { prefix, after, .. } => prefix.len() + after.as_ref().map_or(0, Blob::len),
            Self::Cursor { .. } => 0,
            Self::Commit(RecordedCommit { checks, writes, events }) => {
                let checks: usize = checks.iter().map(|(key, _)| key.len() + 8).sum();
                let value = |value: &Option<Blob>| value.as_ref().map_or(0, Blob::len);
                let writes: usize = writes.iter().map(|(key, new)| key.len() + value(new)).sum();
                let events: usize = events.iter().map(|event| event.topic.len() + event.payload.len()).sum();
                checks + writes + events
            }
            Self::Call { service, function, arguments } => {
                service.len() + function.len() + arguments.iter().map(Blob::len).sum::<usize>()
            }
            Self::Http { method, address, headers, body } => {
                method.len() + address.len() + headers_size(headers) + body.len()
            }
        }
    }

    /// What it is, in a few words: `commit`, `call shop:users/users@1.0.0#get`, `GET http://rates.internal/eur`.
    pub fn in_words(&self) -> String {
        match self {
            Self::Get { keys } => {
                let keys: Vec<_> = keys.iter().map(|key| String::from_utf8_lossy(key.bytes()).into_owned()).collect();
                format!("read `{}`", keys.join("`, `"))
            }
            Self::Scan { prefix, .. } => format!("scan `{}`", String::from_utf8_lossy(prefix.bytes())),
            Self::Cursor { .. } => "scan from a cursor".into(),
            Self::Commit(RecordedCommit { writes, events, .. }) if writes.is_empty() && !events.is_empty() => {
                format!("publish on `{}`", events[0].topic)
            }
            Self::Commit(RecordedCommit { writes, .. }) => match writes.first() {
                Some((key, _)) => format!("write `{}`", String::from_utf8_lossy(key.bytes())),
                None => "commit nothing".into(),
            },
            Self::Call { function, .. } => format!("call {function}"),
            Self::Http { method, address, .. } => {
                let address = String::from_utf8_lossy(address.bytes()).into_owned();
                format!("{method} {}", address.split_once('?').map_or(&*address, |(path, _)| path))
            }
        }
    }
}

impl RecordedReply {
    /// The bytes that it holds.
    pub fn size(&self) -> usize {
        match self {
            Self::Values(values) => values.iter().flatten().map(|(value, _)| value.len() + 8).sum(),
            Self::Page { entries, .. } => entries.iter().map(|(key, value, _)| key.len() + value.len() + 8).sum(),
            Self::Key(key) => key.as_ref().map_or(0, Blob::len),
            Self::Change { sums, .. } => 8 + 8 * sums.len(),
            Self::Refused { text, .. } => text.len(),
            Self::Result(result) => result.as_ref().map_or(0, Blob::len),
            Self::Failed { kind } => kind.len(),
            Self::Response { headers, body, .. } => headers_size(headers) + body.iter().map(Blob::len).sum::<usize>(),
        }
    }
}

/// The bytes of headers.
pub(super) fn headers_size(headers: &[RecordedHeader]) -> usize {
    headers.iter().map(|(name, value)| name.len() + value.len()).sum()
}
