//! What an error of the server means.

use crate::state::error::StateError;
use std::error::Error as _;
use std::io;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

/// An error before the commit was asked for: nothing was applied.
pub(super) fn unavailable(place: &str, error: &Error) -> StateError {
    let problem = text(error);
    if is_damage(error) {
        return StateError::Damaged { place: place.into(), problem, bucket: None, key: None };
    }
    if is_lasting(error) {
        return StateError::Unfit { place: place.into(), problem };
    }
    StateError::Unavailable { place: place.into(), problem, cause: cause(error) }
}

/// No answer in time.
pub(super) fn silent(place: &str, seconds: u64) -> StateError {
    let problem = format!("no answer within {seconds} s");
    StateError::Unavailable { place: place.into(), problem, cause: "away" }
}

/// Whether the last server that was tried would serve, but takes no writes.
pub(super) fn takes_no_writes(error: &Error) -> bool {
    // Of the errors of a connection tokio-postgres 0.7.18 has this kind for that one (`connect_once`).
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::PermissionDenied)
}

/// What the server says, or what has happened to the connection. A message of the server names tables and users, and no
/// value.
fn text(error: &Error) -> String {
    if let Some(said) = error.as_db_error() {
        return format!("{} ({})", said.message(), said.code().code());
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Whether waiting would not help: somebody has to change the manifest or the server.
fn is_lasting(error: &Error) -> bool {
    error.code().is_some_and(|code| {
        let class = code.code().get(..2);
        class == Some("28") || [SqlState::UNDEFINED_DATABASE, SqlState::INSUFFICIENT_PRIVILEGE].contains(code)
    })
}

/// Whether the tables are not as they were made: the server has found so itself, or one of them is gone.
fn is_damage(error: &Error) -> bool {
    let damage = [
        SqlState::DATA_CORRUPTED,
        SqlState::INDEX_CORRUPTED,
        SqlState::UNDEFINED_TABLE,
        SqlState::UNDEFINED_COLUMN,
        SqlState::INVALID_SCHEMA_NAME,
    ];
    error.code().is_some_and(|code| damage.contains(code))
}

/// A cause of `atoll_state_failed_commits_total`.
fn cause(error: &Error) -> &'static str {
    match error.code() {
        Some(code) if *code == SqlState::DISK_FULL => "full",
        Some(code) if *code == SqlState::READ_ONLY_SQL_TRANSACTION => "read-only",
        Some(code) if *code == SqlState::IO_ERROR => "io",
        _ => "away",
    }
}
