//! The manifest's text as errors show it: without secrets that somebody has written into it.

use std::borrow::Cow;
use std::ops::Range;

/// The keys of which a text is a secret, wherever they stand: no key of a manifest with such a name takes one.
const SECRET: [&str; 6] = ["secret", "client_secret", "password", "token", "api_key", "private_key"];

/// `text` with a star in place of each byte of a secret, so that all positions stay: of the values at `spans`, and of
/// every text that follows the name of a secret and `=`, also where the rest of the line is no TOML.
pub(super) fn mask<'a>(text: &'a str, spans: &[Range<usize>]) -> Cow<'a, str> {
    let mut secrets: Vec<Range<usize>> = spans.to_vec();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        secrets.extend(in_addresses(line).into_iter().map(|span| start + span.start..start + span.end));
        secrets.extend(secrets_of(line).into_iter().map(|span| start + span.start..start + span.end));
        start += line.len();
    }
    secrets.retain(|span| text.get(span.clone()).is_some_and(|secret| !secret.is_empty()));
    if secrets.is_empty() {
        return text.into();
    }
    let mut bytes = text.as_bytes().to_vec();
    for byte in secrets.into_iter().flatten() {
        if !matches!(bytes[byte], b'\n' | b'\r') {
            bytes[byte] = b'*';
        }
    }
    // Whole characters were replaced.
    String::from_utf8(bytes).map_or_else(|_| Cow::Borrowed(""), Cow::Owned)
}

/// The parts of addresses in `text` that may be secrets: a user with a password, and a query.
pub(super) fn in_addresses(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (at, scheme) in text.match_indices("://") {
        let begin = at + scheme.len();
        let is_end = |character: char| character.is_whitespace() || matches!(character, '"' | '\'');
        let end = text[begin..].find(is_end).map_or(text.len(), |length| begin + length);
        let address = &text[begin..end];
        if let Some(user) = address.rfind('@') {
            found.push(begin..begin + user);
        }
        if let Some(query) = address.find('?') {
            found.push(begin + query + 1..end);
        }
    }
    found
}

/// What is between the quotes that follow the names of secrets in one line; to its end, if a quote is not closed.
fn secrets_of(line: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for name in SECRET {
        for (at, _) in line.match_indices(name) {
            let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_' || character == '-';
            let after = line[at + name.len()..].trim_start_matches(['"', '\'']).trim_start();
            let Some(value) = after.strip_prefix('=') else { continue };
            if line[..at].ends_with(is_part) {
                continue;
            }
            let value = value.trim_start();
            let Some(quote) = value.chars().next().filter(|first| matches!(first, '"' | '\'')) else { continue };
            let begin = line.len() - value.trim_start_matches(quote).len();
            let length = line[begin..].find(quote).unwrap_or(line.trim_end().len().saturating_sub(begin));
            found.push(begin..begin + length);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_the_name_of_a_secret_is_masked_and_nothing_else() {
        for (text, masked) in [
            ("secret = \"hush\"\nissuer = \"a\"", "secret = \"****\"\nissuer = \"a\""),
            ("x = { client_secret = 'hush', id = 'a' }", "x = { client_secret = '****', id = 'a' }"),
            ("\"secret\"=\"hush\"", "\"secret\"=\"****\""),
            ("secret = \"\"\"hush\"\"\"", "secret = \"\"\"****\"\"\""),
            ("secret = \"not closed é\r\nnext = 1", "secret = \"*************\r\nnext = 1"),
            ("secret = { file = \"path\" }", "secret = { file = \"path\" }"),
            ("my-secret = \"kept\"", "my-secret = \"kept\""),
            ("key = \"shop.key\"", "key = \"shop.key\""),
            ("otlp = 'http://a:b@c:1/d'", "otlp = 'http://***@c:1/d'"),
            ("[\"https://a?key=b\", 'https://c/d', \"e@f?\"]", "[\"https://a?*****\", 'https://c/d', \"e@f?\"]"),
            ("urls = [\"http://not closed", "urls = [\"http://not closed"),
        ] {
            assert_eq!(mask(text, &[]), masked);
        }
        assert_eq!(mask("key = 'hush'", &[7..11, 0..0]), "key = '****'");
        assert_eq!(mask("key = 'é'", &[7..8, 90..99]), "key = 'é'", "no half of a character, nothing beyond the end");
    }
}
