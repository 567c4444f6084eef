//! The one place that prints.

use super::failure::CliError;
use crate::config::{Look, ManifestErrors};
use std::io::{self, ErrorKind, IsTerminal, Write};

/// Prints a result, and a newline where it does not end with one.
///
/// # Errors
/// Standard output cannot be written; a reader that has seen enough (`atoll ps | head -1`) is none.
pub(super) fn print(text: &str) -> io::Result<()> {
    let newline = if text.ends_with('\n') { "" } else { "\n" };
    let mut out = io::stdout().lock();
    match write!(out, "{}{newline}", harmless(text)).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Prints a line that a program may wait for. A host serves on when nobody can read it.
pub(super) fn announce(line: &str) {
    let _ = print(line);
}

/// Says on standard error what went wrong and what to do.
pub(super) fn complain(error: &anyhow::Error) {
    // Where it cannot be written there is nobody to read it; the exit code tells.
    let _ = io::stderr().write_all(complaint(error, io::stderr().is_terminal()).as_bytes());
}

/// The text of a complaint, with a newline at its end.
pub(super) fn complaint(error: &anyhow::Error, terminal: bool) -> String {
    if let Some(errors) = error.downcast_ref::<ManifestErrors>() {
        // Drawn by the manifest itself, with the colours and marks of its own.
        return errors.render(if terminal { Look::Terminal } else { Look::Plain });
    }
    let help = error.downcast_ref::<CliError>().and_then(CliError::help);
    let help = help.map(|help| format!("  help: {help}\n")).unwrap_or_default();
    format!("error: {}\n{help}", harmless(&format!("{error:#}")))
}

/// The text without what would steer a terminal: parts of it come from components and from other machines.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_says_what_to_do() {
        let failure = CliError::Unreachable { admin: "http://a:1".into(), reason: "connection refused".into() };
        let text = complaint(&failure.into(), false);
        assert!(
            text.starts_with("error: cannot reach the admin at http://a:1: connection refused\n  help: "),
            "{text}"
        );
        assert!(text.contains("ATOLL_ADMIN"), "{text}");
        let chained = anyhow::anyhow!("address in use").context("the gateway");
        assert_eq!(complaint(&chained, false), "error: the gateway: address in use\n");
    }

    #[test]
    fn what_others_wrote_does_not_steer_the_terminal() {
        assert_eq!(harmless("a\u{1b}[2Jb\r\n\tc"), "a\u{fffd}[2Jb\u{fffd}\n\tc");
    }
}
