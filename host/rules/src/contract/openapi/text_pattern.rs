//! Regular expressions of numbers and bytes that are written as text. Each matches exactly the canonical texts.

/// Matches the numbers from `min` to `max`, without leading zeros. `min` is at most 0, `max` is above 0.
pub(super) fn decimal(min: i128, max: i128) -> String {
    let positive = up_to(max);
    match min {
        0 => format!("^(0|{positive})$"),
        _ => format!("^(0|{positive}|-({}))$", up_to(-min)),
    }
}

/// Matches the numbers from 1 to `max`, as alternatives: first the numbers with fewer digits; then, for each digit of
/// `max`, the numbers that agree with `max` up to that digit and are smaller there.
fn up_to(max: i128) -> String {
    let digits: Vec<u8> = max.to_string().bytes().map(|digit| digit - b'0').collect();
    let mut alternatives = Vec::new();
    if digits.len() > 1 {
        alternatives.push(format!("[1-9]{}", digits_of(0, digits.len() - 2)));
    }
    let mut prefix = String::new();
    for (at, &digit) in digits.iter().enumerate() {
        let rest = digits.len() - at - 1;
        let lowest = u8::from(at == 0);
        let lower = match digit.checked_sub(1) {
            Some(highest) if highest > lowest => Some(format!("[{lowest}-{highest}]")),
            Some(highest) if highest == lowest => Some(lowest.to_string()),
            _ => None,
        };
        alternatives.extend(lower.map(|lower| format!("{prefix}{lower}{}", digits_of(rest, rest))));
        prefix.push(char::from(b'0' + digit));
    }
    alternatives.push(prefix);
    alternatives.join("|")
}

/// Matches from `least` to `most` digits.
fn digits_of(least: usize, most: usize) -> String {
    match (least, most) {
        (_, 0) => String::new(),
        (1, 1) => "[0-9]".into(),
        _ if least == most => format!("[0-9]{{{least}}}"),
        _ => format!("[0-9]{{{least},{most}}}"),
    }
}

/// Matches standard base64 with padding and with zeros as unused bits: of `count` bytes, or of any number of bytes.
pub(super) fn base64(count: Option<u32>) -> String {
    const ONE_BYTE: &str = "[A-Za-z0-9+/][AQgw]==";
    const TWO_BYTES: &str = "[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=";
    let Some(count) = count else {
        return format!("^([A-Za-z0-9+/]{{4}})*({ONE_BYTE}|{TWO_BYTES})?$");
    };
    let rest = ["", ONE_BYTE, TWO_BYTES][count as usize % 3];
    format!("^([A-Za-z0-9+/]{{4}}){{{}}}{rest}$", count / 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::string::string_regex;

    #[test]
    fn a_pattern_of_numbers_ends_at_its_bounds() {
        assert_eq!(decimal(0, 1), "^(0|1)$");
        assert_eq!(decimal(0, 255), "^(0|[1-9][0-9]{0,1}|1[0-9]{2}|2[0-4][0-9]|25[0-4]|255)$");
        assert_eq!(
            decimal(-128, 127),
            "^(0|[1-9][0-9]{0,1}|1[0-1][0-9]|12[0-6]|127|-([1-9][0-9]{0,1}|1[0-1][0-9]|12[0-7]|128))$"
        );
        assert_eq!(decimal(0, 1000), "^(0|[1-9][0-9]{0,2}|1000)$");
        assert!(decimal(0, u64::MAX.into()).ends_with("|1844674407370955161[0-4]|18446744073709551615)$"));
    }

    #[test]
    fn a_pattern_of_a_fixed_number_of_bytes_has_a_fixed_length() {
        assert_eq!(base64(Some(3)), "^([A-Za-z0-9+/]{4}){1}$");
        assert_eq!(base64(Some(1)), "^([A-Za-z0-9+/]{4}){0}[A-Za-z0-9+/][AQgw]==$");
        assert_eq!(base64(Some(32)), "^([A-Za-z0-9+/]{4}){10}[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=$");
    }

    proptest! {
        #[test]
        fn a_text_that_matches_is_a_canonical_number_within_the_bounds(
            (min, max, text) in (any::<u32>(), 1u64..).prop_flat_map(|(below, max)| {
                let (min, max) = (-i128::from(below), i128::from(max));
                let pattern = decimal(min, max);
                string_regex(&pattern[1..pattern.len() - 1]).expect("a pattern").prop_map(move |text| (min, max, text))
            }),
        ) {
            let number: i128 = text.parse().expect("digits");
            prop_assert!((min..=max).contains(&number), "{}", text);
            prop_assert_eq!(number.to_string(), text);
        }
    }
}
