//! Floor 10: the verbs and the terminal.
//!
//! Owns the command line, its output and the exit codes. `run`, `check` and `inspect` call `app`. Every other verb
//! sends requests to the admin of a running host, and reads the wire types that `admin` declares.
//!
//! What always holds: results go to standard output, errors to standard error; the exit code is 0 for success, 1 for a
//! refusal or a failure, and 2 for a wrong command line or, of `diff`, a difference; an error says what to do; the
//! token is never printed.
//!
//! Never: it reads the manifest, or decides anything about services.
//!
//! From the top: `verb` → `develop`, `test`, `doctor`, `editor_files`, `wit` → `command` → `order`, `key`, `apply`,
//! `rollout`, `replay`, `trace`, `observed`, `top`, `node` → `client` → `event_stream`, `output` → `admin_connector`,
//! `failure` → `address`; `table`, `inspection` and `layout` make text, and `terminal` prints it. Tests: `tests.rs`
//! (the command line; the verbs against an admin on a loopback socket), and small tests in the files.

mod address;
mod admin_connector;
mod apply;
mod audit;
mod cache;
mod client;
mod cluster;
mod command;
mod develop;
mod doctor;
mod editor_files;
mod event_stream;
mod events;
mod export_body;
mod failure;
mod guard;
mod inspection;
mod key;
mod language_arg;
mod layout;
mod log_format_arg;
mod node;
mod observed;
mod observed_text;
mod order;
mod output;
mod replay;
mod rollout;
mod saga;
mod schedules;
mod state;
mod state_ends;
mod table;
mod terminal;
mod test;
#[cfg(test)]
mod tests;
mod top;
mod trace;
mod verb;
mod verb_examples;
mod wit;

use crate::telemetry;
use apply::WouldChange;
use clap::Parser;
use command::Command;
use std::process::ExitCode;

/// Executes the command line of this process.
pub fn main() -> ExitCode {
    let command = match Command::try_parse() {
        Ok(command) => command,
        Err(usage) => {
            // If the message cannot be written, nobody reads it. `--help` comes this way too, with exit code 0.
            let _ = usage.print();
            return u8::try_from(usage.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        }
    };
    let code = match verb::execute(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<WouldChange>() => ExitCode::from(2),
        Err(error) => {
            terminal::report(&error);
            ExitCode::FAILURE
        }
    };
    telemetry::finish();
    code
}
