//! Tokens that prove somebody, and tokens that do not.

use super::signer::{Signer, encode, set};
use crate::base::ProofKind;
use crate::identity::TokenAlgorithm::{self as A, *};
use crate::identity::{KeySet, KeySetError, LONGEST_TOKEN, TokenPolicy, TokenRefusal as R, TokenSecret, VerifiedToken};
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;
const ALL: [(&str, A); 13] = [
    ("RS256", Rs256),
    ("RS384", Rs384),
    ("RS512", Rs512),
    ("PS256", Ps256),
    ("PS384", Ps384),
    ("PS512", Ps512),
    ("ES256", Es256),
    ("ES384", Es384),
    ("EdDSA", Ed25519),
    ("Ed25519", Ed25519),
    ("HS256", Hs256),
    ("HS384", Hs384),
    ("HS512", Hs512),
];

fn policy(algorithms: &[A]) -> TokenPolicy {
    TokenPolicy {
        name: "staff".into(),
        issuer: "https://id.example".into(),
        audience: vec!["shop".into(), "stock".into()],
        algorithms: algorithms.to_vec(),
        typ: None,
        leeway: 60,
    }
}

fn claims() -> Value {
    json!({ "iss": "https://id.example", "aud": "shop", "sub": "ada", "exp": NOW + 300, "scope": "users:read  orders" })
}

fn with(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

fn verify(policy: &TokenPolicy, keys: &KeySet, token: &str) -> Result<VerifiedToken, R> {
    policy.verify(&policy.open(token.as_bytes())?, keys, NOW)
}

fn signer(algorithm: A) -> Signer {
    match algorithm {
        Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512 => Signer::rsa(),
        Es256 => Signer::p256(),
        Es384 => Signer::p384(),
        Ed25519 => Signer::ed25519(),
        Hs256 | Hs384 | Hs512 => Signer::Secret(vec![7; 64]),
    }
}

#[test]
fn each_algorithm_proves_its_own_tokens_and_no_other_algorithm_does() {
    for (name, algorithm) in ALL {
        assert_eq!(A::of_name(name), Some(algorithm));
        let signer = signer(algorithm);
        let token = signer.token(algorithm, &json!({ "alg": name }).to_string(), &claims().to_string());
        let verified = verify(&policy(&[algorithm]), &signer.keys(), &token).expect(name);
        assert_eq!((verified.identity.subject.as_str(), verified.until), ("ada", NOW + 360));
        assert_eq!((verified.identity.proof, verified.identity.policy.as_str()), (ProofKind::Token, "staff"));
        assert_eq!(verified.identity.scopes.into_iter().collect::<Vec<_>>(), ["orders", "users:read"]);
        assert_eq!(serde_json::from_str::<Value>(&verified.identity.claims).unwrap(), claims());
        for (other_name, other) in ALL.into_iter().filter(|(_, other)| *other != algorithm) {
            assert_eq!(verify(&policy(&[other]), &signer.keys(), &token), Err(R::Algorithm), "{name} as {other_name}");
            // The policy allows all of them, and the header names another one than the one that signed.
            let lie = signer.token(algorithm, &json!({ "alg": other_name }).to_string(), &claims().to_string());
            let refusal = verify(&policy(&[algorithm, other]), &signer.keys(), &lie).expect_err(other_name);
            assert!(matches!(refusal, R::Signature | R::UnknownKey), "{name} as {other_name}: {refusal:?}");
        }
    }
    for name in ["none", "None", "rs256", "ES512", "ES256K", "Ed448", "HS1", ""] {
        assert_eq!(A::of_name(name), None, "{name}");
    }
}

#[test]
fn the_public_key_as_a_secret_proves_nothing() {
    let rsa = Signer::rsa();
    let Value::String(modulus) = &rsa.jwk()["n"] else { panic!("an RSA key") };
    for secret in [modulus.clone().into_bytes(), include_bytes!("rsa_key.pem").to_vec()] {
        let token = Signer::Secret(secret).token(Hs256, r#"{"alg":"HS256"}"#, &claims().to_string());
        assert_eq!(verify(&policy(&[Rs256]), &rsa.keys(), &token), Err(R::Algorithm));
        assert_eq!(verify(&policy(&[Rs256, Hs256]), &rsa.keys(), &token), Err(R::UnknownKey));
    }
}

#[test]
fn claims_that_are_not_for_this_host_now_prove_nobody() {
    let signer = Signer::ed25519();
    let cases = [
        (json!({ "iss": null }), R::Issuer),
        (json!({ "iss": "https://id.example/" }), R::Issuer),
        (json!({ "iss": ["https://id.example"] }), R::Issuer),
        (json!({ "aud": null }), R::Audience),
        (json!({ "aud": "" }), R::Audience),
        (json!({ "aud": "Shop" }), R::Audience),
        (json!({ "aud": ["other"] }), R::Audience),
        (json!({ "aud": { "shop": true } }), R::Audience),
        (json!({ "exp": null }), R::NoEnd),
        (json!({ "exp": "1900000000" }), R::NoEnd),
        (json!({ "exp": -1 }), R::NoEnd),
        (json!({ "exp": 1e300 }), R::NoEnd),
        (json!({ "exp": 0 }), R::Expired),
        (json!({ "exp": NOW - 60 }), R::Expired),
        (json!({ "nbf": NOW + 61 }), R::NotYet),
        (json!({ "nbf": "soon" }), R::NotYet),
        (json!({ "iat": NOW + 61 }), R::NotYet),
        (json!({ "cnf": { "jkt": "x" } }), R::Bound),
        (json!({ "sub": null }), R::NoSubject),
        (json!({ "sub": 7 }), R::NoSubject),
    ];
    for (changes, refusal) in cases {
        let token = signer.token(Ed25519, r#"{"alg":"EdDSA"}"#, &with(changes.clone()).to_string());
        assert_eq!(verify(&policy(&[Ed25519]), &signer.keys(), &token), Err(refusal), "{changes}");
    }
    for changes in [
        json!({ "aud": ["other", "stock"] }),
        json!({ "exp": NOW - 59 }),
        json!({ "exp": NOW as f64 + 0.5 }),
        json!({ "nbf": NOW + 60, "iat": NOW + 60 }),
        json!({ "sub": null, "client_id": "batch" }),
        json!({ "scope": null, "scp": ["a", "b"] }),
    ] {
        let token = signer.token(Ed25519, r#"{"alg":"EdDSA"}"#, &with(changes.clone()).to_string());
        assert!(verify(&policy(&[Ed25519]), &signer.keys(), &token).is_ok(), "{changes}");
    }
}

#[test]
fn a_header_that_demands_more_or_says_two_things_is_refused() {
    let signer = Signer::p256();
    let keys = set(&[with_id(&signer, "k1")]).unwrap();
    let cases = [
        (r#"{"alg":"ES256","kid":"k1","crit":["exp"],"exp":1}"#, R::Critical),
        (r#"{"alg":"ES256","kid":"k1","crit":["b64"],"b64":false}"#, R::Critical),
        (r#"{"alg":"ES256","kid":"k2"}"#, R::UnknownKey),
        (r#"{"alg":"ES256","kid":["k1"]}"#, R::Malformed),
        (r#"{"alg":"ES256","alg":"none"}"#, R::Malformed),
        (r#"{"kid":"k1"}"#, R::Algorithm),
        (r#"["alg","ES256"]"#, R::Malformed),
        (r#""#, R::Malformed),
    ];
    for (header, refusal) in cases {
        let token = signer.token(Es256, header, &claims().to_string());
        assert_eq!(verify(&policy(&[Es256]), &keys, &token), Err(refusal), "{header}");
    }
    let twice = claims().to_string().replace('}', r#","sub":"eve"}"#);
    let token = signer.token(Es256, r#"{"alg":"ES256"}"#, &twice);
    assert_eq!(verify(&policy(&[Es256]), &keys, &token), Err(R::Malformed), "{twice}");
    // A header that brings its own key is read as if it had none.
    let evil = Signer::p256();
    let header = json!({ "alg": "ES256", "jwk": evil.jwk(), "jku": "https://evil.example", "x5u": "https://evil" });
    let token = evil.token(Es256, &header.to_string(), &claims().to_string());
    assert_eq!(verify(&policy(&[Es256]), &keys, &token), Err(R::Signature));
}

#[test]
fn a_type_is_compared_without_case_and_prefix() {
    let (signer, mut policy) = (Signer::ed25519(), policy(&[Ed25519]));
    policy.typ = Some("at+jwt".into());
    for (typ, right) in
        [("at+jwt", true), ("application/AT+JWT", true), ("JWT", false), ("", false), ("application/", false)]
    {
        let token = signer.token(Ed25519, &json!({ "alg": "EdDSA", "typ": typ }).to_string(), &claims().to_string());
        assert_eq!(verify(&policy, &signer.keys(), &token).is_ok(), right, "{typ}");
    }
    let token = signer.token(Ed25519, r#"{"alg":"EdDSA"}"#, &claims().to_string());
    assert_eq!(verify(&policy, &signer.keys(), &token), Err(R::Type));
}

fn with_id(signer: &Signer, id: &str) -> Value {
    let mut jwk = signer.jwk();
    jwk["kid"] = id.into();
    jwk
}

#[test]
fn the_key_is_the_one_that_the_token_names_and_without_a_name_the_only_one() {
    let (one, other, rsa) = (Signer::p256(), Signer::p256(), Signer::rsa());
    let policy = policy(&[Es256, Rs256]);
    let token = |header: &str| one.token(Es256, header, &claims().to_string());
    let (named, unnamed) = (token(r#"{"alg":"ES256","kid":"one"}"#), token(r#"{"alg":"ES256"}"#));
    let both = set(&[with_id(&one, "one"), with_id(&other, "other"), with_id(&rsa, "rsa")]).unwrap();
    assert!(verify(&policy, &both, &named).is_ok());
    assert_eq!(verify(&policy, &both, &unnamed), Err(R::AmbiguousKey));
    assert_eq!(verify(&policy, &both, &token(r#"{"alg":"ES256","kid":"other"}"#)), Err(R::Signature));
    assert_eq!(verify(&policy, &both, &token(r#"{"alg":"ES256","kid":"rsa"}"#)), Err(R::Algorithm));
    let twice = set(&[with_id(&one, "one"), with_id(&other, "one")]).unwrap();
    assert_eq!(verify(&policy, &twice, &named), Err(R::AmbiguousKey));
    // The only key of its kind.
    let lone = set(&[with_id(&one, "one"), with_id(&rsa, "rsa")]).unwrap();
    assert!(verify(&policy, &lone, &unnamed).is_ok());
    // A secret has no id, whatever the token names.
    let secret = Signer::Secret(vec![1; 32]);
    let token = secret.token(Hs256, r#"{"alg":"HS256","kid":"any"}"#, &claims().to_string());
    assert!(verify(&self::policy(&[Hs256]), &secret.keys(), &token).is_ok());
}

#[test]
fn keys_that_are_not_for_tokens_are_passed_over() {
    let good = Signer::p256();
    let change = |member: &str, value: Value| {
        let mut jwk = good.jwk();
        jwk[member] = value;
        jwk
    };
    let weak = json!({ "kty": "RSA", "n": encode([0xff; 128]), "e": "AQAB" });
    let passed_over = [
        change("use", "enc".into()),
        change("key_ops", json!(["encrypt"])),
        change("alg", "ECDH-ES".into()),
        change("alg", "ES384".into()),
        change("crv", "P-521".into()),
        change("x", encode([1; 31]).into()),
        change("x", "=".into()),
        weak,
        Signer::Secret(vec![1; 32]).jwk(),
        json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "" }),
        json!({ "kty": 7 }),
        json!("key"),
    ];
    for jwk in &passed_over {
        assert_eq!(set(std::slice::from_ref(jwk)).unwrap_err(), KeySetError::NoKey(1), "{jwk}");
    }
    let token = good.token(Es256, r#"{"alg":"ES256"}"#, &claims().to_string());
    let all = set(&[&passed_over[..], &[change("alg", "ES256".into())]].concat()).unwrap();
    assert!(verify(&policy(&[Es256]), &all, &token).is_ok());
    for wrong in ["", "{}", r#"{"keys":{}}"#, "[]", r#"{"keys":[]"#] {
        assert!(matches!(KeySet::of_jwks(wrong.as_bytes()), Err(KeySetError::NotASet(_))), "{wrong}");
    }
    assert_eq!(set(&vec![json!(1); 129]).unwrap_err(), KeySetError::TooMany);
    let mut zero = Signer::rsa().jwk();
    let n = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, zero["n"].as_str().unwrap());
    zero["n"] = encode([&[0][..], &n.unwrap()].concat()).into();
    let token = Signer::rsa().token(Rs256, r#"{"alg":"RS256"}"#, &claims().to_string());
    assert!(verify(&policy(&[Rs256]), &set(&[zero]).unwrap(), &token).is_ok(), "a leading zero, as DER has it");
}

#[test]
fn a_token_in_another_form_is_refused_unread() {
    let signer = Signer::ed25519();
    let (policy, keys) = (policy(&[Ed25519]), signer.keys());
    let token = signer.token(Ed25519, r#"{"alg":"EdDSA"}"#, &claims().to_string());
    let unsigned = format!("{}.{}.", encode(r#"{"alg":"none"}"#), encode(claims().to_string()));
    let stripped = format!("{}.", token.rsplit_once('.').unwrap().0);
    assert_eq!(verify(&policy, &keys, &unsigned), Err(R::Algorithm));
    assert_eq!(verify(&policy, &keys, &stripped), Err(R::Signature));
    for malformed in [
        "".to_owned(),
        "..".into(),
        "a.b.c".into(),
        format!("{token}.x"),
        format!("{token}="),
        format!(" {token}"),
        token.replacen('.', "", 1),
        "eyJhbGciOiJkaXIifQ....".into(),
    ] {
        assert_eq!(verify(&policy, &keys, &malformed), Err(R::Malformed), "{malformed}");
    }
    assert_eq!(verify(&policy, &keys, &"a".repeat(LONGEST_TOKEN + 1)), Err(R::TooLong));
    assert_eq!(verify(&policy, &keys, &"a".repeat(LONGEST_TOKEN)), Err(R::Malformed));
}

#[test]
fn secrets_and_keys_hide_themselves() {
    let text = format!("{:?} {:?}", TokenSecret::new("hush"), Signer::p256().keys());
    assert!(!text.contains("hush") && text.contains("TokenSecret(…)") && text.contains("KeyMaterial(…)"), "{text}");
    assert_eq!([Hs256, Hs384, Hs512, Es256].map(A::least_secret), [32, 48, 64, 0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_changed_bit_of_a_token_proves_anybody(at in 0..10_000usize, bit in 0..8u8) {
        let signer = Signer::Secret(vec![7; 32]);
        let mut token = signer.token(Hs256, r#"{"alg":"HS256"}"#, &claims().to_string()).into_bytes();
        let at = at % token.len();
        token[at] ^= 1 << bit;
        let policy = policy(&[Hs256]);
        let outcome = policy.open(&token).and_then(|opened| policy.verify(&opened, &signer.keys(), NOW));
        prop_assert!(outcome.is_err());
    }

    #[test]
    fn no_bytes_make_the_readers_panic(bytes: Vec<u8>, header: String, claims: String) {
        let policy = policy(&[Hs256]);
        let _ = policy.open(&bytes);
        let token = Signer::Secret(vec![7; 32]).token(Hs256, &header, &claims);
        let _ = policy.open(token.as_bytes());
        let _ = KeySet::of_jwks(&bytes);
    }
}
