//! The key of a kept answer: the URI as the client named it.

use crate::base::HostAndPort;
use std::fmt;
use std::sync::Arc;

/// The URI of a request: `https://shop.example/users/7?full=1`. Path and query are spelt as the client spelt them. Two
/// requests with the same key are for the same resource, and never of two hosts or schemes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CacheKey {
    text: Arc<str>,
    /// Where the path begins.
    path: usize,
}

impl CacheKey {
    /// The key of a request for `path`, which begins with `/`, and `query`. `host` is the one that the client named,
    /// if it named one.
    pub fn new(secure: bool, host: Option<HostAndPort<'_>>, path: &str, query: Option<&str>) -> Self {
        let (scheme, usual) = if secure { ("https://", 443) } else { ("http://", 80) };
        let host = host.map(|host| host.normal(usual)).unwrap_or_default();
        let length = scheme.len() + host.len() + path.len() + query.map_or(0, |query| query.len() + 1);
        let mut text = String::with_capacity(length);
        text.push_str(scheme);
        text.push_str(&host);
        let begin = text.len();
        text.push_str(path);
        if let Some(query) = query {
            text.push('?');
            text.push_str(query);
        }
        Self { text: text.into(), path: begin }
    }

    /// The key of the resource that `reference`, of an answer to a request with this key, names; `None` if that has
    /// another scheme or host (RFC 9111, section 4.4: a service speaks for its own host alone), or no absolute path.
    pub fn named_by(&self, reference: &str) -> Option<Self> {
        let reference = reference.split('#').next()?;
        if reference.starts_with('/') && !reference.starts_with("//") {
            let text: Arc<str> = format!("{}{reference}", &self.text[..self.path]).into();
            return Some(Self { text, path: self.path });
        }
        let (scheme, rest) = self.text[..self.path].split_once("//")?;
        let after = match reference.split_once("//") {
            Some(("", after)) => after,
            Some((named, after)) if named.eq_ignore_ascii_case(scheme) => after,
            _ => return None,
        };
        let end = after.find(['/', '?']).unwrap_or(after.len());
        let (authority, path) = after.split_at(end);
        let usual = if scheme == "https:" { 443 } else { 80 };
        let named = HostAndPort::parse(authority)?;
        let slash = if path.starts_with('/') { "" } else { "/" };
        (named.normal(usual) == rest).then(|| {
            let text: Arc<str> = format!("{}{slash}{path}", &self.text[..self.path]).into();
            Self { text, path: self.path }
        })
    }

    /// The path without the query.
    pub fn path(&self) -> &str {
        let path = &self.text[self.path..];
        path.split('?').next().unwrap_or(path)
    }

    /// The length in bytes.
    pub(super) fn weight(&self) -> usize {
        self.text.len()
    }
}

/// Without the query, which is often secret.
impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", &self.text[..self.path], self.path())
    }
}
