//! Floor 10: the verbs and the terminal.
//!
//! Owns the command line, what is printed and the exit codes. `run`, `check` and `inspect` ask `app`; every other verb asks the admin of a running
//! host over HTTP and reads the wire types that `admin` declares.
//!
//! What always holds: results go to standard output, complaints to standard error; the exit code is 0 when it was done, 1 when it was
//! refused or failed, 2 when the command line is wrong; a complaint says what to do; the token is never printed.
//!
//! Never: reads the manifest, decides anything about services.
//!
//! Tests: `tests.rs` (the command line; the verbs against an admin on a loopback socket), and beside each noun.

mod address;
mod client;
mod command;
mod failure;
mod inspection;
mod layout;
mod order;
mod table;
mod terminal;
#[cfg(test)]
mod tests;
mod verb;

use clap::Parser;
use command::Command;
use std::process::ExitCode;

/// Does what the command line of this process says.
pub fn main() -> ExitCode {
    let command = match Command::try_parse() {
        Ok(command) => command,
        Err(usage) => {
            // Where the message cannot be written there is nobody to read of it. `--help` comes this way too, with 0.
            let _ = usage.print();
            return u8::try_from(usage.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        }
    };
    match verb::execute(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::complain(&error);
            ExitCode::FAILURE
        }
    }
}
