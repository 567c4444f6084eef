//! The one place that prints.

use super::failure::CliError;
use crate::config::{ManifestErrors, RenderStyle};
use crate::telemetry;
use bindings::BindingsError;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::thread;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

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

/// Like [`print()`]. Returns whether somebody still reads: whoever prints on and on stops then.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn print_on(text: &str) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{}", without_control(text.trim_end())).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true),
    }
}

/// Writes bytes to standard output as they are, for a file or another program.
///
/// # Errors
/// Standard output cannot be written: also if its reader has stopped, since what it got then is not whole.
pub(super) fn pour(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush())
}

/// The whole terminal, for pictures that replace each other. When it is dropped, the terminal is as it was.
pub(super) struct FullScreen {
    before: Option<Termios>,
    keys: mpsc::Receiver<u8>,
    interrupted: Signal,
}

/// Another screen, and no cursor; and the way back.
const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l";
const LEAVE: &str = "\u{1b}[?25h\u{1b}[?1049l";
/// The size if the terminal does not say it: that of a VT100.
const USUAL_SIZE: (usize, usize) = (80, 24);

impl FullScreen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// It cannot be written, or the system has no thread left.
    pub(super) fn enter() -> io::Result<Self> {
        let interrupted = signal(SignalKind::interrupt())?;
        let (sender, keys) = mpsc::channel(16);
        // Without a terminal there are no keys, and Ctrl-C quits.
        let before = tcgetattr(io::stdin()).ok();
        if let Some(before) = &before {
            let mut keywise = before.clone();
            // A key comes at once, and is not shown.
            keywise.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            tcsetattr(io::stdin(), OptionalActions::Now, &keywise)?;
            // It waits for a key for ever, and ends with the process.
            thread::Builder::new().name("keys".into()).spawn(move || {
                let bytes = io::stdin().lock().bytes().map_while(Result::ok);
                bytes.into_iter().all(|key| sender.blocking_send(key).is_ok())
            })?;
        }
        let screen = Self { before, keys, interrupted };
        let mut out = io::stdout().lock();
        write!(out, "{ENTER}").and_then(|()| out.flush())?;
        Ok(screen)
    }

    /// Waits until the user quits: with q, Escape or Ctrl-C.
    pub(super) async fn quit(&mut self) {
        loop {
            tokio::select! {
                _ = self.interrupted.recv() => return,
                Some(key) = self.keys.recv() => {
                    if matches!(key, b'q' | b'Q' | 0x1b | 0x03) {
                        return;
                    }
                }
            }
        }
    }

    /// Draws on a terminal that was taken over the lines that `picture` makes for a terminal of so many columns and
    /// rows.
    ///
    /// # Errors
    /// The terminal cannot be written.
    pub(super) fn draw(picture: impl FnOnce(usize, usize) -> Vec<String>) -> io::Result<()> {
        let size = tcgetwinsize(io::stdout()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
        let (columns, rows) = size.map_or(USUAL_SIZE, |size| (size.ws_col.into(), size.ws_row.into()));
        // Each line ends with "clear to the end of the line", so that nothing of the picture before stays. Without a
        // newline after the last line: it would scroll.
        let lines = picture(columns, rows).join("\u{1b}[K\r\n");
        let mut out = io::stdout().lock();
        write!(out, "\u{1b}[H{lines}\u{1b}[K\u{1b}[J").and_then(|()| out.flush())
    }
}

impl Drop for FullScreen {
    fn drop(&mut self) {
        let mut out = io::stdout().lock();
        // If the terminal is gone, nobody misses it.
        let _ = write!(out, "{LEAVE}").and_then(|()| out.flush());
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
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

/// Asks a question on standard error, and returns whether the answer is yes.
///
/// # Errors
/// There is no terminal to ask: then whoever wants the change says so on the command line.
pub(super) fn ask(question: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        anyhow::bail!("there is no terminal to ask, so nothing was changed: --yes answers all questions with yes");
    }
    let _ = write!(io::stderr(), "{} [y/N] ", without_control(question));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
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
    let help = match (error.downcast_ref::<CliError>(), error.downcast_ref::<BindingsError>()) {
        (Some(error), _) => error.help(),
        (None, Some(BindingsError::Worlds { .. })) => Some("name one of them with --world".to_owned()),
        (None, _) => None,
    };
    let help = help.map(|help| format!("  help: {help}\n")).unwrap_or_default();
    format!("error: {}\n{help}", without_control(&format!("{error:#}")))
}

/// The text without control characters. Parts of it come from components and from other machines, and could contain
/// terminal commands.
pub(super) fn without_control(text: &str) -> String {
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
        let several = BindingsError::Worlds { wit: "wit".into(), worlds: vec!["a".into(), "b".into()] };
        let text = error_text(&several.into(), false);
        assert_eq!(text, "error: wit has several worlds: a, b\n  help: name one of them with --world\n");
        let chained = anyhow::anyhow!("address in use").context("the gateway");
        assert_eq!(error_text(&chained, false), "error: the gateway: address in use\n");
    }

    #[test]
    fn control_characters_are_not_printed() {
        assert_eq!(without_control("a\u{1b}[2Jb\r\n\tc"), "a\u{fffd}[2Jb\u{fffd}\n\tc");
    }
}
