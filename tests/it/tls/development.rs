//! The admin by TLS, the operators' verbs to it, and the development authority.

use super::super::atoll::{Home, Http};
use super::{Authority, TlsHome};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

const SERVICE: &str =
    "[service.hello]\ncomponent = '{component:fixture-hello}'\n[[route]]\nprefix = '/'\nservice = 'hello'\n";

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

#[tokio::test]
async fn a_development_authority_is_made_once_and_the_verbs_trust_it() {
    let home = Home::new(&format!("[gateway.tls]\nself_signed = true\n[admin.tls]\nself_signed = true\n{SERVICE}"));
    assert!(home.output(&["check", "atoll.toml"]).await.status.success(), "there is no certificate yet");
    let atoll = home.start().await;
    assert!(atoll.admin.starts_with("https://127.0.0.1:"), "{}", atoll.admin);
    let authority = home.folder.path().join(".atoll/tls/authority.pem");
    let made = fs::read(&authority).unwrap();
    for (name, mode) in [("authority.key", 0o600), ("localhost.key", 0o600), (".", 0o700)] {
        let found = fs::metadata(authority.with_file_name(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{name}");
    }
    let ps = home.output(&["ps"]).await;
    assert!(ps.status.success() && text(&ps).contains("hello"), "{}", text(&ps));
    // The address of the host alone does not say whom to trust.
    let elsewhere = Home::new("");
    let admin = ["--admin", atoll.admin.as_str()];
    let refused = elsewhere.output(&[&["ps"], &admin[..]].concat()).await;
    assert!(!refused.status.success() && text(&refused).contains("--ca"), "{}", text(&refused));
    let ca = authority.display().to_string();
    let trusted = elsewhere.output(&[&["ps"], &admin[..], &["--ca", &ca]].concat()).await;
    assert!(trusted.status.success(), "{}", text(&trusted));
    let missing = elsewhere.output(&[&["ps"], &admin[..], &["--ca", "gone.pem"]].concat()).await;
    assert!(!missing.status.success() && text(&missing).contains("gone.pem"), "{}", text(&missing));
    atoll.stop().await;
    let again = home.start().await;
    assert_eq!(fs::read(&authority).unwrap(), made, "the authority stays");
    again.stop().await;
}

#[tokio::test]
async fn the_admin_beyond_loopback_by_tls_still_demands_its_token() {
    let home =
        TlsHome::with(&format!("[admin.tls]\ncertificates = [{{ cert = 'shop.pem', key = 'shop.key' }}]\n{SERVICE}"));
    home.authority.write(&home.folder().join("ca.pem"));
    let token = "00112233445566778899aabbccddeeff";
    let refused = home.home.command(&["check"]).env("ATOLL_ADMIN_LISTEN", "0.0.0.0:0").output().await.unwrap();
    assert!(!refused.status.success() && text(&refused).contains("ATOLL_ADMIN_TOKEN"), "{}", text(&refused));
    let atoll = home.home.start_with(&[("ATOLL_ADMIN_LISTEN", "0.0.0.0:0"), ("ATOLL_ADMIN_TOKEN", token)]).await;
    let port = atoll.admin.rsplit_once(':').unwrap().1.to_owned();
    let admin = format!("https://localhost:{port}");
    let verb = async |token: &str| {
        let mut command = home.home.command(&["routes", "--admin", &admin, "--ca", "ca.pem"]);
        command.env("ATOLL_ADMIN_TOKEN", token).output().await.unwrap()
    };
    let (good, bad) = (verb(token).await, verb("").await);
    assert!(good.status.success(), "{}", text(&good));
    assert!(!bad.status.success() && text(&bad).contains("ATOLL_ADMIN_TOKEN"), "{}", text(&bad));
    // Its one socket speaks nothing but TLS, and the authority of somebody else is not trusted.
    let plain = Http::default()
        .try_send(http::Request::get(format!("http://127.0.0.1:{port}/healthz")).body(Default::default()).unwrap())
        .await;
    assert!(plain.is_err(), "{plain:?}");
    Authority::new("others").write(&home.folder().join("ca.pem"));
    let foreign = verb(token).await;
    assert!(!foreign.status.success() && text(&foreign).contains("certificate"), "{}", text(&foreign));
}
