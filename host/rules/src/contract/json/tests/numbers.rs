//! Numbers are decided by their texts, and never by a double that was rounded to another number.

use super::{Names, ReadError, SampleValue, Type, Value, Violation, read, read_text, violations};
use crate::contract::testing::record;
use proptest::prelude::*;
use std::sync::Arc;

/// Texts that a double rounds to a whole number, each with a type whose bounds hold that number.
const ROUNDED: [(&str, Type); 12] = [
    ("4503599627370497.5", Type::U64),
    ("-4503599627370497.5", Type::S64),
    ("0.99999999999999999999", Type::U8),
    ("255.00000000000000001", Type::U8),
    ("-128.00000000000000001", Type::S8),
    ("65535.000000000000001", Type::U16),
    ("4294967295.0000000001", Type::U32),
    ("1e-400", Type::U32),
    ("-1e-400", Type::S32),
    ("10000000000000000000000000000000000000001e-40", Type::S16),
    ("1e-99999999999999999999999999", Type::U64),
    ("9007199254740990.99999", Type::U64),
];

/// Texts that stand for a whole number, each with that number.
const WHOLE: [(&str, i128); 14] = [
    ("1.0", 1),
    ("1.000000000000000000000000000000000000000000000000000000000000", 1),
    ("10e-1", 1),
    ("7e2", 700),
    ("0.7E+3", 700),
    ("-0", 0),
    ("-0.0", 0),
    ("0e400", 0),
    ("0e-99999999999999999999999999", 0),
    ("0.0e99999999999999999999999999", 0),
    ("9007199254740991.0", 9_007_199_254_740_991),
    ("-9007199254740991.000", -9_007_199_254_740_991),
    ("9007199254740991000e-3", 9_007_199_254_740_991),
    ("4503599627370497.0", 4_503_599_627_370_497),
];

fn all_of(ty: &Type, text: &str) -> Result<SampleValue, ReadError> {
    read(ty, Names::Snake, text.as_bytes())
}

#[test]
fn a_number_with_a_fraction_is_never_rounded_to_a_whole_number() {
    for (text, ty) in ROUNDED {
        let found = violations(&ty, text);
        assert!(found[0].1.starts_with("must be a whole number from "), "{text}: {found:?}");
        let shown = if text.len() > 40 { "a number of " } else { text };
        assert!(found[0].1.contains(&format!(", not {shown}")), "{text}: {found:?}");
        assert!(read_text::<SampleValue>(&ty, Names::Snake, text).is_err(), "{text} in a path or a query");
        let map = Type::Map(Arc::new(ty), Arc::new(Type::Bool));
        assert!(all_of(&map, &format!("{{\"{text}\": true}}")).is_err(), "{text} as a key");
    }
}

#[test]
fn a_number_whose_fraction_is_zero_is_whole() {
    for (text, number) in WHOLE {
        assert_eq!(all_of(&Type::S64, text), Ok(SampleValue::Integer(number)), "{text}");
    }
}

#[test]
fn a_number_beyond_a_double_is_json_and_a_violation_of_its_type() {
    let violation = |ty: &Type, text: &str| violations(ty, text)[0].1.clone();
    let whole = "must be a whole number from 0 to 255";
    assert_eq!(violation(&Type::U8, "1e400"), format!("{whole}, not 1e400"));
    assert_eq!(violation(&Type::U8, "1e99999999999999999999999"), format!("{whole}, not 1e99999999999999999999999"));
    assert_eq!(violation(&Type::U8, &"9".repeat(400)), format!("{whole}, not a number of 400 characters"));
    assert_eq!(violation(&Type::F64, "-1e400"), "must be a number that 64 bits can hold, not -1e400");
    assert_eq!(violation(&Type::F32, "1e400"), "must be a number that 32 bits can hold, not 1e400");
    let beyond = "18446744073709551616";
    let u64 = "must be a whole number from 0 to 18446744073709551615";
    assert_eq!(violation(&Type::U64, beyond), format!("{u64}, not {beyond}"));
}

#[test]
fn the_second_reading_reports_all_violations_at_their_places() {
    let ty = record("r", &[("a", Type::U8), ("b", Type::Bool), ("c", Type::U64), ("d", Type::F64)]);
    let text = r#"{"a": 1.5, "b": 2, "c": [1], "x": 1e400, "d": null}"#;
    let pairs = [
        ("/a", "must be a whole number from 0 to 255, not 1.5"),
        ("/b", "must be true or false, not 2"),
        ("/c", "must be a whole number from 0 to 18446744073709551615, not an array"),
        ("/x", "must not be there: it is not known"),
        ("/d", "must be a number, not null"),
    ];
    assert_eq!(violations(&ty, text), pairs.map(|(pointer, detail)| (pointer.to_owned(), detail.to_owned())));
    let good = r#"{"a": 1.0, "b": true, "c": "18446744073709551615", "d": "NaN"}"#;
    let value = all_of(&ty, good).expect("a value");
    assert_eq!(Some(value), all_of(&ty, &good.replace("1.0", "1")).ok());
}

#[test]
fn a_broken_text_after_a_rounded_number_is_malformed() {
    let ty = Type::List(Arc::new(Type::U64));
    for text in ["[1.5, ", "[1.5, 1.]", "[1.5, \"\\ud800\"]", "[1e400, \"\\ud800\"]", "[1.5] 2", "[1e400, -]"] {
        assert!(matches!(all_of(&ty, text), Err(ReadError::Malformed { line: 1, .. })), "{text}");
    }
}

#[test]
fn an_f32_is_the_nearest_to_the_text_and_not_to_a_double_of_it() {
    // Each text lies beside the middle of two neighbouring `f32`, and the nearest double is that middle.
    let table = [
        ("1.00000005960464477539062500001", "1.0000001"),
        ("-1.00000005960464477539062500001", "-1.0000001"),
        ("1.00000017881393432617187499999", "1.0000001"),
        ("1.00000017881393432617187500001", "1.0000002"),
        ("0.70064923216240853546187E-45", "1e-45"),
        ("340282356779733661637539395458142568447.9", "3.4028235e38"),
        ("16777217.0000000001", "16777218"),
    ];
    for (text, nearest) in table {
        let nearest = Ok(SampleValue::f32(nearest.parse().expect("a float")));
        assert_eq!(all_of(&Type::F32, text), nearest, "{text}");
        assert_eq!(
            read_text::<SampleValue>(&Type::F32, Names::Snake, text).map_err(|_| ()),
            nearest.map_err(|_: ReadError| ())
        );
    }
    let beyond = "340282356779733661637539395458142568448";
    assert!(violations(&Type::F32, beyond)[0].1.starts_with("must be a number that 32 bits can hold"));
}

/// A number as it may be written: digits, a fraction, an exponent.
fn texts() -> impl Strategy<Value = (i128, i32, String)> {
    let significand = prop_oneof![-300_i128..300, -(1_i128 << 66)..1 << 66];
    (significand, -24_i32..24, 0_usize..4, any::<bool>()).prop_map(|(significand, power, zeros, upper)| {
        let sign = if significand < 0 { "-" } else { "" };
        let digits = format!("{:04}", significand.unsigned_abs());
        // The point stands three digits before the end, so the exponent is three higher.
        let (whole, fraction) = digits.split_at(digits.len() - 3);
        let whole = whole.trim_start_matches('0');
        let whole = if whole.is_empty() { "0" } else { whole };
        let e = if upper { 'E' } else { 'e' };
        (significand, power, format!("{sign}{whole}.{fraction}{}{e}{}", "0".repeat(zeros), power + 3))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_number_is_accepted_exactly_if_it_is_whole_and_within_its_bounds((significand, power, text) in texts()) {
        let shift = 10_i128.pow(power.unsigned_abs());
        let number = if power >= 0 { significand.checked_mul(shift) } else {
            (significand % shift == 0).then(|| significand / shift)
        };
        let types = [(Type::U8, 0, 255), (Type::S16, -32_768, 32_767), (Type::S64, -(1 << 53) + 1, (1 << 53) - 1)];
        for (ty, min, max) in types {
            let fits = number.filter(|number| (min..=max).contains(number));
            match (all_of(&ty, &text), fits) {
                (Ok(value), Some(number)) => prop_assert_eq!(value, SampleValue::Integer(number)),
                (Err(ReadError::Violations(found)), None) => {
                    let at_root = matches!(&found[..], [Violation { pointer, .. }] if pointer.is_empty());
                    prop_assert!(at_root, "{found:?}");
                }
                (read, fits) => prop_assert!(false, "{text}: {read:?} instead of {fits:?}"),
            }
        }
    }

    #[test]
    fn a_float_is_the_nearest_to_its_text((_, _, text) in texts()) {
        let float = |ty| all_of(&ty, &text).ok();
        prop_assert_eq!(float(Type::F64), text.parse().ok().map(SampleValue::f64));
        prop_assert_eq!(float(Type::F32), text.parse().ok().filter(|f: &f32| f.is_finite()).map(SampleValue::f32));
    }
}
