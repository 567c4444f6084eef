//! The one place that prints.

use super::failure::CliError;
use crate::config::{ManifestErrors, RenderStyle};
use crate::telemetry;
use std::io::{self, ErrorKind, IsTerminal, Write};

/// Prints a result, and a newline if it does not end with one.
///
/// # Errors
/// Standard output cannot be written. A reader that stops early (`atoll ps | head -1`) is not an error.
pub(super) fn print(text: &str) -> io::Result<()> {
    let newline = if text.ends_with('\n') { "" } else { "\n" };
    let mut out = io::stdout().lock();
    match write!(out, "{}{newline}", without_control(text)).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Prints a line that a program may wait for. If it cannot be printed, or its reader stalls, the host serves all the
/// same.
pub(super) fn announce(line: &str) {
    telemetry::announce(&without_control(line));
}

/// Prints a line on standard error beside the result.
pub(super) fn note(line: &str) {
    // If it cannot be written, nobody reads it.
    let _ = writeln!(io::stderr(), "{}", without_control(line));
}

/// Prints on standard error what went wrong and what to do.
pub(super) fn report(error: &anyhow::Error) {
    let text = error_text(error, io::stderr().is_terminal());
    // The host's last words go the way of its log: its reader may have stalled.
    if !telemetry::report(&text) {
        // If standard error cannot be written, nobody reads it. The exit code shows the failure.
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

/// The text of an error, with a newline at its end.
fn error_text(error: &anyhow::Error, terminal: bool) -> String {
    if let Some(errors) = error.downcast_ref::<ManifestErrors>() {
        // `config` renders its errors itself, with colours and marks in the manifest's text.
        return errors.render(if terminal { RenderStyle::Terminal } else { RenderStyle::Plain });
    }
    let help = error.downcast_ref::<CliError>().and_then(CliError::help);
    let help = help.map(|help| format!("  help: {help}\n")).unwrap_or_default();
    format!("error: {}\n{help}", without_control(&format!("{error:#}")))
}

/// The text without control characters. Parts of it come from components and from other machines, and could contain
/// terminal commands.
fn without_control(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_printed_with_its_help() {
        let failure = CliError::Unreachable { admin: "http://a:1".into(), reason: "connection refused".into() };
        let text = error_text(&failure.into(), false);
        assert!(
            text.starts_with("error: cannot reach the admin at http://a:1: connection refused\n  help: "),
            "{text}"
        );
        assert!(text.contains("ATOLL_ADMIN"), "{text}");
        let chained = anyhow::anyhow!("address in use").context("the gateway");
        assert_eq!(error_text(&chained, false), "error: the gateway: address in use\n");
    }

    #[test]
    fn control_characters_are_not_printed() {
        assert_eq!(without_control("a\u{1b}[2Jb\r\n\tc"), "a\u{fffd}[2Jb\u{fffd}\n\tc");
    }
}
