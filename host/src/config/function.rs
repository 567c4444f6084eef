//! The names of functions, as the manifest writes them.

use crate::config::kind::{Kind, Problem, refused};
use toml::Spanned;
use toml::de::DeValue;

/// A function of a service, after its interface where several interfaces have one of that name.
pub(super) struct Function;

impl Kind for Function {
    type Value = String;

    fn accepts(&self) -> String {
        "\"function\" or \"interface#function\"".into()
    }

    fn help(&self) -> String {
        "write the names as the WIT has them, words joined by `-`: \"get\", or \"products#get\"".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<String, Vec<Problem>> {
        let text = value.get_ref().as_str().filter(|text| is_function(text));
        text.map(Into::into).ok_or_else(|| refused(self, value))
    }
}

/// A function and the service that it is of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Callee {
    pub(super) service: String,
    /// As a [`Function`] is written.
    pub(super) function: String,
}

/// `service/` and a [`Function`].
pub(super) struct Call;

impl Kind for Call {
    type Value = Callee;

    fn accepts(&self) -> String {
        "\"service/function\" or \"service/interface#function\"".into()
    }

    fn help(&self) -> String {
        "write the service, `/`, and the names as the WIT has them: \"products/get\", or \"products/products#get\""
            .into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Callee, Vec<Problem>> {
        let parts = value.get_ref().as_str().and_then(|text| text.split_once('/'));
        let parts = parts.filter(|(service, function)| !service.is_empty() && is_function(function));
        let callee = parts.map(|(service, function)| Callee { service: service.into(), function: function.into() });
        callee.ok_or_else(|| refused(self, value))
    }
}

fn is_function(text: &str) -> bool {
    text.split('#').count() <= 2 && text.split('#').all(is_kebab_case)
}

/// What the component model calls a label: words of small letters and acronyms of capitals, joined by `-`, a letter first.
fn is_kebab_case(text: &str) -> bool {
    let of = |word: &str, letter: fn(&u8) -> bool| {
        !word.is_empty() && word.bytes().all(|byte| letter(&byte) || byte.is_ascii_digit())
    };
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.split('-').all(|word| of(word, u8::is_ascii_lowercase) || of(word, u8::is_ascii_uppercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_one_name_or_two() {
        for good in ["get", "get-all", "products#get", "get-v2", "a", "HTTP-get", "top-10"] {
            assert!(is_function(good), "{good}");
        }
        for bad in
            ["", "#", "get#", "#get", "a#b#c", "get_all", "getAll", "-get", "get-", "a--b", "9-a", "a b", "é", "a/b"]
        {
            assert!(!is_function(bad), "{bad}");
        }
    }

    #[test]
    fn a_call_names_a_service_too() {
        let read = |text: &str| Call.read(&Spanned::new(0..0, DeValue::String(text.to_owned().into()))).ok();
        let callee = |service: &str, function: &str| Callee { service: service.into(), function: function.into() };
        assert_eq!(read("products/get"), Some(callee("products", "get")));
        assert_eq!(read("products/products#get"), Some(callee("products", "products#get")));
        for bad in
            ["products", "/get", "products/", "products/get/all", "products#get", "products/shop:products/products#get"]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
