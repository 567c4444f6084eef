//! API keys, what an issuer says of a token, certificates, and what routes demand.

use crate::base::{Identity, IdentityFields, ProofKind};
use crate::identity::{
    ApiKey, CertificatePolicy, Demand, DemandedClaim, Introspected, IntrospectionPolicy, KeyRecord, KeyRefusal,
    KeyRing, Lack, NamePattern, ShownCertificate,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const NOW: u64 = 1_800_000_000;

fn record(key: &ApiKey, policy: &str, expires: Option<u64>) -> KeyRecord {
    let scopes = BTreeSet::from(["orders:write".to_owned()]);
    let (id, name, policy) = ("k1".into(), "acme".into(), policy.into());
    KeyRecord { id, name, policy, scopes, created: NOW - 10, expires, hash: key.hash() }
}

#[test]
fn a_key_proves_its_owner_to_its_own_policy_until_it_ends() {
    let (key, other) = (ApiKey::from_random([1; 32]), ApiKey::from_random([2; 32]));
    let ring = KeyRing::new(&[record(&key, "partner", Some(NOW + 5))]);
    let find = |policy: &str, text: &str, now| ring.find(policy, text.as_bytes(), now).map(|identity| &**identity);
    let found = find("partner", key.text(), NOW).expect("its key");
    assert_eq!((found.subject.as_str(), found.proof, found.claims.as_str()), ("acme", ProofKind::ApiKey, "{}"));
    assert!(found.scopes.contains("orders:write"));
    assert!(find("partner", key.text(), NOW + 4).is_ok());
    assert_eq!(find("partner", key.text(), NOW + 5), Err(KeyRefusal::Expired));
    assert_eq!(find("staff", key.text(), NOW), Err(KeyRefusal::Unknown));
    assert_eq!(find("partner", other.text(), NOW), Err(KeyRefusal::Unknown));
    assert_eq!(find("partner", "atoll_", NOW), Err(KeyRefusal::Malformed));
    assert_eq!(KeyRing::default().find("partner", key.text().as_bytes(), NOW), Err(KeyRefusal::Unknown));
}

fn identity(scopes: &[&str], claims: Value) -> Identity {
    let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    let (subject, policy, proof) = ("ada".into(), "staff".into(), ProofKind::Token);
    Identity { subject, policy, proof, scopes, claims: claims.to_string(), told: IdentityFields::default() }
}

#[test]
fn a_caller_has_all_scopes_and_all_claims_that_are_demanded() {
    let caller = identity(&["a", "b"], json!({ "tenant": "acme", "groups": ["x", "y"], "verified": true, "level": 3 }));
    let check = |scopes: &[&str], claims: &[(&str, Value)]| {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let claim = |(name, values): &(&str, Value)| DemandedClaim {
            name: (*name).to_owned(),
            values: values.as_array().expect("a list").clone(),
        };
        Demand { scopes, claims: claims.iter().map(claim).collect() }.check(&caller)
    };
    assert_eq!(check(&[], &[]), Ok(()));
    assert_eq!(check(&["a", "b"], &[]), Ok(()));
    assert_eq!(check(&["c", "a", "d"], &[]), Err(Lack::Scopes(vec!["c".into(), "d".into()])));
    for (name, values) in [
        ("tenant", json!(["acme"])),
        ("tenant", json!(["other", "acme"])),
        ("groups", json!(["y"])),
        ("verified", json!([true])),
        ("level", json!([3])),
    ] {
        assert_eq!(check(&["a"], &[(name, values.clone())]), Ok(()), "{name} {values}");
    }
    for (name, values) in
        [("tenant", json!(["ACME"])), ("groups", json!(["z"])), ("verified", json!(["true"])), ("absent", json!([""]))]
    {
        assert_eq!(check(&["a"], &[(name, values.clone())]), Err(Lack::Claim(name.into())), "{name} {values}");
    }
    let demand = Demand { scopes: vec![], claims: vec![DemandedClaim { name: "a".into(), values: vec![json!(1)] }] };
    let broken = Identity { claims: "no JSON".into(), ..identity(&[], json!({})) };
    assert_eq!(demand.check(&broken), Err(Lack::Claim("a".into())));
}

#[test]
fn an_issuer_that_is_asked_says_who_calls() {
    let policy = IntrospectionPolicy {
        name: "opaque".into(),
        issuer: Some("https://id.example".into()),
        audience: vec!["shop".into()],
    };
    let good = json!({
        "active": true, "iss": "https://id.example", "aud": ["shop"], "sub": "ada", "exp": NOW + 5, "scope": "a b",
    });
    let read = |answer: &Value| policy.read(answer.to_string().as_bytes(), NOW);
    let Introspected::Active { identity, until } = read(&good) else { panic!("{good}") };
    assert_eq!((identity.subject.as_str(), identity.proof, until), ("ada", ProofKind::Introspection, Some(NOW + 5)));
    assert_eq!(identity.scopes.into_iter().collect::<Vec<_>>(), ["a", "b"]);
    for (member, value) in [
        ("active", json!(false)),
        ("exp", json!(NOW)),
        ("nbf", json!(NOW + 1)),
        ("iss", json!("https://other.example")),
        ("aud", json!("other")),
        ("sub", json!(null)),
        ("cnf", json!({})),
    ] {
        let mut answer = good.clone();
        answer[member] = value;
        assert!(matches!(read(&answer), Introspected::Refused(_)), "{answer}");
    }
    for answer in [json!({}), json!({ "active": "true" }), json!([]), json!("x")] {
        assert_eq!(read(&answer), Introspected::Unreadable, "{answer}");
    }
    let any = IntrospectionPolicy { issuer: None, audience: vec![], ..policy };
    let least = json!({ "active": true, "username": "ada" }).to_string();
    assert!(matches!(any.read(least.as_bytes(), NOW), Introspected::Active { until: None, .. }));
}

#[test]
fn a_certificate_proves_the_first_of_its_names_that_fits() {
    let pattern = |text: &str| NamePattern::parse(text).expect(text);
    let policy = CertificatePolicy {
        name: "machines".into(),
        subjects: vec![pattern("dns:*.Partner.example"), pattern("uri:spiffe://shop/*"), pattern("subject:CN=till-7")],
        scopes: BTreeSet::from(["orders:write".to_owned()]),
    };
    let caller = |subject: &str, names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let shown = ShownCertificate { subject: subject.into(), names, fingerprint: "ab".into() };
        policy.identify(&shown).map(|identity| identity.subject)
    };
    assert_eq!(caller("CN=till-7", &[]), Some("CN=till-7".into()));
    assert_eq!(caller("CN=till-7", &["dns:evil", "dns:a.partner.example"]), Some("a.partner.example".into()));
    assert_eq!(caller("", &["uri:spiffe://shop/orders"]), Some("spiffe://shop/orders".into()));
    for (subject, names) in [
        ("", vec![]),
        ("CN=till-70", vec![]),
        ("CN=till-7,O=Evil", vec![]),
        ("spiffe://shop/orders", vec!["dns:CN=till-7", "email:a.partner.example", "uri:a.partner.example"]),
        ("", vec!["dns:.partner.example", "dns:a.b.partner.example", "dns:partner.example", "dns:apartner.example"]),
        ("", vec!["uri:spiffe://shop/", "uri:spiffe://shopping/x", "dns:spiffe://shop/x"]),
    ] {
        assert_eq!(caller(subject, &names), None, "{subject} {names:?}");
    }
    for wrong in
        ["", "till-7", "dns:", "dns:*", "dns:*.", "uri:/*", "dns:a*b", "uri:*/a", "dns:*.*.a", "ip:*", "cn:a", "*"]
    {
        assert_eq!(NamePattern::parse(wrong), None, "{wrong}");
    }
}
