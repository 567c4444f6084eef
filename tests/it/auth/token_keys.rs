//! The keys of an issuer: from a file and from an address, rotated, away, and there at last.

use super::issuer::{EcKey, IssuerServer, by_secret, claims, jwks};
use super::{Guarded, refusal};
use crate::it::atoll::{Home, Http, eventually};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

fn policy(keys: &str) -> String {
    let policy = "issuer = \"https://id.example\"\naudience = [\"shop\"]\nalgorithms = [\"ES256\"]";
    format!("[gateway]\ndefault_auth = [\"staff\"]\n[auth.staff]\nkind = \"jwt\"\n{policy}\n{keys}\n")
}

#[tokio::test]
async fn a_file_of_keys_is_read_again_when_it_changes_and_a_broken_one_changes_nothing() {
    let (old, new) = (EcKey::new("old"), EcKey::new("new"));
    let host = Guarded::start_with(&policy("jwks = \"jwks.json\""), &[], &[("jwks.json", &jwks(&[old.jwk()]))]).await;
    let (by_old, by_new) = (old.token(&claims(json!({}))), new.token(&claims(json!({}))));
    assert_eq!(host.bearer("/x", &by_old).await.status, 200);
    assert_eq!(host.bearer("/x", &by_new).await.status, 401);
    let file = host.home.folder.path().join("jwks.json");
    std::fs::write(&file, "{").unwrap();
    host.atoll.logged("the keys of an issuer cannot be read").await;
    let ready = Http::default().get(&format!("{}/readyz", host.atoll.admin)).await;
    let ready: serde_json::Value = serde_json::from_slice(&ready.body).unwrap();
    assert!(ready["status"] == "degraded" && ready["keys"].as_str().unwrap().ends_with("staff"), "{ready}");
    let metrics = Http::default().get(&format!("{}/metrics", host.atoll.admin)).await;
    let metrics = String::from_utf8(metrics.body.to_vec()).unwrap();
    assert!(metrics.contains("atoll_auth_key_fetches_total{policy=\"staff\",outcome=\"failed\"}"), "{metrics}");
    assert_eq!(host.bearer("/x", &by_old).await.status, 200, "the last good keys stay");
    std::fs::write(&file, jwks(&[new.jwk()])).unwrap();
    eventually("the new key counts", async || (host.bearer("/x", &by_new).await.status == 200).then_some(())).await;
    assert_eq!(host.bearer("/x", &by_old).await.status, 401, "a token that was remembered does not outlive its key");
}

#[tokio::test]
async fn keys_that_were_never_there_are_503_and_the_last_good_ones_stay_while_they_are_away() {
    let (key, server) = (EcKey::new("k1"), IssuerServer::start(None).await);
    let keys = format!("jwks = \"http://{}/jwks\"", server.address);
    let host = Guarded::start(&policy(&keys)).await;
    let token = key.token(&claims(json!({})));
    let none_yet = host.bearer("/x", &token).await;
    assert_eq!(refusal(&none_yet), (503, "auth-unavailable".into(), vec![]));
    assert_eq!(none_yet.header("retry-after"), "5");
    assert_eq!(host.bearer("/x", "x").await.status, 401, "what is no token is refused without any keys");
    server.with(|state| state.jwks = Some(jwks(&[key.jwk()])));
    eventually("the keys are there", async || (host.bearer("/x", &token).await.status == 200).then_some(())).await;
    server.with(|state| state.jwks = None);
    let asked = server.asked("/jwks");
    let other = EcKey::new("k2");
    for _ in 0..20 {
        assert_eq!(host.bearer("/x", &other.token(&claims(json!({})))).await.status, 401);
        assert_eq!(host.bearer("/x", &token).await.status, 200);
    }
    assert!(server.asked("/jwks") <= asked + 1, "20 unknown keys are one question at most");
}

#[tokio::test]
async fn an_address_behind_a_private_authority_is_trusted_by_its_file_and_by_no_other() {
    let authority = || {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let pem = |authority: &CertifiedIssuer<'static, KeyPair>| {
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(authority.der()))
    };
    let (ours, theirs, server_key) = (authority(), authority(), KeyPair::generate().unwrap());
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = certificate.signed_by(&server_key, &ours).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let server_key = PrivateKeyDer::Pkcs8(server_key.serialize_der().into());
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], server_key).unwrap();
    let server = IssuerServer::start(Some(TlsAcceptor::from(Arc::new(config)))).await;
    let key = EcKey::new("k1");
    server.with(|state| state.jwks = Some(jwks(&[key.jwk()])));
    let keys = format!("jwks = \"https://localhost:{}/jwks\"\nca = \"ca.pem\"", server.address.port());
    for (authority, status) in [(&ours, 200), (&theirs, 503)] {
        let host = Guarded::start_with(&policy(&keys), &[], &[("ca.pem", &pem(authority))]).await;
        let answer = host.bearer("/x", &key.token(&claims(json!({})))).await;
        assert_eq!(answer.status.as_u16(), status, "{answer:?}");
    }
}

#[tokio::test]
async fn a_shared_secret_comes_from_the_environment_and_is_long_enough() {
    let secret = "0123456789abcdef0123456789abcdef";
    let keys = policy("secret = { from_env = \"SHOP_JWT\" }").replace("ES256", "HS256");
    let host = Guarded::start_with(&keys, &[("SHOP_JWT", secret)], &[]).await;
    assert_eq!(host.bearer("/x", &by_secret(secret.as_bytes(), &claims(json!({})))).await.status, 200);
    assert_eq!(host.bearer("/x", &by_secret(b"guess", &claims(json!({})))).await.status, 401);
    let mut check = host.home.command(&["check"]);
    let output = check.env("SHOP_JWT", &secret[1..]).output().await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("31 bytes") && errors.contains("need 32") && !errors.contains(&secret[1..]), "{errors}");
}

#[tokio::test]
async fn a_broken_key_set_and_roots_that_are_none_are_told_with_their_place_by_check_and_by_run() {
    let ec = jwks(&[EcKey::new("a").jwk()]);
    for (keys, file, text, told, refused) in [
        ("jwks = \"jwks.json\"", "jwks.json", "{", "atoll.toml:8:8: policy `staff`: ", true),
        ("jwks = \"jwks.json\"", "jwks.json", "{\"keys\":[]}", "atoll.toml:8:8: policy `staff`: ", true),
        (
            "jwks = \"https://127.0.0.1:1/\"\nca = \"ca.pem\"",
            "ca.pem",
            "junk",
            "atoll.toml:9:6: policy `staff`: ",
            true,
        ),
        // Nobody gets in, and a new set may come any time: that is a warning.
        ("algorithms = [\"RS256\"]\njwks = \"jwks.json\"", "jwks.json", &ec, "has no key for its `algorithms`", false),
    ] {
        let text_of_policy = match refused {
            true => policy(keys),
            false => policy(keys).replacen("algorithms = [\"ES256\"]\n", "", 1),
        };
        let home = Home::new(&text_of_policy);
        std::fs::write(home.folder.path().join(file), text).unwrap();
        for verb in ["check", "run"] {
            if verb == "run" && !refused {
                continue;
            }
            let output = home.output(&[verb, "atoll.toml"]).await;
            let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            let place = told.split_once(": ").map_or(told, |(place, _)| place);
            assert_eq!(output.status.success(), !refused, "{verb}: {said}");
            assert!(said.contains(place) && (refused || said.contains("warning: ")), "{verb} {told}: {said}");
        }
    }
}
