//! The query of a request, parsed.

use crate::route::decode;
use std::borrow::Cow;

/// A decoded name or value, which need not be UTF-8.
type QueryText<'a> = Cow<'a, [u8]>;

/// The parameters of a query in their order, decoded like a form (WHATWG URL, `application/x-www-form-urlencoded`).
pub(super) struct Query<'a>(Vec<(QueryText<'a>, QueryText<'a>)>);

impl<'a> Query<'a> {
    pub(super) fn parse(text: &'a str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Self(pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(n, v)| (form(n), form(v))).collect())
    }

    /// All values of a name, in order.
    pub(super) fn values(&self, name: &str) -> Vec<&[u8]> {
        self.0.iter().filter(|(own, _)| **own == *name.as_bytes()).map(|(_, value)| &**value).collect()
    }

    /// The names for which `known` does not hold, each once.
    pub(super) fn unknown_names(&self, known: impl Fn(&[u8]) -> bool) -> Vec<Cow<'_, str>> {
        let mut names: Vec<_> = self.0.iter().map(|(name, _)| &**name).filter(|name| !known(name)).collect();
        names.sort_unstable();
        names.dedup();
        names.into_iter().map(String::from_utf8_lossy).collect()
    }
}

/// Decodes a name or a value of a form, in which a plus is a space.
fn form(text: &str) -> QueryText<'_> {
    if !text.contains('+') {
        return decode(text);
    }
    Cow::Owned(decode(&text.replace('+', " ")).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded_like_a_form() {
        let query = Query::parse("a=1&&b+%62=x+y%2Bz&a=&c&%ff=%FE&d=%zz");
        assert_eq!(query.values("a"), [b"1".as_slice(), b""]);
        assert_eq!(query.values("b b"), [b"x y+z"]);
        assert_eq!(query.values("c"), [b""]);
        assert_eq!(query.values("d"), [b"%zz"]);
        assert_eq!(query.unknown_names(|name| matches!(name, b"a" | b"c")), ["b b", "d", "\u{fffd}"]);
        assert!(Query::parse("").unknown_names(|_| false).is_empty());
    }
}
