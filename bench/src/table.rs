//! Tables in markdown, and their position in a document between two markers.

use anyhow::{Context, ensure};
use std::fmt;

/// The most characters in a line of prose: as for every document of the repository.
const COLUMNS: usize = 120;

/// A table. The first column is text, aligned to the left; the others are numbers, aligned to the right.
#[derive(Debug)]
pub(crate) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(head: [&str; N]) -> Self {
        Self { head: head.map(str::to_owned).to_vec(), rows: Vec::new() }
    }

    /// # Panics
    /// If the row has another number of cells than the head.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        assert_eq!(cells.len(), self.head.len(), "a row must have a cell for each column");
        self.rows.push(cells.to_vec());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| {} |", self.head.join(" | "))?;
        writeln!(f, "| ---{} |", " | --:".repeat(self.head.len().saturating_sub(1)))?;
        self.rows.iter().try_for_each(|row| writeln!(f, "| {} |", row.join(" | ")))
    }
}

/// `document` with `text` between the markers of `name` instead of the old text there, or at the end if there are no
/// markers.
///
/// # Errors
/// If one marker is there without the other, or they are in the wrong order: then it is unknown what is to be
/// replaced.
pub(crate) fn put(document: &str, name: &str, text: &str) -> anyhow::Result<String> {
    let (begin, end) = (format!("<!-- bench:{name} -->"), format!("<!-- /bench:{name} -->"));
    let block = format!("{begin}\n{}\n{end}", text.trim());
    let Some((before, rest)) = document.split_once(&begin) else {
        ensure!(!document.contains(&end), "there is {end} without {begin}");
        return Ok(format!("{}\n\n{block}\n", document.trim_end()));
    };
    let (_, after) = rest.split_once(&end).with_context(|| format!("there is no {end} after {begin}"))?;
    Ok(format!("{before}{block}{after}"))
}

/// `text` with its prose wrapped at [`COLUMNS`] characters. Tables and images keep their lines.
pub(crate) fn wrap(text: &str) -> String {
    let mut wrapped = String::with_capacity(text.len() + text.len() / 50);
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with(['|', '!', '<']) {
            wrapped.push_str(line);
            continue;
        }
        let indent = if line.starts_with("- ") { "  " } else { "" };
        let mut column = 0;
        for word in line.split_inclusive(' ') {
            if column > 0 && column + word.trim_end().chars().count() > COLUMNS {
                wrapped.truncate(wrapped.trim_end_matches(' ').len());
                wrapped.push('\n');
                wrapped.push_str(indent);
                column = indent.len();
            }
            wrapped.push_str(word);
            column += word.chars().count();
        }
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_printed_as_markdown() {
        let mut table = Table::new(["clients", "a", "b"]);
        table.row(["1".into(), "10".into(), "20".into()]);
        assert_eq!(table.to_string(), "| clients | a | b |\n| --- | --: | --: |\n| 1 | 10 | 20 |\n");
    }

    #[test]
    fn only_the_text_between_the_markers_is_replaced() {
        let document =
            "# Top\n\n<!-- bench:a -->\nold\n<!-- /bench:a -->\n\nmiddle <!-- bench:b -->x<!-- /bench:b --> end\n";
        let put_a = put(document, "a", "\nnew\n\n").unwrap();
        assert_eq!(put_a, document.replace("old", "new"));
        assert_eq!(put(&put_a, "a", "new").unwrap(), put_a, "writing the same text twice must change nothing");
    }

    #[test]
    fn without_markers_the_text_is_appended() {
        let put_a = put("# Top\n", "a", "text").unwrap();
        assert_eq!(put_a, "# Top\n\n<!-- bench:a -->\ntext\n<!-- /bench:a -->\n");
    }

    #[test]
    fn a_marker_without_its_partner_is_an_error() {
        for broken in ["<!-- bench:a -->", "<!-- /bench:a -->", "<!-- /bench:a --> <!-- bench:a -->"] {
            assert!(put(broken, "a", "text").is_err(), "{broken}");
        }
    }

    #[test]
    fn prose_is_wrapped_and_tables_and_images_are_not() {
        let (word, table) = ("word ".repeat(40), format!("| {} |\n", "cell ".repeat(40)));
        let wrapped = wrap(&format!("{word}end\n{table}- {word}end\n"));
        assert!(wrapped.contains(&table), "{wrapped}");
        let prose: Vec<_> = wrapped.lines().filter(|line| !line.starts_with('|')).collect();
        assert!(prose.len() == 4 && prose.iter().all(|line| line.len() <= COLUMNS), "{wrapped}");
        assert!(prose[3].starts_with("  word"), "{wrapped}");
        assert_eq!(prose.concat().matches("word").count(), 80, "{wrapped}");
    }
}
