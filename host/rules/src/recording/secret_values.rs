//! The values that a guest has as secrets, found again in what it sends on.

use super::blob::Blob;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::borrow::Cow;
use std::fmt;

/// What stands in place of a value.
pub(super) const MASK: &str = "***";

/// A secret of fewer bytes is not looked for: it would be found by chance.
const SHORTEST: usize = 4;
/// The same of a value whose name does not tell that it is a secret: those of fewer bytes are words and numbers.
const SHORTEST_UNNAMED: usize = 16;

/// Values that nobody outside may see, in the forms in which they are sent: as they are, as JSON and an address have
/// them, in hexadecimal digits, and in Base64, also in the middle of other bytes (`user:secret`). The longest form
/// comes first, so that none hides a part of another.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct SecretValues(Vec<Vec<u8>>);

impl SecretValues {
    /// Of these values, each with whether its name or its place tells that it is a secret.
    pub(super) fn of<'a>(values: impl IntoIterator<Item = (&'a Blob, bool)>) -> Self {
        let mut forms = Vec::new();
        for (value, is_named) in values {
            if value.len() < if is_named { SHORTEST } else { SHORTEST_UNNAMED } {
                continue;
            }
            if let Some(text) = value.text() {
                let json = serde_json::Value::from(text).to_string();
                forms.push(json.as_bytes()[1..json.len() - 1].to_vec());
                forms.push(in_address(text).into_bytes());
            }
            let hex: String = value.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            forms.extend([hex.to_uppercase().into_bytes(), hex.into_bytes(), value.bytes().to_vec()]);
            forms.extend((0..3).flat_map(|before| in_base64(value.bytes(), before)));
        }
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        Self(forms)
    }

    /// The text without them.
    pub(super) fn hide_in<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let forms = self.0.iter().filter_map(|form| std::str::from_utf8(form).ok());
        forms.fold(Cow::Borrowed(text), |text, form| match text.contains(form) {
            true => text.replace(form, MASK).into(),
            false => text,
        })
    }

    /// The bytes without them; `None`: none is there.
    pub(super) fn hide_in_bytes(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut hidden = None;
        for form in &self.0 {
            let bytes = hidden.as_deref().unwrap_or(bytes);
            if let Some(replaced) = replaced(bytes, form) {
                hidden = Some(replaced);
            }
        }
        hidden
    }
}

impl fmt::Debug for SecretValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} forms", self.0.len())
    }
}

/// How Base64 writes a value that so many bytes come before, in each of the two alphabets (RFC 4648, sections 4 and 5):
/// where the value ends the text, and where more follows. Four characters have three bytes, so `before` is 0, 1 or 2. A
/// character that also has bits of a neighbour is not part of the form.
fn in_base64(value: &[u8], before: usize) -> impl Iterator<Item = Vec<u8>> {
    let shifted = [&[0; 2][..before], value].concat();
    // The first character that has bits of the value alone, and the end of those.
    let (first, whole) = ((before * 8).div_ceil(6), shifted.len() * 8 / 6);
    [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)]
        .into_iter()
        .flat_map(move |text| [text.as_bytes()[first..].to_vec(), text.as_bytes()[first..whole].to_vec()])
}

/// The bytes with the mask in each place of `form`; `None`: it is nowhere.
fn replaced(bytes: &[u8], form: &[u8]) -> Option<Vec<u8>> {
    let (mut replaced, mut rest, mut found) = (Vec::new(), bytes, false);
    while let Some(at) = rest.windows(form.len()).position(|window| window == form) {
        replaced.extend_from_slice(&rest[..at]);
        replaced.extend_from_slice(MASK.as_bytes());
        (rest, found) = (&rest[at + form.len()..], true);
    }
    replaced.extend_from_slice(rest);
    found.then_some(replaced)
}

/// A text as an address has it: all but the unreserved characters of RFC 3986, section 2.3, in percent encoding.
fn in_address(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secrets(values: &[(&str, bool)]) -> SecretValues {
        let blobs: Vec<_> = values.iter().map(|(value, named)| (Blob::from((*value).to_owned()), *named)).collect();
        SecretValues::of(blobs.iter().map(|(value, named)| (value, *named)))
    }

    #[test]
    fn a_secret_is_hidden_in_each_form_and_what_may_be_chance_stays() {
        let long = ("0123456789abcdef", false);
        let secrets = secrets(&[("s3c \"ret/", true), ("abc", true), ("production", false), long]);
        for (text, hidden) in [
            ("x s3c \"ret/ y", "x *** y"),
            (r#"{"a":"s3c \"ret/"}"#, r#"{"a":"***"}"#),
            ("?k=s3c%20%22ret%2F&b", "?k=***&b"),
            ("czNjICJyZXQv", "***"),
            // `user:` and the secret, as RFC 7617 has it: alone, and with more behind it.
            ("Basic dXNlcjpzM2MgInJldC8=", "Basic dXNlcjp***="),
            ("73336320227265742f", "***"),
            ("x-73336320227265742F", "x-***"),
            ("abc production", "abc production"),
            ("0123456789abcdef0", "***0"),
        ] {
            assert_eq!(secrets.hide_in(text), hidden);
            let bytes = secrets.hide_in_bytes(text.as_bytes());
            assert_eq!(bytes.as_deref().unwrap_or(text.as_bytes()), hidden.as_bytes());
        }
        assert_eq!(secrets.hide_in_bytes(b"\xff\0s3c \"ret/\xfe").unwrap(), b"\xff\0***\xfe");
        assert!(!format!("{secrets:?}").contains("s3c"));
    }

    proptest! {
        #[test]
        fn no_form_of_a_secret_stays_wherever_it_stands(
            secret in prop::collection::vec(any::<u8>(), 8..40),
            before in prop::collection::vec(any::<u8>(), 0..9),
            after in prop::collection::vec(any::<u8>(), 0..9),
        ) {
            let blob = Blob::from(secret.clone());
            let secrets = SecretValues::of([(&blob, true)]);
            let all = [&before[..], &secret, &after].concat();
            for text in [STANDARD_NO_PAD.encode(&all), URL_SAFE_NO_PAD.encode(&all)] {
                // What is left of it are the characters that it shares with its neighbours.
                let hidden = secrets.hide_in(&text);
                let longest = text.len() - (secret.len() * 8 / 6 - 1) + MASK.len();
                prop_assert!(hidden.contains(MASK) && hidden.len() <= longest, "{} in {}", hidden, text);
            }
            let hex: String = all.iter().map(|byte| format!("{byte:02x}")).collect();
            for text in [hex.to_uppercase(), hex] {
                let left = (before.len() + after.len()) * 2 + MASK.len();
                prop_assert!(secrets.hide_in(&text).len() <= left, "{}", text);
            }
        }

        #[test]
        fn a_secret_never_stays(secret in "[a-zA-Z0-9/+ ]{4,24}", before in "[a-z]{0,9}", after in "[A-Z]{0,9}") {
            let secrets = secrets(&[(&secret, true)]);
            let text = format!("{before}{secret}{after}{secret}");
            prop_assert!(!secrets.hide_in(&text).contains(&secret));
            let json = serde_json::json!({ "a": text }).to_string();
            let hidden: serde_json::Value = serde_json::from_str(&secrets.hide_in(&json)).unwrap();
            prop_assert!(!hidden["a"].as_str().unwrap().contains(&secret));
        }
    }
}
