//! How the kebab-case names of a contract are written in JSON and in queries.

/// The style of the names of fields, cases, flags and query parameters. Two names that differ in a contract differ in
/// every style.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Names {
    /// `unit_price`
    #[default]
    Snake,
    /// `unitPrice`
    Camel,
    /// `unit-price`, as the contract has it.
    Kebab,
}

impl Names {
    /// A name of the contract in this style.
    pub fn of(self, wit: &str) -> String {
        self.letters(wit).collect()
    }

    /// Appends a name of the contract to `out`, in this style.
    pub fn write(self, wit: &str, out: &mut String) {
        out.extend(self.letters(wit));
    }

    /// Whether `written` is the name `wit` of the contract in this style.
    pub fn matches(self, wit: &str, written: &str) -> bool {
        self.letters(wit).eq(written.chars())
    }

    /// The letters of the name in this style.
    ///
    /// The names of a contract differ even without regard to case, and each word of a name has one case (`get-URL`). So
    /// the snake and camel styles may write a word in lower case and still keep names apart. A word that begins with a
    /// digit has no capital, so the camel style puts `_` before it: `line-1` is `line_1`, and `line1` is `line1`.
    pub(super) fn letters(self, wit: &str) -> impl Iterator<Item = char> {
        let mut after_hyphen = false;
        wit.char_indices().filter_map(move |(at, letter)| {
            let starts_word = std::mem::replace(&mut after_hyphen, letter == '-');
            match (self, letter) {
                (Self::Kebab, _) => Some(letter),
                (Self::Snake, '-') => Some('_'),
                (Self::Camel, '-') => wit[at + 1..].starts_with(|next: char| next.is_ascii_digit()).then_some('_'),
                (Self::Camel, _) if starts_word => Some(letter.to_ascii_uppercase()),
                _ => Some(letter.to_ascii_lowercase()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Names::{Camel, Kebab, Snake};
    use proptest::prelude::*;

    #[test]
    fn a_name_is_written_and_recognised_in_each_style() {
        for (wit, snake, camel) in [
            ("id", "id", "id"),
            ("unit-price", "unit_price", "unitPrice"),
            ("get-URL-of-it", "get_url_of_it", "getUrlOfIt"),
            ("line-1", "line_1", "line_1"),
            ("line1", "line1", "line1"),
        ] {
            assert_eq!(Snake.of(wit), snake);
            assert_eq!(Camel.of(wit), camel);
            assert_eq!(Kebab.of(wit), wit);
            assert!(Snake.matches(wit, snake) && Camel.matches(wit, camel) && Kebab.matches(wit, wit));
        }
        assert!(!Snake.matches("unit-price", "unit-price"));
        assert!(!Snake.matches("unit-price", "unit_pric"));
        assert!(!Snake.matches("unit-price", "unit_price_"));
        assert!(!Camel.matches("unit-price", "unitprice"));
    }

    proptest! {
        #[test]
        fn names_that_differ_stay_different(
            a in "[ab][ab1]{0,2}(-[ab1]{1,2}){0,2}",
            b in "[ab][ab1]{0,2}(-[ab1]{1,2}){0,2}",
        ) {
            for style in [Snake, Camel, Kebab] {
                prop_assert_eq!(a == b, style.of(&a) == style.of(&b));
                prop_assert_eq!(a == b, style.matches(&a, &style.of(&b)));
            }
        }
    }
}
