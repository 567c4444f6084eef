//! Why a request to the admin fails.

use super::address::InvalidAddress;
use crate::mesh::TlsError;
use http::StatusCode;
use std::io;
use std::path::PathBuf;

/// Why a verb failed. [`CliError::help`] says what to do.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// The admin cannot be reached.
    #[error("cannot reach the admin at {admin}: {reason}")]
    Unreachable { admin: String, reason: String },
    /// The answer took too long.
    #[error("the admin at {admin} did not answer within {seconds} s")]
    Silent { admin: String, seconds: u64 },
    /// The admin refused; `kind` is the problem's type, `detail` says why.
    #[error("{detail}")]
    Refused { status: StatusCode, kind: String, detail: String, request_id: String },
    /// The answer is not an admin's, or one of another version.
    #[error("what answers at {admin} is not the admin of an Atoll host of this version ({reason})")]
    Strange { admin: String, reason: String },
    /// An answer that comes in pieces has not come to its end.
    #[error("the data from {admin} are not whole: {reason}")]
    BrokenOff { admin: String, reason: String },
    /// The component's file cannot be read.
    #[error("cannot read {}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// The component's file is larger than the admin accepts.
    #[error("{} is larger than a component may be, {max} MiB", path.display())]
    TooLarge { path: PathBuf, max: usize },
    /// The variable is not an address.
    #[error("ATOLL_ADMIN is not the address of an admin")]
    Address(#[source] InvalidAddress),
    /// There are no authorities to check the admin's certificate against.
    #[error("cannot check the admin's certificate: {0}")]
    Ca(#[source] TlsError),
    /// The token cannot be sent.
    #[error("ATOLL_ADMIN_TOKEN has characters that are not visible ASCII")]
    Token,
}

/// What to do by the kind of a refusal.
const BY_KIND: [(&str, &str); 15] = [
    ("no-such-service", "`atoll ps` lists the services"),
    ("no-such-fault", "`atoll fault list` lists the active faults"),
    ("no-such-endpoint", "`atoll ps` lists the endpoints of each service"),
    ("no-such-rollout", "`atoll history SERVICE` lists its rollouts and revisions"),
    ("no-such-key", "`atoll key list` lists the keys"),
    ("no-such-saga", "`atoll saga list` lists those that have not ended, and with `--ended` the others"),
    ("no-such-recording", "`atoll replay` lists the recordings"),
    ("no-such-topic", "`atoll events list` lists the topics and who subscribes to them"),
    ("no-such-letter", "`atoll events dead TOPIC SERVICE` lists its dead letters"),
    ("no-such-node", "`atoll node list` lists the nodes"),
    ("event-refused", "nothing was published: correct the event, and publish it again"),
    ("input-refused", "nothing was started: correct the input; its type is `input` of [saga.NAME]"),
    ("broker-away", "nothing was changed: try again when the broker is there, as `atoll events list` shows"),
    ("topic-full", "nothing was published: `atoll events list` shows what the topic waits for"),
    ("data-refused", "a file of `atoll state export` is needed, as it was written"),
];

fn help_by_kind(kind: &str) -> Option<&'static str> {
    let kind = kind.rsplit(':').next()?;
    BY_KIND.iter().find(|(known, _)| *known == kind).map(|(_, help)| *help)
}

impl CliError {
    /// What to do, if that is not obvious.
    pub(super) fn help(&self) -> Option<String> {
        Some(match self {
            Self::Unreachable { reason, .. } if reason.contains("certificate") => {
                "name the authority that signed the admin's certificate with --ca or ATOLL_ADMIN_CA, and the host as \
                 the certificate names it"
                    .into()
            }
            Self::Unreachable { .. } => {
                "is the host running? `atoll run` starts it; set --admin or ATOLL_ADMIN to where its admin listens"
                    .into()
            }
            Self::Silent { .. } => {
                "the change may still succeed: `atoll ps` shows what serves, and the host's log says more".into()
            }
            Self::Refused { status: StatusCode::UNAUTHORIZED, .. } => {
                "set ATOLL_ADMIN_TOKEN to the token that the host was started with".into()
            }
            Self::Refused { kind, .. } if help_by_kind(kind).is_some() => help_by_kind(kind)?.into(),
            Self::Refused { status: StatusCode::UNPROCESSABLE_ENTITY, .. } => {
                "nothing was changed: the old revision still serves".into()
            }
            Self::Refused { status, request_id, .. } if status.is_server_error() => {
                format!("the host's log says more, under request id {request_id}")
            }
            Self::Refused { .. } | Self::TooLarge { .. } | Self::File { .. } => return None,
            Self::BrokenOff { .. } => {
                "the host's log says why, unless it has ended itself; what came until then is no export".into()
            }
            Self::Strange { .. } => {
                "is it the gateway's address? set --admin or ATOLL_ADMIN to where the admin listens".into()
            }
            Self::Address(_) => "correct it, unset it, or use --admin URL".into(),
            Self::Ca(_) => "name a PEM file with --ca or ATOLL_ADMIN_CA".into(),
            Self::Token => "look for a stray newline or quotes around it".into(),
        })
    }
}
