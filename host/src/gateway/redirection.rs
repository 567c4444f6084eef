//! A route that sends its clients to another address.

use crate::base::{Body, empty_body};
use crate::route::Match;
use http::header::LOCATION;
use http::{HeaderValue, Response, StatusCode};

/// The placeholder for what follows the prefix of a route.
const REST: &str = "rest";

/// An address with placeholders, to which a route sends its clients.
///
/// Whatever a client asks for, it stays at the host of the manifest: a placeholder stands behind the host alone, and no
/// path begins with two slashes, which would be the name of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirection {
    parts: Vec<LocationPart>,
    fragment: String,
    /// Whether the address has a query of its own; else it gets the one of the request.
    has_query: bool,
    status: StatusCode,
}

/// A part of the address.
#[derive(Debug, Clone, PartialEq, Eq)]
enum LocationPart {
    Literal(String),
    Parameter(String),
    Rest,
}

/// Why an address cannot be the target of a redirection, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectionError {
    /// It follows the address.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

impl RedirectionError {
    fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }
}

impl Redirection {
    /// The redirection to `to`, a path or an `http` or `https` URL, by `status`. `parameters` are those of the route's
    /// path; `None`: the route has a prefix, and `{rest}` stands for what follows it.
    ///
    /// # Errors
    /// What is wrong with `to`.
    pub fn new(to: &str, parameters: Option<&[&str]>, status: StatusCode) -> Result<Self, RedirectionError> {
        if let Some(illegal) = to.chars().find(|c| !c.is_ascii_graphic() || matches!(c, '\\' | '"' | '<' | '>')) {
            return Err(RedirectionError::new(format!("has {illegal:?}, which may not stand in a URL"), "encode it"));
        }
        let (to, fragment) = to.split_at(to.find('#').unwrap_or(to.len()));
        let path = path_of(to)?;
        if to[..path].contains(['{', '}']) || fragment.contains(['{', '}']) {
            let help = "use it in the path or the query alone";
            return Err(RedirectionError::new("has a placeholder that a client could use to choose the host", help));
        }
        let mut parts = Vec::new();
        let mut rest = to;
        while let Some((literal, more)) = rest.split_once('{') {
            let Some((name, more)) = more.split_once('}') else {
                return Err(RedirectionError::new("has a `{` without its `}`", "write {name}, or %7B for the sign"));
            };
            parts.extend(literal_part(literal)?);
            parts.push(placeholder(name, parameters)?);
            rest = more;
        }
        parts.extend(literal_part(rest)?);
        Ok(Self { parts, fragment: fragment.into(), has_query: to.contains('?'), status })
    }

    /// The answer to a request on `route` with this query.
    pub(super) fn answer<T>(&self, route: &Match<'_, T>, query: Option<&str>) -> Response<Body> {
        let value = |name: &str| route.params().find(|(own, _)| *own == name).map(|(_, value)| value);
        let location = self.location(value, route.rest(), query);
        let mut answer = Response::new(empty_body());
        *answer.status_mut() = self.status;
        let location = HeaderValue::from_bytes(location.as_bytes()).expect("a path holds no control character");
        answer.headers_mut().insert(LOCATION, location);
        answer
    }

    /// The address for a request with these parameters, what follows the prefix in its path, and its query.
    fn location<'v>(&self, value: impl Fn(&str) -> Option<&'v str>, rest: &str, query: Option<&str>) -> String {
        let mut location = String::new();
        for part in &self.parts {
            location.push_str(match part {
                LocationPart::Literal(text) => text,
                LocationPart::Parameter(name) => value(name).unwrap_or_default(),
                LocationPart::Rest => rest.trim_start_matches('/'),
            });
        }
        if location.starts_with("//") {
            location.replace_range(..location.len() - location.trim_start_matches('/').len(), "/");
        }
        if let Some(query) = query.filter(|_| !self.has_query) {
            location.push('?');
            location.push_str(query);
        }
        location + &self.fragment
    }

    /// The address and the status, as people read them.
    pub fn description(&self) -> String {
        let part = |part: &LocationPart| match part {
            LocationPart::Literal(text) => text.clone(),
            LocationPart::Parameter(name) => format!("{{{name}}}"),
            LocationPart::Rest => format!("{{{REST}}}"),
        };
        let address: String = self.parts.iter().map(part).collect();
        format!("{} {address}{}", self.status.as_u16(), self.fragment)
    }
}

/// Where the path of `to` begins.
fn path_of(to: &str) -> Result<usize, RedirectionError> {
    let help = "write a path, \"/new/{id}\", or a URL, \"https://shop.example/new/{id}\"";
    if to.starts_with('/') && !to.starts_with("//") {
        return Ok(0);
    }
    let authority = ["http://", "https://"].iter().find_map(|scheme| to.strip_prefix(scheme));
    let Some(authority) = authority else {
        return Err(RedirectionError::new("is neither a path nor a URL with http or https", help));
    };
    let end = authority.find(['/', '?']).unwrap_or(authority.len());
    if end == 0 || authority[..end].contains('@') {
        return Err(RedirectionError::new("names no host", help));
    }
    Ok(to.len() - authority.len() + end)
}

fn literal_part(text: &str) -> Result<Option<LocationPart>, RedirectionError> {
    if text.contains('}') {
        return Err(RedirectionError::new("has a `}` without its `{`", "write {name}, or %7D for the sign"));
    }
    Ok((!text.is_empty()).then(|| LocationPart::Literal(text.into())))
}

fn placeholder(name: &str, parameters: Option<&[&str]>) -> Result<LocationPart, RedirectionError> {
    match parameters {
        None if name == REST => Ok(LocationPart::Rest),
        Some(names) if names.contains(&name) => Ok(LocationPart::Parameter(name.into())),
        None => Err(RedirectionError::new(
            format!("has `{{{name}}}`, and a route with a `prefix` has no such parameter"),
            "write {rest} for what follows the prefix",
        )),
        Some(names) => {
            let known: Vec<String> = names.iter().map(|name| format!("{{{name}}}")).collect();
            let help = match known.as_slice() {
                [] => "the route's `path` has no parameters".to_owned(),
                known => format!("the route's `path` has {}", known.join(", ")),
            };
            Err(RedirectionError::new(format!("has `{{{name}}}`, which is no parameter of the route"), help))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn to(to: &str, parameters: Option<&[&str]>) -> Result<Redirection, RedirectionError> {
        Redirection::new(to, parameters, StatusCode::PERMANENT_REDIRECT)
    }

    #[test]
    fn placeholders_are_filled_and_the_query_is_kept() {
        let cases = [
            ("/new/{id}", Some("a=1"), "/new/7%20x?a=1"),
            ("/new", None, "/new"),
            ("/new?from=old", Some("a=1"), "/new?from=old"),
            ("/new?id={id}", None, "/new?id=7%20x"),
            ("/new/{id}#part", Some("a"), "/new/7%20x?a#part"),
            ("https://shop.example", Some("a"), "https://shop.example?a"),
            ("https://shop.example:8443/{id}/{id}", None, "https://shop.example:8443/7%20x/7%20x"),
        ];
        for (address, query, expected) in cases {
            let redirection = to(address, Some(&["id"])).unwrap_or_else(|error| panic!("{address}: {error:?}"));
            assert_eq!(redirection.location(|_| Some("7%20x"), "", query), expected, "{address}");
        }
        let rest = |address: &str, rest: &str| to(address, None).expect("an address").location(|_| None, rest, None);
        assert_eq!(rest("/new/{rest}", "a/b"), "/new/a/b");
        assert_eq!(rest("/{rest}", "//evil.example/x"), "/evil.example/x");
        assert_eq!(rest("/{rest}/evil.example", ""), "/evil.example");
        assert_eq!(rest("https://a.example/{rest}", ""), "https://a.example/");
        assert_eq!(to("/a/{rest}#b", None).expect("an address").description(), "308 /a/{rest}#b");
    }

    #[test]
    fn an_address_is_refused_at_which_a_client_could_choose_the_host() {
        for bad in [
            "new",
            "//evil.example/",
            "ftp://a/",
            "javascript:alert(1)",
            "https://",
            "https:///a",
            "https://{id}/a",
            "https://{id}.example/",
            "https://shop.example{id}",
            "https://u@shop.example/",
            "{id}",
            "/a b",
            "/a\\b",
            "/é",
            "/{id",
            "/id}",
            "/{}",
            "/{name}",
            "/{rest}",
            "/a#{id}",
        ] {
            assert!(to(bad, Some(&["id"])).is_err(), "{bad}");
        }
        assert!(to("/{id}", None).is_err() && to("/a}{rest}", None).is_err());
    }

    proptest! {
        /// Whatever follows the prefix, the client stays at its host.
        #[test]
        fn no_path_leads_to_another_host(address in r"/[a{}/?.]{0,3}(\{rest\})?[/a.]{0,3}", rest in r"[/a.:@]{0,8}") {
            if let Ok(redirection) = to(&address, None) {
                let location = redirection.location(|_| None, &rest, None);
                prop_assert!(location.starts_with('/') && !location.starts_with("//"), "{}", location);
            }
        }
    }
}
