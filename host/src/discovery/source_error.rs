//! Why it is not known what a source names.

use super::registry_address::RegistryKind;
use http::StatusCode;
use std::io;

/// Why it is not known what a source names: a text for operators, which shows no secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    #[error("it does not answer in time")]
    Late,
    /// The look-up of a name.
    #[error("{0}")]
    Lookup(String),
    /// No connection, or one that broke.
    #[error("{0}")]
    Unreachable(String),
    #[error("it answers with status {}", .0.as_u16())]
    Status(StatusCode),
    #[error("it knows no such service (status 404)")]
    Absent,
    /// A watch began too long ago.
    #[error("it has forgotten what came before (status 410)")]
    Gone,
    #[error("{}", denied(*.kind, *.status, *.known))]
    Denied { kind: RegistryKind, status: StatusCode, known: bool },
    #[error("the secret of `[discovery.{kind}]` cannot be read: {error}")]
    Secret { kind: RegistryKind, error: io::Error },
    #[error("its answer is longer than {0} bytes: raise `answer` in `[discovery]`")]
    TooLong(usize),
    #[error("its answer cannot be read: {0}")]
    Unreadable(String),
    /// It has answered, and names nothing that can be called.
    #[error("it names no endpoint that can be called{0}")]
    Empty(String),
    #[error("this host runs in no cluster, so its API server is not known: add `?server=https://HOST:6443`")]
    NoServer,
}

impl SourceError {
    /// An answer that is not what the registry should say. The text says where, and shows nothing of the answer.
    pub(super) fn unreadable(error: &serde_json::Error) -> Self {
        Self::Unreadable(format!("{} at line {} column {}", kind_of(error), error.line(), error.column()))
    }
}

fn kind_of(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Syntax => "it is no JSON",
        serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Data | serde_json::error::Category::Io => "it has another form",
    }
}

fn denied(kind: RegistryKind, status: StatusCode, known: bool) -> String {
    let (status, word) = (
        status.as_u16(),
        if kind == RegistryKind::Consul || kind == RegistryKind::Kubernetes { "token" } else { "password" },
    );
    if known {
        format!("it refuses this host (status {status}): correct `{word}` in `[discovery.{kind}]`, or what it may read")
    } else {
        format!("it wants to know who asks (status {status}): add `{word}` to `[discovery.{kind}]`")
    }
}
