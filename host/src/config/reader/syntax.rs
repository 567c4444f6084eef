//! Text that is not TOML: the parser's message, and how to correct the text.

use super::finding::{Finding, ManifestText, Span, ValueOrigin};
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, Error};

/// Parses the text and goes on after errors: what could be read, and one finding for each position that could not.
pub(crate) fn parse(source: &Arc<ManifestText>) -> (Spanned<DeTable<'_>>, Vec<Finding>) {
    let (table, mut errors) = DeTable::parse_recoverable(&source.text);
    errors.sort_by_key(start);
    errors.dedup_by_key(|error| start(error));
    let findings = errors.iter().map(|error| {
        let origin = error.span().map_or(ValueOrigin::Absent, |span| ValueOrigin::Text(within(span, &source.text)));
        Finding::new(source.clone(), origin, error.message(), help(error.message()))
    });
    (table, findings.collect())
}

fn start(error: &Error) -> Option<usize> {
    error.span().map(|span| span.start)
}

/// The span, cut to the text and to whole characters: the parser's span may be neither.
fn within(span: Span, text: &str) -> Span {
    let start = text.floor_char_boundary(span.start);
    start..text.ceil_char_boundary(span.end).max(start)
}

/// How to correct what the parser's message is about.
fn help(message: &str) -> &'static str {
    const HELP: &[(&str, &str)] = &[
        ("duplicate key", "the key is written further up already: keep one of the two"),
        ("must be quoted", "put the value in double quotes"),
        ("basic string", "a text begins and ends with a double quote, on one line"),
        ("literal string", "a text begins and ends with a quote, on one line"),
        ("key with no value", "write key = value"),
        ("unquoted key", "write the key in double quotes, or of letters, digits, `-` and `_` alone"),
        ("unclosed", "close the bracket or the quote that is open"),
        ("missing escaped value", "write two backslashes for one, or put the text in single quotes"),
    ];
    let known = HELP.iter().find(|(part, _)| message.contains(part));
    known.map_or("a value is a \"text\", a number, true or false, a [list] or a { table }", |(_, help)| help)
}

/// The lines of the findings: a value that was read there may not be the one that was meant.
pub(super) fn lines_of(findings: &[Finding], text: &str) -> Vec<Span> {
    let line = |span: Span| {
        let start = text.get(..span.start)?.rfind('\n').map_or(0, |newline| newline + 1);
        let length = text.get(span.end..)?.find('\n').unwrap_or(text.len() - span.end);
        Some(start..span.end + length)
    };
    findings.iter().filter_map(|finding| line(finding.span()?)).collect()
}
