//! A share of calls.

use std::fmt;

/// Parts per million in one percent.
const PERCENT: u32 = 10_000;
/// The decimals of a percentage that is exact to one part per million.
const DECIMALS: usize = 4;

/// A share of calls, in parts per million: from none to all of them. Written as a percentage, `10%` or `0.1%`.
/// Default: none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Share(u32);

/// A text that is no [`Share`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no share of calls")]
pub struct InvalidShare {
    text: String,
    help: &'static str,
}

impl InvalidShare {
    /// How to write it.
    pub fn help(&self) -> String {
        format!("{}, like \"10%\" or \"0.1%\"", self.help)
    }
}

impl Share {
    /// No call.
    pub const NONE: Self = Self(0);
    /// Every call.
    pub const ALL: Self = Self(100 * PERCENT);

    /// Parses a percentage from `0%` to `100%`, with up to four decimals.
    ///
    /// # Errors
    /// [`InvalidShare`] for any other text; its message says what is accepted.
    pub fn parse(text: &str) -> Result<Self, InvalidShare> {
        let invalid = |help| InvalidShare { text: text.to_owned(), help };
        let number = text.strip_suffix('%').ok_or_else(|| invalid("write a percentage with `%` at its end"))?;
        let (whole, decimals) = match number.split_once('.') {
            Some((whole, decimals)) => (whole, Some(decimals)),
            None => (number, None),
        };
        // Only digits: the standard library would parse `+1` too.
        let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !decimals.is_none_or(is_number) {
            return Err(invalid("write a number and `%`, without a sign and without spaces"));
        }
        let decimals = decimals.unwrap_or_default();
        if decimals.len() > DECIMALS {
            return Err(invalid("write at most four decimals, 0.0001% is one call of a million"));
        }
        let too_large = || invalid("write at most 100%");
        let whole: u32 = whole.parse().map_err(|_| too_large())?;
        let parts = decimals.bytes().chain(std::iter::repeat(b'0')).take(DECIMALS);
        let parts = parts.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
        let share = whole.checked_mul(PERCENT).and_then(|share| share.checked_add(parts)).ok_or_else(too_large)?;
        Self::from_millionths(share).ok_or_else(too_large)
    }

    /// This many calls of a million; `None` for more than a million.
    pub fn from_millionths(millionths: u32) -> Option<Self> {
        (millionths <= Self::ALL.0).then_some(Self(millionths))
    }

    /// How many calls of a million the share is.
    pub fn millionths(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Share {
    /// Writes the share as [`Share::parse`] reads it, with no more decimals than needed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, parts) = (self.0 / PERCENT, self.0 % PERCENT);
        if parts == 0 {
            return write!(f, "{whole}%");
        }
        let decimals = format!("{parts:04}");
        write!(f, "{whole}.{}%", decimals.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn percentages_are_parsed_exactly() {
        let cases = [
            ("0%", 0),
            ("10%", 100_000),
            ("0.1%", 1_000),
            ("0.0001%", 1),
            ("12.3400%", 123_400),
            ("007%", 70_000),
            ("100%", 1_000_000),
            ("100.0000%", 1_000_000),
        ];
        for (text, millionths) in cases {
            assert_eq!(Share::parse(text).map(Share::millionths), Ok(millionths), "{text}");
        }
        assert_eq!((Share::NONE, Share::ALL), (Share::default(), Share(1_000_000)));
    }

    #[test]
    fn a_text_that_is_no_percentage_is_refused_with_help() {
        let cases = [
            ("10", "with `%` at its end"),
            ("0.1", "with `%` at its end"),
            ("", "with `%` at its end"),
            ("%", "write a number"),
            ("-1%", "without a sign"),
            ("+1%", "without a sign"),
            (" 1%", "without spaces"),
            ("1 %", "without spaces"),
            (".5%", "write a number"),
            ("5.%", "write a number"),
            ("1.2.3%", "write a number"),
            ("1e1%", "write a number"),
            ("1%%", "write a number"),
            ("٣%", "write a number"),
            ("0.00001%", "at most four decimals"),
            ("100.0001%", "at most 100%"),
            ("101%", "at most 100%"),
            ("429497%", "at most 100%"),
            ("99999999999%", "at most 100%"),
        ];
        for (text, help) in cases {
            let error = Share::parse(text).expect_err(text);
            assert_eq!(error.to_string(), format!("`{text}` is no share of calls"));
            assert!(error.help().contains(help) && error.help().contains("\"0.1%\""), "{}", error.help());
        }
    }

    proptest! {
        /// Property: every share is parsed from the text that it writes, and this text is the shortest percentage of
        /// that value.
        #[test]
        fn every_share_is_parsed_from_its_own_text(
            millionths in prop_oneof![0..=1_000_000_u32, (0..=100_u32).prop_map(|n| n * 10_000)],
        ) {
            let share = Share::from_millionths(millionths).expect("at most a million");
            let text = share.to_string();
            prop_assert_eq!(Share::parse(&text), Ok(share));
            let percent: f64 = text.trim_end_matches('%').parse().expect("a number");
            prop_assert!((percent * 10_000.0 - f64::from(millionths)).abs() < 0.01, "{} for {}", text, millionths);
            prop_assert!(!text.contains('.') || !text.ends_with("0%"), "{}", text);
            prop_assert_eq!(Share::from_millionths(millionths + 1_000_001), None);
        }
    }
}
