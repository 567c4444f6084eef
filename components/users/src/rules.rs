//! Which names and emails_follow_rfc_5321_without_quotes_and_literals are valid.

use crate::bindings::exports::shop::users::users::{FieldError, UserChanges};

/// In characters.
const MAX_NAME: usize = 200;
/// In bytes: RFC 5321 allows a path of 256, of which two are the angle brackets (RFC 3696, erratum 1690).
const MAX_EMAIL: usize = 254;
/// In bytes, RFC 5321, section 4.5.3.1.1.
const MAX_LOCAL_PART: usize = 64;
/// In bytes, RFC 1035, section 2.3.4.
const MAX_LABEL: usize = 63;

/// The changes in the form in which they are stored, or every field that breaks a rule.
pub(crate) fn accept(mut changes: UserChanges) -> Result<UserChanges, Vec<FieldError>> {
    let errors = check(&changes);
    if !errors.is_empty() {
        return Err(errors);
    }
    if let Some(name) = &mut changes.name {
        *name = name.trim().to_owned();
    }
    Ok(changes)
}

/// Every given field that breaks a rule.
pub(crate) fn check(changes: &UserChanges) -> Vec<FieldError> {
    let name = changes.name.as_deref().filter(|name| !is_name(name.trim()));
    let email = changes.email.as_deref().filter(|email| !is_email(email));
    let name = name.map(|_| error("/name", format!("must be 1 to {MAX_NAME} characters, and no control characters")));
    let email = email.map(|_| error("/email", format!("must be an email address of at most {MAX_EMAIL} bytes")));
    name.into_iter().chain(email).collect()
}

fn error(pointer: &str, detail: String) -> FieldError {
    FieldError { pointer: pointer.to_owned(), detail }
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control)
}

/// The addresses that people use: those of RFC 5321 without quoted local parts and address literals, with letters of
/// all scripts (RFC 6531). Only a mail can show whether a person reads mail at an address.
fn is_email(email: &str) -> bool {
    let Some((local, domain)) = email.rsplit_once('@') else {
        return false;
    };
    let is_atom =
        |atom: &str| !atom.is_empty() && atom.chars().all(|c| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c));
    let is_label = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    email.len() <= MAX_EMAIL
        && local.len() <= MAX_LOCAL_PART
        && local.split('.').all(is_atom)
        && domain.contains('.')
        && domain.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emails_follow_rfc_5321_without_quotes_and_literals() {
        for good in ["a@b.co", "Ada.Lovelace+tag@mail.example.org", "o'neil@ex-ample.com", "grüße@straße.de"] {
            assert!(is_email(good), "{good}");
        }
        let long_local = format!("{}@example.org", "a".repeat(65));
        let long_domain = format!("a@{}.org", "b.".repeat(130).trim_end_matches('.'));
        for bad in [
            "",
            "@",
            "a",
            "a@",
            "@b.co",
            "a@b",
            "a b@c.de",
            "a@b@c.de",
            ".a@b.co",
            "a..b@c.de",
            "a@b..co",
            "a@-b.co",
            "a@b.co ",
            "a@b.co\n",
            "\"a b\"@c.de",
            "a@[127.0.0.1]",
            &long_local,
            &long_domain,
        ] {
            assert!(!is_email(bad), "{bad}");
        }
    }

    #[test]
    fn names_are_trimmed_and_bounded() {
        let accepted = |name: &str| {
            accept(UserChanges { name: Some(name.to_owned()), email: None }).ok().and_then(|changes| changes.name)
        };
        assert_eq!(accepted("  Ada \n").as_deref(), Some("Ada"));
        assert_eq!(accepted(&"ß".repeat(200)), Some("ß".repeat(200)));
        for bad in ["", "  ", "a\u{7}b", &"a".repeat(201)] {
            assert_eq!(accepted(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_field_that_breaks_a_rule_is_named() {
        let errors = check(&UserChanges { name: Some(String::new()), email: Some(String::new()) });
        assert_eq!(errors.iter().map(|error| error.pointer.as_str()).collect::<Vec<_>>(), ["/name", "/email"]);
        assert_eq!(check(&UserChanges { name: None, email: None }), vec![]);
    }
}
