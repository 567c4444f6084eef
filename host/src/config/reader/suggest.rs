//! Suggestions for a word that is not known: the known word that is most like it.

/// The one of `known` that is most like `word`: at most a third of the letters of `word` are wrong.
fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// "did you mean `x`?" if a known word is near, otherwise the whole list; `kind` says what is listed.
pub(crate) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone, kind: &str) -> String {
    if let Some(candidate) = nearest(word, known.clone()) {
        return format!("did you mean `{candidate}`?");
    }
    let list: Vec<String> = known.into_iter().map(|word| format!("`{word}`")).collect();
    if list.is_empty() { format!("{kind}: none") } else { format!("{kind}: {}", list.join(", ")) }
}

/// The edit distance: how many letters must be inserted, deleted, replaced or exchanged with their neighbour (optimal
/// string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // rows[i][j]: the distance of the first i letters of `a` from the first j of `b`.
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_the_edits_in_both_directions() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "ab", 2),
            ("listen", "listen", 0),
            ("lsiten", "listen", 1),
            ("replica", "replicas", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn only_a_word_with_few_edits_is_suggested() {
        let known = ["listen", "drain", "timeout"];
        assert_eq!(nearest("lissen", known), Some("listen"));
        assert_eq!(nearest("time_out", known), Some("timeout"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(did_you_mean("x", known, "keys here"), "keys here: `listen`, `drain`, `timeout`");
        assert_eq!(did_you_mean("x", [], "keys here"), "keys here: none");
    }
}
