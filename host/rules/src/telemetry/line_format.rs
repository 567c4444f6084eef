//! Lines of the log about the log itself, in the format that the others have.

use crate::base::log_safe;
use serde_json::{Map, Value};
use std::fmt::Write;
use tracing::Level;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

/// The format of a line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Pretty,
    /// One JSON object a line, for log collectors.
    Json,
}

/// What a line says.
pub(super) struct Notice<'a> {
    pub(super) level: Level,
    pub(super) target: &'a str,
    pub(super) message: String,
    /// Names and values.
    pub(super) fields: &'a [(&'static str, String)],
    /// The number that the line is about: its name and value.
    pub(super) count: (&'static str, u64),
}

impl Notice<'_> {
    /// The line with its newline. It is made by hand: as an event it would pass the filter, which may hide it, and it
    /// would not stand at its place among the lines that wait already.
    pub(super) fn text(&self, format: LogFormat) -> String {
        let mut time = String::new();
        // Without the time the line still says what it has to say.
        let _ = SystemTime.format_time(&mut Writer::new(&mut time));
        match format {
            LogFormat::Pretty => {
                let mut text = format!("{time} {:>5} {}: {}", self.level, self.target, log_safe(&self.message));
                for (name, value) in self.fields {
                    let _ = if is_plain(value) {
                        write!(text, " {name}={value}")
                    } else {
                        write!(text, " {name}={value:?}")
                    };
                }
                let _ = writeln!(text, " {}={}", self.count.0, self.count.1);
                text
            }
            LogFormat::Json => {
                let texts = [
                    ("timestamp", time.as_str()),
                    ("level", self.level.as_str()),
                    ("message", &self.message),
                    ("target", self.target),
                ];
                let texts = texts.into_iter().chain(self.fields.iter().map(|(name, value)| (*name, value.as_str())));
                let mut object: Map<String, Value> =
                    texts.map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
                object.insert(self.count.0.to_owned(), Value::from(self.count.1));
                format!("{}\n", Value::Object(object))
            }
        }
    }
}

/// Whether a value needs no quotes: it can neither end its field nor be obeyed by a terminal. Guests choose values.
fn is_plain(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'=' | b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_forges_neither_a_field_nor_a_line() {
        let values = ["0x1f run kind=timeout", "a\nb", "\u{1b}[2J", "\u{202e}", "http://a:80", ""];
        let fields = values.map(|value| ("place", value.to_owned()));
        let line = Notice {
            level: Level::WARN,
            target: "log",
            message: "a\r\u{202e}b".into(),
            fields: &fields,
            count: ("more", 7),
        };
        let text = line.text(LogFormat::Pretty);
        let shown = r#"a\r\u{202e}b place="0x1f run kind=timeout" place="a\nb" place="\u{1b}[2J" place="\u{202e}""#;
        let rest = text.split_once("log: ").unwrap().1;
        assert_eq!(rest, format!("{shown} place=http://a:80 place=\"\" more=7\n"));
    }

    #[test]
    fn a_line_has_the_form_of_its_format() {
        let line = Notice {
            level: Level::WARN,
            target: "log",
            message: "a \"word\"".into(),
            fields: &[("service", "users".into())],
            count: ("dropped", 7),
        };
        let text = line.text(LogFormat::Pretty);
        let (time, rest) = text.split_once(' ').unwrap();
        assert!(time.ends_with('Z') && time.contains('T'), "{time}");
        assert_eq!(rest, " WARN log: a \"word\" service=users dropped=7\n");

        let json: Value = serde_json::from_str(line.text(LogFormat::Json).trim_end()).unwrap();
        assert!(json["timestamp"].as_str().unwrap().ends_with('Z'));
        assert_eq!(json["level"], "WARN");
        assert_eq!((&json["message"], &json["target"]), (&"a \"word\"".into(), &"log".into()));
        assert_eq!((&json["service"], &json["dropped"]), (&"users".into(), &7.into()));
    }
}
