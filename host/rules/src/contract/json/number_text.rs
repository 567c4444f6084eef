//! Decides what a number is from its text: a double would round `4503599627370497.5` to a whole number, and `1e-400` to
//! 0.

/// The most digits of a whole number that is returned. It is far beyond every type, and its digits fit into an `i128`.
const MAX_DIGITS: usize = 38;

/// The whole number that the text of a JSON number stands for: `1.0` and `7e2` do (JSON Schema counts them as
/// integers), `1.5` and `1e-400` do not. `None` also for a number of more than [`MAX_DIGITS`] digits.
pub(super) fn whole_number(text: &str) -> Option<i128> {
    let (negative, magnitude) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (significand, exponent) = magnitude.split_once(['e', 'E']).unwrap_or((magnitude, "0"));
    let (whole, fraction) = significand.split_once('.').unwrap_or((significand, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    // The number is `significant` · 10^`power`.
    let dropped = digits.len() - digits.trim_end_matches('0').len();
    let power = exponent_of(exponent) + as_i128(dropped) - as_i128(fraction.len());
    let power = usize::try_from(power).ok().filter(|power| significant.len() + power <= MAX_DIGITS)?;
    let number: i128 = format!("{significant}{}", "0".repeat(power)).parse().ok()?;
    Some(if negative { -number } else { number })
}

/// An exponent. One that does not fit counts as the largest or the smallest: no text is long enough to make up for it.
fn exponent_of(text: &str) -> i128 {
    let extreme = if text.starts_with('-') { i64::MIN } else { i64::MAX };
    text.parse().unwrap_or(extreme).into()
}

fn as_i128(length: usize) -> i128 {
    i128::try_from(length).expect("no text is that long")
}
