//! Text of strangers with what looks like a secret taken out.
//!
//! Guests print what they like, also the header or the address with which they were called. Nobody can find every
//! secret in a text; what is found are the forms in which secrets are usually printed.

use std::borrow::Cow;

/// What is written in place of a secret.
const MASK: &str = "***";

/// A value that follows one of these names and a `=` or `:` is a secret. Lower case; `-` stands for `_` too.
const NAMES: [&str; 14] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "api-key",
    "apikey",
    "access-key",
    "private-key",
    "authorization",
    "set-cookie",
    "cookie",
    "signature",
];

/// The word after one of these is a secret (RFC 9110, section 11.4).
const SCHEMES: [&str; 3] = ["bearer ", "basic ", "dpop "];

/// `text` without secrets in the usual forms: the value of `password=…`, `"token": "…"`, `Authorization: …`; what
/// follows `Bearer` or `Basic`; a signed token (JWT); an API key of this host; the password in an address. Without one
/// it is not copied.
pub fn mask_secrets(text: &str) -> Cow<'_, str> {
    let mut masked = String::new();
    let mut kept = 0;
    let mut at = 0;
    while at < text.len() {
        match secret_at(text, at) {
            Some((from, to)) if from < to => {
                masked.push_str(&text[kept..from]);
                masked.push_str(MASK);
                (kept, at) = (to, to);
            }
            _ => at += text[at..].chars().next().map_or(1, char::len_utf8),
        }
    }
    if kept == 0 {
        return text.into();
    }
    masked.push_str(&text[kept..]);
    masked.into()
}

/// From where to where a secret is that shows itself at `at`: by its name before it, or by its own form.
fn secret_at(text: &str, at: usize) -> Option<(usize, usize)> {
    let rest = &text[at..];
    let bytes = rest.as_bytes();
    let first = *bytes.first()?;
    if first == b':' && rest.starts_with("://") {
        return password_of_address(rest).map(|(from, to)| (at + from, at + to));
    }
    if !first.is_ascii_alphabetic() {
        return None;
    }
    let begins_word = !text[..at].ends_with(|before: char| before.is_ascii_alphanumeric());
    if begins_word && let Some(scheme) = SCHEMES.iter().find(|scheme| starts_with(bytes, scheme)) {
        let from = scheme.len();
        let word = &rest[from..from + word_length(&rest[from..])];
        // A plain word after `basic` is prose.
        let is_plain = word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        return (word.len() >= 8 && !is_plain).then_some((at + from, at + from + word.len()));
    }
    if begins_word && is_token(rest) {
        return Some((at, at + word_length(rest)));
    }
    let name = NAMES.iter().find(|name| starts_with(bytes, name))?;
    value_after(&rest[name.len()..]).map(|(from, to)| (at + name.len() + from, at + name.len() + to))
}

/// Whether the text begins with `name`, whatever the case, and with `_` for `-`.
fn starts_with(text: &[u8], name: &str) -> bool {
    let same = |(own, name): (&u8, u8)| own.to_ascii_lowercase() == name || (*own == b'_' && name == b'-');
    text.len() >= name.len() && text.iter().zip(name.bytes()).all(same)
}

/// Whether a signed token (RFC 7519: three parts, the first of which is the object `{"…`) or an API key of this host
/// begins here.
fn is_token(text: &str) -> bool {
    let word = &text[..word_length(text)];
    (word.starts_with("eyJ") && word.matches('.').count() >= 2) || (word.starts_with("atoll_") && word.len() >= 30)
}

/// How long the word is that begins the text.
fn word_length(text: &str) -> usize {
    let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';' | '&' | '<' | '>' | ')' | ']' | '}');
    text.find(ends).unwrap_or(text.len())
}

/// The value after a name: `=value`, `: value`, `": "value"`. A name may go on before that (`token_id`), but no word
/// may follow.
fn value_after(text: &str) -> Option<(usize, usize)> {
    let name_end = text.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-')))?;
    let quoted = |at: usize| text[at..].chars().next().filter(|c| matches!(c, '"' | '\'')).map_or(0, char::len_utf8);
    let blanks = |at: usize| text[at..].len() - text[at..].trim_start_matches([' ', '\t']).len();
    let mut at = name_end + quoted(name_end);
    at += blanks(at);
    if !text[at..].starts_with(['=', ':']) {
        return None;
    }
    at += 1;
    at += blanks(at);
    let quote = text[at..].chars().next().filter(|c| matches!(c, '"' | '\''));
    if let Some(quote) = quote {
        let from = at + 1;
        return Some((from, from + text[from..].find(quote).unwrap_or(text.len() - from)));
    }
    let scheme = SCHEMES.iter().find(|scheme| starts_with(&text.as_bytes()[at..], scheme)).map_or(0, |one| one.len());
    let end = at + scheme + word_length(&text[at + scheme..]);
    Some((at, end))
}

/// The password of an address that begins with `://`: `://user:password@host`.
fn password_of_address(text: &str) -> Option<(usize, usize)> {
    let authority = &text[3..3 + text[3..].find(['/', '?', '#', ' ', '"']).unwrap_or(text.len() - 3)];
    let at = authority.rfind('@')?;
    let colon = authority[..at].find(':')?;
    Some((3 + colon + 1, 3 + at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_usual_forms_of_secrets_are_masked_and_other_text_is_not_copied() {
        for (text, masked) in [
            ("password=hunter2 user=ann", "password=*** user=ann"),
            ("DB_PASSWORD: hunter2", "DB_PASSWORD: ***"),
            (r#"{"api_key":"abc","id":7}"#, r#"{"api_key":"***","id":7}"#),
            (r#"{"client_secret": "a b c"}"#, r#"{"client_secret": "***"}"#),
            ("authorization: Bearer abcdefgh x", "authorization: *** x"),
            ("got Bearer abcdefghi7, thanks", "got Bearer ***, thanks"),
            ("GET /a?token=abc&page=2", "GET /a?token=***&page=2"),
            ("jwt eyJhbGciOi.eyJzdWIi.c2ln end", "jwt *** end"),
            ("postgres://ann:pw@db/x", "postgres://ann:***@db/x"),
            ("access_token_id='q' rest", "access_token_id='***' rest"),
            ("key atoll_0123456789abcdef0123456789ab ok", "key *** ok"),
        ] {
            assert_eq!(mask_secrets(text), masked);
        }
        for text in ["", "the basic understanding", "a token of love", "tokens used: 3", "http://a:80/b@c", "eyJ"] {
            assert!(matches!(mask_secrets(text), Cow::Borrowed(_)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_masked_without_a_panic_and_a_second_time_changes_nothing(text in "\\PC{0,60}") {
            let once = mask_secrets(&text).into_owned();
            prop_assert_eq!(mask_secrets(&once).into_owned(), once.clone());
        }

        #[test]
        fn the_value_after_a_secret_name_never_stays(value in "[a-zA-Z0-9]{8,20}", name in "(password|api_key|Token)") {
            let text = format!("before {name}={value} after");
            prop_assert!(!mask_secrets(&text).contains(&value));
        }
    }
}
