//! The names of functions in the manifest.

use super::kind::{KindError, ValueKind, refused};
use toml::Spanned;
use toml::de::DeValue;

/// A function of a service: `get`. If several interfaces have a function of that name, the interface comes first:
/// `products#get`; in full if the component exports several versions of the interface:
/// `shop:products/products@2.0.0#get`.
pub(crate) struct FunctionKind;

impl ValueKind for FunctionKind {
    type Value = String;

    fn accepts(&self) -> String {
        "\"function\" or \"interface#function\"".into()
    }

    fn help(&self) -> String {
        "write the names as in the WIT files, words joined by `-`: \"get\", or \"products#get\"".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<String, Vec<KindError>> {
        let text = value.get_ref().as_str().filter(|text| is_function(text));
        text.map(Into::into).ok_or_else(|| refused(self, value))
    }
}

/// A function and its service.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Callee {
    pub(crate) service: String,
    /// Written as [`FunctionKind`] reads it.
    pub(crate) function: String,
}

/// A function after its service: `products/get`.
pub(crate) struct CalleeKind;

impl ValueKind for CalleeKind {
    type Value = Callee;

    fn accepts(&self) -> String {
        "\"service/function\" or \"service/interface#function\"".into()
    }

    fn help(&self) -> String {
        "write the service, `/`, and the names as in the WIT files: \"products/get\", or \"products/products#get\""
            .into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Callee, Vec<KindError>> {
        let parts = value.get_ref().as_str().and_then(|text| text.split_once('/'));
        let parts = parts.filter(|(service, function)| !service.is_empty() && is_function(function));
        let callee = parts.map(|(service, function)| Callee { service: service.into(), function: function.into() });
        callee.ok_or_else(|| refused(self, value))
    }
}

fn is_function(text: &str) -> bool {
    match text.split_once('#') {
        Some((interface, function)) => is_interface(interface) && is_kebab_case(function),
        None => is_kebab_case(text),
    }
}

/// Whether `text` is the last part of an interface's name, or the whole name, with or without its version.
fn is_interface(text: &str) -> bool {
    let Some((package, rest)) = text.split_once('/') else { return is_kebab_case(text) };
    let (name, version) = rest.split_once('@').map_or((rest, None), |(name, version)| (name, Some(version)));
    let is_version = |text: &str| {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b".-+".contains(&byte);
        text.starts_with(|first: char| first.is_ascii_digit()) && text.bytes().all(legal)
    };
    package.split_once(':').is_some_and(|(space, package)| is_kebab_case(space) && is_kebab_case(package))
        && is_kebab_case(name)
        && version.is_none_or(is_version)
}

/// Whether `text` is what the component model calls a label: words of small letters and acronyms of capitals, joined by
/// `-`, beginning with a letter.
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
    fn a_function_is_named_with_or_without_its_interface() {
        let short = ["get", "get-all", "products#get", "get-v2", "a", "HTTP-get", "top-10"];
        for good in short.into_iter().chain(["a:b/c#d", "shop:products/products@1.0.0-rc.1+b#get"]) {
            assert!(is_function(good), "{good}");
        }
        let bad =
            ["", "#", "get#", "#get", "a#b#c", "get_all", "getAll", "-get", "get-", "a--b", "9-a", "a b", "é", "a/b"];
        for bad in
            bad.into_iter().chain(["a/b#c", "a:b#c", "a:b/c", "a:b/c@#d", "a:b/c@x#d", "a:b/c@1 0#d", "a:b/c/d#e"])
        {
            assert!(!is_function(bad), "{bad}");
        }
    }

    #[test]
    fn a_callee_is_a_service_and_a_function() {
        let read = |text: &str| CalleeKind.read(&Spanned::new(0..0, DeValue::String(text.to_owned().into()))).ok();
        let callee = |service: &str, function: &str| Callee { service: service.into(), function: function.into() };
        assert_eq!(read("products/get"), Some(callee("products", "get")));
        assert_eq!(read("products/products#get"), Some(callee("products", "products#get")));
        let full = "shop:products/products@2.0.0#get";
        assert_eq!(read(&format!("products/{full}")), Some(callee("products", full)));
        for bad in ["products", "/get", "products/", "products/get/all", "products#get"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
