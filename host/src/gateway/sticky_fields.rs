//! The fields of a request whose values stick to one revision of a service while a canary is under way.

use crate::base::StickyFields;
use http::HeaderMap;
use http::header::COOKIE;
use std::sync::Arc;

/// The fields of `names` (`header:NAME`, `cookie:NAME`) that the request has, each with its value; `None`: none of
/// them. Of a field that is sent more than once, the first value counts.
pub(super) fn of(names: &[Arc<str>], headers: &HeaderMap) -> Option<StickyFields> {
    if names.is_empty() {
        return None;
    }
    let value = |name: &str| match name.split_once(':')? {
        ("header", header) => headers.get(header)?.to_str().ok().map(str::to_owned),
        ("cookie", cookie) => cookie_of(headers, cookie),
        _ => None,
    };
    let found: Arc<[_]> = names.iter().filter_map(|name| Some((Arc::clone(name), value(name)?))).collect();
    (!found.is_empty()).then_some(found)
}

/// The value of a cookie (RFC 6265, section 4.2.1).
fn cookie_of(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(own, _)| *own == name).map(|(_, value)| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_cookies_are_found_by_their_names() {
        let names: Vec<Arc<str>> = ["header:x-tenant", "cookie:session"].map(Arc::from).to_vec();
        let fields = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, value.parse().unwrap());
            }
            let found = of(&names, &headers);
            found.map(|found| found.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>())
        };
        assert_eq!(fields(&[("accept", "*/*"), ("cookie", "other=1; asession=2")]), None);
        let found = fields(&[("cookie", "a=1"), ("cookie", "b=2; session=s=1"), ("x-tenant", "acme")]);
        assert_eq!(found.unwrap(), ["header:x-tenant=acme", "cookie:session=s=1"]);
    }
}
