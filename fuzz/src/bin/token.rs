//! Tokens and what proves them: any text is a token or none, any set of keys is read or refused, and nothing that was
//! not signed proves anybody.
//!
//! The text is three lines: a JWK set, a token, and the answer of an issuer about a token.
#![no_main]

use host::identity::{IntrospectionPolicy, KeyHash, KeySet, TokenAlgorithm, TokenPolicy, TokenSecret};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut lines = text.split('\n').chain(std::iter::repeat(""));
    let mut next = || lines.next().unwrap_or_default();
    let (keys, token, answer) = (next(), next(), next());
    let names = ["RS256", "PS384", "ES256", "ES384", "EdDSA", "HS256"];
    let policy = TokenPolicy {
        name: "staff".into(),
        issuer: "i".into(),
        audience: vec!["a".into()],
        algorithms: names.into_iter().filter_map(TokenAlgorithm::of_name).collect(),
        typ: None,
        leeway: 60,
    };
    let secret = KeySet::of_secret(TokenSecret::new("a secret that the fuzzer does not know"));
    if let Ok(opened) = policy.open(token.as_bytes()) {
        assert!(policy.verify(&opened, &secret, 1).is_err(), "nobody has signed {token}");
        if let Ok(keys) = KeySet::of_jwks(keys.as_bytes()) {
            let _ = policy.verify(&opened, &keys, 1);
        }
    }
    let asked = IntrospectionPolicy { name: "asked".into(), issuer: None, audience: Vec::new() };
    let _ = asked.read(answer.as_bytes(), 1);
    let _ = KeyHash::of_presented(token.as_bytes());
});
