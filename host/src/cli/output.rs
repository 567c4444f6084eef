//! What a verb that shows something prints: text for people, or JSON for programs.
//!
//! This is the one place that decides it. A verb takes [`Output`] among its arguments, and says how its text is made.
//! The JSON is the document of the admin's API, as the admin sent it, wherever there is one.

use bytes::Bytes;
use clap::{Args, ValueEnum};
use serde::Serialize;

/// The form of what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum OutputForm {
    /// Tables and sentences
    #[default]
    Text,
    /// Documents of the admin's API
    Json,
}

/// The arguments of a verb that shows something.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(super) struct Output {
    /// The form of what is printed: `json` is for programs
    #[arg(id = "output", short, long = "output", value_name = "FORM", value_enum, default_value_t)]
    form: OutputForm,
    /// The same as `--output json`
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

impl Output {
    /// Whether a program reads it.
    pub(super) fn is_json(self) -> bool {
        self.json || self.form == OutputForm::Json
    }

    /// What an admin has answered, or the text that is made of it.
    ///
    /// # Errors
    /// The answer is not UTF-8.
    pub(super) fn answer(self, answer: Bytes, text: impl FnOnce() -> String) -> anyhow::Result<String> {
        Ok(if self.is_json() { String::from_utf8(answer.into())? } else { text() })
    }

    /// A document that no admin has sent in this form, or the text that is made of it.
    ///
    /// # Errors
    /// The document has no JSON form.
    pub(super) fn document<T: Serialize + ?Sized>(
        self,
        document: &T,
        text: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<String> {
        Ok(if self.is_json() { serde_json::to_string_pretty(document)? } else { text(document) })
    }

    /// One of many that are printed as they come, with its newline. As JSON each is one line.
    ///
    /// # Errors
    /// It has no JSON form.
    pub(super) fn line<T: Serialize>(self, item: &T, text: impl FnOnce(&T) -> String) -> anyhow::Result<String> {
        Ok(if self.is_json() { serde_json::to_string(item)? + "\n" } else { text(item) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::command::Command;
    use clap::{CommandFactory, Parser};
    use std::collections::BTreeSet;

    /// One line for each verb that has [`super::Output`].
    const LINES: [&str; 31] = [
        "ps",
        "routes",
        "history users",
        "rollout users",
        "apply --dry-run",
        "diff",
        "fault list",
        "trace",
        "trace 0af7651916cd43dd8448eb211c80319c",
        "key list",
        "cache show",
        "logs users",
        "logs --follow",
        "traps",
        "changes",
        "changes --follow",
        "why",
        "why users",
        "schedules",
        "node list",
        "ps --all",
        "events list",
        "events dead orders.placed mailer",
        "saga list",
        "saga show 7f",
        "limit show",
        "maintenance show",
        "replay",
        "state snapshots users",
        "audit list audit.jsonl",
        "doctor",
    ];
    /// Verbs that show something, though their help does not begin with `List` or `Show`.
    const ALSO: [&str; 5] = ["apply", "diff", "doctor", "replay", "why"];
    /// `inspect` describes one file for a person; `top` is a picture that changes.
    const FOR_PEOPLE: [&str; 2] = ["inspect", "top"];

    /// All verbs without verbs below them, by their words.
    fn leaves(command: &clap::Command, words: &str, found: &mut Vec<(String, clap::Command)>) {
        for verb in command.get_subcommands() {
            let words = format!("{words} {}", verb.get_name()).trim_start().to_owned();
            match verb.has_subcommands() {
                true => leaves(verb, &words, found),
                false => found.push((words, verb.clone())),
            }
        }
    }

    #[test]
    fn each_verb_that_lists_or_shows_has_the_output_and_no_other() {
        let mut verbs = Vec::new();
        leaves(&Command::command(), "", &mut verbs);
        let mut with_output = BTreeSet::new();
        for (words, verb) in verbs {
            let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
            let shows = about.starts_with("List") || about.starts_with("Show") || ALSO.contains(&words.as_str());
            let has = |name: &str| verb.get_arguments().any(|argument| argument.get_id() == name);
            assert_eq!(
                has("output") && has("json"),
                shows && !FOR_PEOPLE.contains(&words.as_str()),
                "{words}: {about}"
            );
            // `wit component --output` is a file.
            assert!(has("output") || !has("json"), "{words}: the flag is declared once, in `Output`");
            if has("json") {
                with_output.insert(words);
            }
        }
        let listed = |verb: &String| LINES.iter().any(|line| line.starts_with(verb.as_str()));
        assert!(with_output.iter().all(listed), "{with_output:?} against LINES");
    }

    #[test]
    fn each_form_of_the_flag_is_understood_everywhere() {
        for line in LINES.iter() {
            for flag in ["--output json", "--output=text", "-o json", "--json"] {
                let line = format!("atoll {line} {flag}");
                assert!(Command::try_parse_from(line.split_whitespace()).is_ok(), "{line}");
            }
            for wrong in ["--output yaml", "--output text --json"] {
                let line = format!("atoll {line} {wrong}");
                assert!(Command::try_parse_from(line.split_whitespace()).is_err(), "{line}");
            }
        }
    }
}
