//! Which requests may be sent twice.

use http::Method;

/// Whether a request may be sent again, although the first sending perhaps had its effect. So may GET, HEAD, OPTIONS,
/// TRACE, PUT and DELETE, which RFC 9110 (9.2.2) defines as idempotent; QUERY, which is defined as safe; and any method
/// with an `Idempotency-Key`.
pub fn is_safe(method: &Method, has_idempotency_key: bool) -> bool {
    has_idempotency_key || method.is_idempotent()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idempotent_method_or_a_key_makes_a_request_safe_to_send_twice() {
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
