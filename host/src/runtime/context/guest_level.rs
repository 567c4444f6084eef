//! The level of a line that a guest printed: what the line itself says, in the forms of the usual loggers.

use serde::Deserialize;
use std::borrow::Cow;
use tracing::Level;

/// How many words at the beginning of a line may hold its level: date, time, level, in most loggers.
const FIRST_WORDS: usize = 4;

/// The members of a line of JSON that name its level, by slog, pino, zerolog, bunyan and Google's loggers.
#[derive(Deserialize)]
struct LevelMembers<'a> {
    #[serde(borrow, default)]
    level: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    severity: Option<Cow<'a, str>>,
}

/// The level that the line names; `None` if it names none.
///
/// A word in capitals among the first four is one (`2026-11-28 10:00:00 WARN cart: …`, `[ERROR] …`, `ERROR:root:…` of
/// Python), `level=warn` of logfmt, a member of JSON, and the first lines of a panic in Rust and of a traceback.
pub(super) fn named_level(line: &str) -> Option<Level> {
    let line = line.trim_start();
    if line.starts_with('{') {
        let LevelMembers { level, severity } = serde_json::from_str(line).ok()?;
        return level.or(severity).and_then(|word| of_word(&word.to_ascii_uppercase()));
    }
    if line.starts_with("Traceback (most recent call last)")
        || (line.starts_with("thread '") && line.contains(" panicked at "))
    {
        return Some(Level::ERROR);
    }
    let mut words = line.split_ascii_whitespace().take(FIRST_WORDS);
    words.find_map(|word| {
        if let Some(level) = word.strip_prefix("level=").or_else(|| word.strip_prefix("lvl=")) {
            return of_word(&level.trim_matches('"').to_ascii_uppercase());
        }
        let bare = word.trim_matches(|c: char| matches!(c, '[' | ']' | '<' | '>' | '(' | ')' | '|'));
        let marked = bare.len() < word.len() || word.contains(':');
        let bare = bare.split(':').next().unwrap_or_default();
        // A plain word in small letters is prose: `an error of mine`.
        if marked { of_word(&bare.to_ascii_uppercase()) } else { of_word(bare) }
    })
}

fn of_word(word: &str) -> Option<Level> {
    match word {
        "TRACE" => Some(Level::TRACE),
        "DEBUG" => Some(Level::DEBUG),
        "INFO" | "NOTICE" => Some(Level::INFO),
        "WARN" | "WARNING" => Some(Level::WARN),
        "ERROR" | "ERR" | "FATAL" | "CRITICAL" | "ALERT" | "EMERGENCY" | "PANIC" => Some(Level::ERROR),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_the_usual_loggers_name_a_level_and_prose_does_not() {
        for (line, level) in [
            ("2026-11-28T10:00:00Z  WARN cart: full", Some(Level::WARN)),
            ("2026-11-28 10:00:00,123 ERROR root gone", Some(Level::ERROR)),
            ("ERROR:root:gone", Some(Level::ERROR)),
            ("[warn] full", Some(Level::WARN)),
            ("error: no such file", Some(Level::ERROR)),
            ("time=10:00 level=debug msg=x", Some(Level::DEBUG)),
            ("level=\"info\" msg=x", Some(Level::INFO)),
            (r#"{"level":"warning","msg":"x"}"#, Some(Level::WARN)),
            (r#"{"severity":"CRITICAL","message":"x"}"#, Some(Level::ERROR)),
            (r#"{"level":30,"msg":"pino's numbers are not read"}"#, None),
            ("thread '<unnamed>' panicked at src/lib.rs:7:3:", Some(Level::ERROR)),
            ("Traceback (most recent call last):", Some(Level::ERROR)),
            ("an error of mine", None),
            ("one two three four ERROR", None),
            ("INFORMATION", None),
            ("{", None),
            ("", None),
        ] {
            assert_eq!(named_level(line), level, "{line}");
        }
    }
}
