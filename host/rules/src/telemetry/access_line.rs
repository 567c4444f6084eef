//! The access line in the formats that other programs read: NCSA's common log format, and Apache's combined one, which
//! has two fields more (<https://httpd.apache.org/docs/2.4/logs.html>).

use crate::base::civil_date;
use std::fmt::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tracing::Event;
use tracing::field::{Field, Visit};

/// How the access log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccessFormat {
    /// As a line of the log, with the fields that are always known.
    #[default]
    Short,
    /// The same with the client's address, the route, how the request was served, and what the client calls itself.
    Full,
    /// In the common log format.
    Common,
    /// In the combined log format.
    Combined,
}

/// The target of the access lines.
pub(super) const ACCESS: &str = "access";
/// The name of the events of the access log whose requests an open circuit has refused. Such a refusal costs the host
/// next to nothing, so clients that try again and again get tens of thousands in a second, and all say the same. The
/// log bounds these lines, and by the name it knows them without a look at the fields of each line.
pub const REFUSALS: &str = "refusals";

/// What an access line says, in the words of the formats.
#[derive(Debug, Default)]
pub(super) struct AccessLine {
    client: String,
    method: String,
    path: String,
    version: String,
    status: u64,
    bytes: u64,
    referer: String,
    user_agent: String,
}

impl AccessLine {
    /// The line of an event of the access log.
    pub(super) fn of(event: &Event<'_>) -> Self {
        let mut line = Self::default();
        event.record(&mut line);
        line
    }

    /// Writes the line, which was written at `now`, with its newline. The user is never known by HTTP's own login, so
    /// that field is `-`, and so is what no client has sent. The path has no query: it is often secret.
    pub(super) fn write(&self, out: &mut impl Write, now: SystemTime, combined: bool) -> fmt::Result {
        let Self { client, method, path, version, status, bytes, referer, user_agent } = self;
        write!(out, "{} - - [{}] \"", or_dash(client), clf_time(now))?;
        if method.is_empty() {
            out.write_char('-')?;
        } else {
            write!(out, "{} {} {}", escaped(method), escaped(path), or_dash(version))?;
        }
        write!(out, "\" {status} ")?;
        match bytes {
            0 => out.write_char('-')?,
            bytes => write!(out, "{bytes}")?,
        }
        if combined {
            write!(out, " \"{}\" \"{}\"", escaped(or_dash(referer)), escaped(or_dash(user_agent)))?;
        }
        out.write_char('\n')
    }
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// The text within quotes: it ends neither them nor the line, and a terminal obeys nothing of it. As Apache does it.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => safe.extend(['\\', char::from(byte)]),
            b' '..=b'~' => safe.push(char::from(byte)),
            // A string takes everything.
            byte => _ = write!(safe, "\\x{byte:02x}"),
        }
    }
    safe
}

/// `10/Oct/2000:13:55:36 +0000`
fn clf_time(time: SystemTime) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let (days, second) = (since / 86_400, since % 86_400);
    let (year, month, day) = civil_date(days);
    let name = usize::try_from(month - 1).ok().and_then(|at| MONTHS.get(at)).unwrap_or(&"???");
    let (hours, minutes, seconds) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{day:02}/{name}/{year}:{hours:02}:{minutes:02}:{seconds:02} +0000")
}

impl Visit for AccessLine {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let of = match field.name() {
            // The line of what could not be parsed has the peer alone.
            "client" | "peer" => &mut self.client,
            "method" => &mut self.method,
            "path" => &mut self.path,
            "version" => &mut self.version,
            "referer" => &mut self.referer,
            "user_agent" => &mut self.user_agent,
            _ => return,
        };
        value.clone_into(of);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "status" => self.status = value,
            "bytes" => self.bytes = value,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_that_of_apache_and_no_client_forges_another() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let text = |line: &AccessLine, combined| {
            let mut text = String::new();
            line.write(&mut text, at(971_186_136), combined).unwrap();
            text
        };
        let mut line = AccessLine {
            client: "127.0.0.1".into(),
            method: "GET".into(),
            path: "/apache_pb.gif".into(),
            version: "HTTP/1.0".into(),
            status: 200,
            bytes: 2326,
            ..AccessLine::default()
        };
        // The example of Apache's documentation, with our time zone and without a user.
        let common = "127.0.0.1 - - [10/Oct/2000:13:55:36 +0000] \"GET /apache_pb.gif HTTP/1.0\" 200 2326";
        assert_eq!(text(&line, false), format!("{common}\n"));
        line.user_agent = "a\" \"forged\n".into();
        assert_eq!(text(&line, true), format!("{common} \"-\" \"a\\\" \\\"forged\\x0a\"\n"));
        let unparsed = AccessLine { client: "10.0.0.1:7".into(), status: 400, ..AccessLine::default() };
        assert_eq!(text(&unparsed, false), "10.0.0.1:7 - - [10/Oct/2000:13:55:36 +0000] \"-\" 400 -\n");
    }
}
