//! Which requests may be sent twice.

use http::Method;

/// Whether a request may be sent again after it perhaps had its effect: GET, HEAD, OPTIONS, TRACE, PUT and DELETE,
/// which RFC 9110 (9.2.2) defines as idempotent, QUERY, which is defined as safe, or any method with an
/// `Idempotency-Key`.
pub fn is_safe(method: &Method, has_idempotency_key: bool) -> bool {
    has_idempotency_key || method.is_idempotent()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_repeated_if_it_is_idempotent() {
        for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY"] {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            assert!(is_safe(&method, false), "{method}");
        }
        // Methods are case-sensitive (RFC 9110, 9.1): `get` may mean anything.
        for method in ["POST", "PATCH", "CONNECT", "PURGE", "get"] {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            assert!(!is_safe(&method, false), "{method}");
            assert!(is_safe(&method, true), "{method} with a key");
        }
    }
}
