//! Header fields that end at this host.

use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The fields that are for one connection only, whether `Connection` names them or not (RFC 9110, section 7.6.1).
static HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("keep-alive"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
];

/// The fields that `Connection` cannot remove: without its host or its length a message would be another message.
static END_TO_END: [HeaderName; 2] = [HOST, CONTENT_LENGTH];

/// Whether a field is for one connection only.
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(name)
}

/// Removes the hop-by-hop fields, and the fields that `Connection` names. Call it before the host sets fields of its
/// own: otherwise a client could name those in `Connection`, and so remove them.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // Most messages have a handful of fields: one walk over the fields costs less than eight look-ups.
    let place = |name| HOP_BY_HOP.iter().position(|hop_by_hop| hop_by_hop == name);
    let present = headers.keys().filter_map(place).fold(0_u8, |present, place| present | 1 << place);
    if present == 0 {
        return;
    }
    let named: Vec<HeaderName> = header_tokens(headers, &CONNECTION)
        // By far the most frequent member. It is removed below.
        .filter(|token| !token.eq_ignore_ascii_case(b"keep-alive"))
        .filter_map(|token| HeaderName::from_bytes(token).ok())
        .filter(|name| !END_TO_END.contains(name))
        .collect();
    let present = HOP_BY_HOP.iter().enumerate().filter(|(place, _)| present & 1 << place != 0);
    for name in named.iter().chain(present.map(|(_, name)| name)) {
        headers.remove(name);
    }
}

/// The members of a header whose value is a list of tokens, such as `Connection`: trimmed, without the empty ones.
pub fn header_tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let values = headers.get_all(name).into_iter().map(HeaderValue::as_bytes);
    values.flat_map(|value| value.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

/// What the last hop itself has said in a header to which each hop appends, as a line or behind a comma: the last word
/// of the last line. Those before it are the word of whoever sent the request there. RFC 7239 has no rule for the
/// fields that begin with `X-`.
pub fn last_word<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let line = headers.get_all(name).iter().next_back()?.as_bytes();
    line.rsplit(|byte| *byte == b',').next().map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hop_by_hop_fields_go_and_so_do_those_that_connection_names() {
        let fields = [
            ("connection", "close, X-One, Keep-Alive"),
            ("connection", "x-two,host , content-length,, é"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("proxy-authorization", "Basic eA=="),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-three", "3"),
            ("host", "a"),
            ("content-length", "0"),
        ];
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        }
        remove_hop_by_hop(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-length", "host", "x-three"]);
    }
}
