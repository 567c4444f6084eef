//! Files that cannot be used: `check` and the start name each with its reason and its place in the manifest.

use super::super::atoll::Home;
use super::{Authority, TlsHome, pem};
use rcgen::KeyPair;
use std::fs;
use std::os::unix::fs::PermissionsExt;

const SERVICE: &str =
    "[service.hello]\ncomponent = '{component:fixture-hello}'\n[[route]]\nprefix = '/'\nservice = 'hello'\n";

/// What `check` and `run` say of the manifest; both are the same. It is empty if they succeed.
async fn said(home: &Home, verb: &str) -> (bool, String) {
    let output = home.output(&[verb, "atoll.toml"]).await;
    // The renderer breaks lines; the tests look for words.
    let text = String::from_utf8_lossy(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    (output.status.success(), text)
}

#[tokio::test]
async fn each_broken_file_is_named_with_its_reason_and_its_place() {
    let authority = Authority::new("servers");
    let (good, other) = (authority.sign(&["shop.example"]), authority.sign(&["shop.example"]));
    let nameless = authority.sign(&[]);
    let rsa = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n\
               -----END RSA PRIVATE KEY-----\n";
    let cert = pem("CERTIFICATE", &good.certificate);
    let key = pem("PRIVATE KEY", &good.key.serialize_der());
    let strange = pem("PRIVATE KEY", &[0x30, 0x03, 2, 1, 0]);
    let der = String::from_utf8_lossy(&[0x30, 0x03, 2, 1, 0]).into_owned();
    for (what, cert, key, place, words) in [
        ("missing", None, Some(&*key), "2:26", "a.pem: it cannot be read: No such file"),
        ("not PEM", Some("hello"), Some(&*key), "2:26", "a.pem: it holds no certificate in PEM"),
        ("DER", Some(&*der), Some(&*key), "2:26", "it is DER and not PEM"),
        ("half", Some("-----BEGIN CERTIFICATE-----\nAA"), Some(&*key), "2:26", "a.pem: it is no right PEM"),
        ("no name", Some(&*pem("CERTIFICATE", &nameless.certificate)), Some(&*key), "2:26", "names no host"),
        ("no key", Some(&*cert), Some("swordfish"), "2:41", "a.key: it holds no private key in PEM"),
        (
            "another key",
            Some(&*cert),
            Some(&*pem("PRIVATE KEY", &other.key.serialize_der())),
            "2:41",
            "does not belong to",
        ),
        ("encrypted", Some(&*cert), Some(rsa), "2:41", "a.key: the key is encrypted"),
        ("another kind", Some(&*cert), Some(&*strange), "2:41", "this kind of key cannot be used"),
    ] {
        let home =
            Home::new(&format!("[gateway.tls]\ncertificates = [{{ cert = 'a.pem', key = 'a.key' }}]\n{SERVICE}"));
        for (name, content) in [("a.pem", cert), ("a.key", key)] {
            if let Some(content) = content {
                fs::write(home.folder.path().join(name), content).unwrap();
            }
        }
        for verb in ["check", "run"] {
            let (succeeded, text) = said(&home, verb).await;
            assert!(!succeeded, "{what}: {verb}");
            assert!(text.contains(words) && text.contains(&format!("atoll.toml:{place}")), "{what}: {verb}: {text}");
            assert!(!text.contains("swordfish"), "the content is not shown: {text}");
        }
    }
    // The authorities of the clients have their own place.
    let home = TlsHome::with(&format!(
        "[gateway.tls]\ncertificates = [{{ cert = 'shop.pem', key = 'shop.key' }}]\nclient_ca = 'shop.key'\n{SERVICE}"
    ));
    let (succeeded, text) = said(&home.home, "check").await;
    assert!(!succeeded && text.contains("3:13") && text.contains("shop.key: it holds no certificate in PEM"), "{text}");
}

#[tokio::test]
async fn an_expired_certificate_is_a_warning_and_is_served() {
    let home = TlsHome::new("");
    home.authority.sign_with(&["shop.example"], |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let expired =
        home.authority.sign_with(&["shop.example"], |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    expired.write(home.folder(), "shop");
    let (succeeded, text) = said(&home.home, "check").await;
    assert!(succeeded && text.contains("warning") && text.contains("shop.pem: the certificate has expired"), "{text}");
    let atoll = home.home.start().await;
    atoll.logged("the certificate has expired").await;
    assert!(super::metric(&atoll, "tls_certificate_seconds", "").await.unwrap() < 0.0);
}

#[tokio::test]
async fn no_key_reaches_the_log_or_an_error() {
    let home = TlsHome::new("");
    let secret = KeyPair::generate().unwrap();
    let text = pem("PRIVATE KEY", &secret.serialize_der());
    fs::write(home.folder().join("shop.key"), &text).unwrap();
    let middle = text.lines().nth(1).unwrap();
    let (succeeded, said) = said(&home.home, "check").await;
    assert!(!succeeded && !said.contains(middle), "{said}");
}

#[tokio::test]
async fn a_secret_that_every_user_can_read_is_one_warning_with_its_mend_and_is_served() {
    let home = TlsHome::with(&format!(
        "[gateway.tls]\ncertificates = [{{ cert = 'shop.pem', key = 'shop.key' }}, {{ cert = 'shop.pem', key = \
         'shop.key' }}]\n[state]\nencryption = {{ key = {{ file = 'state.key' }} }}\n{SERVICE}"
    ));
    let set_mode = |name: &str, mode| {
        fs::set_permissions(home.folder().join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    fs::write(home.folder().join("state.key"), "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n").unwrap();
    set_mode("shop.key", 0o644);
    set_mode("state.key", 0o666);
    let (succeeded, text) = said(&home.home, "check").await;
    let told = "has a secret, and every user of this machine can";
    assert!(succeeded && text.matches(told).count() == 2, "{text}");
    assert!(text.contains("can read it (mode 0644)") && text.contains("atoll.toml:2:44"), "{text}");
    assert!(text.contains("can read and change it (mode 0666)") && text.contains("chmod 600"), "{text}");
    assert!(!text.contains("MDEyMzQ1"), "{text}");
    let atoll = home.home.start().await;
    atoll.logged("can read it (mode 0644)").await;
    let lines = atoll.stop().await;
    assert_eq!(lines.iter().filter(|line| line.contains(told)).count(), 2, "{lines:#?}");

    set_mode("shop.key", 0o640);
    set_mode("state.key", 0o400);
    let (succeeded, text) = said(&home.home, "check").await;
    assert!(succeeded && !text.contains(told), "{text}");
}
