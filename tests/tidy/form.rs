//! The form of a text: how long its lines are, and how a file of Rust begins and ends.

use super::Breach;

/// A file longer than this has more than one subject.
const LINES_PER_FILE: usize = 500;

/// The width of a window with two files side by side. `.editorconfig` has the same number.
const COLUMNS: usize = 120;

/// The folders and files at the workspace's root whose lines are measured, and the endings of the files that count.
pub const MEASURED: [&str; 15] = [
    ".ci",
    ".github",
    "bench",
    "components",
    "docs",
    "examples",
    "fuzz",
    "host",
    "tests",
    "Cargo.toml",
    "atoll.toml",
    "clippy.toml",
    "deny.toml",
    "just",
    "justfile",
];

/// What a file of Rust breaks by its form.
pub fn breaches_of_rust(file: &str, text: &str) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut breach = |line, rule: String| breaches.push(Breach { file: file.to_owned(), line, rule });
    if !text.starts_with("//!") {
        breach(1, "the first line is a `//!` line that says what the file is about".to_owned());
    }
    let lines = text.lines().count();
    if lines > LINES_PER_FILE {
        breach(lines, format!("{lines} lines: a file has at most {LINES_PER_FILE}"));
    }
    breaches
}

/// The lines that are too long.
pub fn breaches_of_columns(file: &str, text: &str) -> Vec<Breach> {
    let is_prose = file.ends_with(".md");
    let (mut in_code, mut is_written) = (false, false);
    let mut breaches = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if is_prose && line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        // `just bench --write` fills these parts: nobody edits them.
        is_written = line.starts_with("<!-- bench:") || (is_written && !line.starts_with("<!-- /bench:"));
        let columns = if is_prose { columns_of_prose(line, in_code || is_written) } else { line.chars().count() };
        if columns > COLUMNS {
            let rule = format!("{columns} columns: a line has at most {COLUMNS}");
            breaches.push(Breach { file: file.to_owned(), line: index + 1, rule });
        }
    }
    breaches
}

/// The columns of a line of Markdown that count. Code and tables cannot be wrapped, and no target of a link can.
fn columns_of_prose(line: &str, in_code: bool) -> usize {
    if in_code || line.trim_start().starts_with('|') {
        return 0;
    }
    let mut columns = 0;
    let mut rest = line;
    while let Some((before, target)) = rest.split_once("](") {
        columns += before.chars().count() + "]".len();
        rest = target.split_once(')').map_or("", |(_, after)| after);
    }
    columns + rest.chars().count()
}

#[test]
fn the_editor_wraps_where_the_test_measures() {
    let config = std::fs::read_to_string(super::workspace().join(".editorconfig")).unwrap();
    let widths: Vec<&str> = config.lines().filter_map(|line| line.strip_prefix("max_line_length = ")).collect();
    assert_eq!(widths, [COLUMNS.to_string()]);
}
