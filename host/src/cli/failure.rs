//! What can go wrong between a verb and the admin.

use super::address::InvalidAddress;
use http::StatusCode;
use std::io;
use std::path::PathBuf;

/// Why a verb failed. [`CliError::help`] says what to do.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// No answer came.
    #[error("cannot reach the admin at {admin}: {reason}")]
    Unreachable { admin: String, reason: String },
    /// The answer took too long.
    #[error("the admin at {admin} did not answer within {seconds} s")]
    Silent { admin: String, seconds: u64 },
    /// The admin said no, and why; `kind` is the problem's type.
    #[error("{detail}")]
    Refused { status: StatusCode, kind: String, detail: String, request_id: String },
    /// Whatever answered is no admin of ours.
    #[error("what answers at {admin} is not the admin of an Atoll host of this version ({reason})")]
    Strange { admin: String, reason: String },
    /// The component's file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
    /// The component's file is larger than the admin accepts.
    #[error("{} is larger than a component may be, {max} MiB", path.display())]
    TooLarge { path: PathBuf, max: usize },
    /// The variable holds no address.
    #[error("ATOLL_ADMIN holds no address of an admin: {0}")]
    Address(InvalidAddress),
    /// The token cannot be sent.
    #[error("ATOLL_ADMIN_TOKEN holds something else than visible ASCII characters")]
    Token,
}

impl CliError {
    /// What to do about it, where that is not obvious.
    pub(super) fn help(&self) -> Option<String> {
        Some(match self {
            Self::Unreachable { .. } => {
                "is the host running? `atoll run` starts it; set --admin or ATOLL_ADMIN to where its admin listens"
                    .into()
            }
            Self::Silent { .. } => {
                "a change may still come about: `atoll ps` shows what serves, and the host's log says more".into()
            }
            Self::Refused { status: StatusCode::UNAUTHORIZED, .. } => {
                "set ATOLL_ADMIN_TOKEN to the token that the host was started with".into()
            }
            Self::Refused { status: StatusCode::NOT_FOUND, kind, .. } if kind.ends_with(":no-such-fault") => {
                "`atoll fault list` lists the faults that stand".into()
            }
            Self::Refused { status: StatusCode::NOT_FOUND, kind, .. } if kind.ends_with(":no-such-endpoint") => {
                "`atoll ps` lists the endpoints of each service".into()
            }
            Self::Refused { status: StatusCode::NOT_FOUND, .. } => "`atoll ps` lists the services".into(),
            Self::Refused { status: StatusCode::UNPROCESSABLE_ENTITY, .. } => {
                "nothing was changed: the revision before serves on".into()
            }
            Self::Refused { status, request_id, .. } if status.is_server_error() => {
                format!("the host's log says more, under request id {request_id}")
            }
            Self::Refused { .. } | Self::TooLarge { .. } | Self::File { .. } => return None,
            Self::Strange { .. } => {
                "is it the gateway's address? set --admin or ATOLL_ADMIN to where the admin listens".into()
            }
            Self::Address(_) => "correct it, unset it, or say --admin URL".into(),
            Self::Token => "look for a stray newline or quotes around it".into(),
        })
    }
}
