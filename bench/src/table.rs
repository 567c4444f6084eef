//! Tables in markdown, and their place in a document, between two markers.

use anyhow::{Context, ensure};
use std::fmt;

/// A table: numbers to the right, text (the first column) to the left.
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
        assert_eq!(cells.len(), self.head.len(), "a row has a cell for each column");
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

/// `document` with `text` between the markers of `name`, in the place of what stood there; at the end, where there are no markers yet.
///
/// # Errors
/// If one marker is there without the other, or they are the wrong way round: nobody can say what was to be replaced.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table() {
        let mut table = Table::new(["clients", "a", "b"]);
        table.row(["1".into(), "10".into(), "20".into()]);
        assert_eq!(table.to_string(), "| clients | a | b |\n| --- | --: | --: |\n| 1 | 10 | 20 |\n");
    }

    #[test]
    fn what_stands_between_the_markers_is_replaced_and_nothing_else() {
        let document =
            "# Top\n\n<!-- bench:a -->\nold\n<!-- /bench:a -->\n\nmiddle <!-- bench:b -->x<!-- /bench:b --> end\n";
        let put_a = put(document, "a", "\nnew\n\n").unwrap();
        assert_eq!(put_a, document.replace("old", "new"));
        assert_eq!(put(&put_a, "a", "new").unwrap(), put_a, "twice is once");
    }

    #[test]
    fn without_markers_it_goes_to_the_end() {
        let put_a = put("# Top\n", "a", "text").unwrap();
        assert_eq!(put_a, "# Top\n\n<!-- bench:a -->\ntext\n<!-- /bench:a -->\n");
    }

    #[test]
    fn a_marker_without_its_partner_is_an_error() {
        for broken in ["<!-- bench:a -->", "<!-- /bench:a -->", "<!-- /bench:a --> <!-- bench:a -->"] {
            assert!(put(broken, "a", "text").is_err(), "{broken}");
        }
    }
}
