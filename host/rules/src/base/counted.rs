//! A number with its noun.

use std::fmt::Display;

/// `1 change`, `2 changes`, `0 changes`: a number with the noun in the form that belongs to it.
pub fn counted<N: Display + PartialEq + From<u8>>(number: N, one: &str, more: &str) -> String {
    let noun = if number == N::from(1) { one } else { more };
    format!("{number} {noun}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural() {
        assert_eq!(counted(1_u32, "change", "changes"), "1 change");
        assert_eq!(counted(0_u64, "change", "changes"), "0 changes");
        assert_eq!(counted(2_usize, "entry", "entries"), "2 entries");
    }
}
