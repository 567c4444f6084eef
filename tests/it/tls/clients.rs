//! Certificates of clients: who is let in, and for which host.

use super::super::atoll::eventually;
use super::{Authority, Client, GET, TlsHome, metric};
use rcgen::ExtendedKeyUsagePurpose;
use std::fs;

/// A manifest's lines for clients, and the authority of the clients in `clients.pem`.
fn home(auth: &str) -> (TlsHome, Authority) {
    let home = TlsHome::new(&format!("client_ca = 'clients.pem'\nclient_auth = '{auth}'"));
    let clients = Authority::new("clients");
    clients.write(&home.folder().join("clients.pem"));
    (home, clients)
}

#[tokio::test]
async fn a_client_without_a_right_certificate_is_refused_where_one_is_required() {
    let (home, clients) = home("required");
    let own = clients.sign_with(&["orders"], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let for_servers = clients.sign_with(&["orders"], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let expired = clients.sign_with(&["orders"], |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    let foreign = Authority::new("others").sign(&["orders"]);
    let atoll = home.home.start().await;
    let ask = async |own: Option<&super::Signed>| {
        let client = Client::new(&home.authority, own);
        // In TLS 1.3 the client learns of a refusal when it reads.
        client.ask(&atoll, "shop.example", GET).await.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    };
    assert!(ask(Some(&own)).await);
    for (what, wrong) in [("another authority", &foreign), ("expired", &expired), ("for servers", &for_servers)] {
        assert!(!ask(Some(wrong)).await, "{what}");
    }
    assert!(!ask(None).await);
    for (reason, count) in [("client-certificate", 3.0), ("no-client-certificate", 1.0)] {
        let labels = format!(",reason=\"{reason}\"");
        eventually(reason, async || {
            metric(&atoll, "tls_handshake_failures_total", &labels).await.filter(|found| *found == count)
        })
        .await;
    }
}

#[tokio::test]
async fn where_clients_show_certificates_a_request_is_for_the_host_of_the_handshake() {
    let (home, clients) = home("optional");
    let own = clients.sign(&["orders"]);
    let foreign = Authority::new("others").sign(&["orders"]);
    let atoll = home.home.start().await;
    for own in [None, Some(&own)] {
        let client = Client::new(&home.authority, own);
        for (name, host, status) in [
            ("shop.example", "shop.example", 200),
            ("shop.example", "SHOP.example:8443", 200),
            ("shop.example", "localhost", 421),
            ("127.0.0.1", "127.0.0.1", 200),
            ("127.0.0.1", "localhost", 421),
        ] {
            let answer = client.ask(&atoll, name, &GET.replace("shop.example", host)).await.unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{name} {host}: {answer}");
        }
    }
    let wrong = Client::new(&home.authority, Some(&foreign));
    assert!(!wrong.ask(&atoll, "shop.example", GET).await.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")));
}

#[tokio::test]
async fn a_certificate_lets_in_who_has_a_name_of_the_policy_and_what_its_scopes_allow() {
    let home = TlsHome::with(
        r#"
[gateway.tls]
certificates = [{ cert = 'shop.pem', key = 'shop.key' }]
client_ca = 'clients.pem'
client_auth = 'optional'
[auth.machines]
kind = "certificate"
subjects = ["dns:*.partner.example", "subject:CN=till-7"]
scopes = ["orders:read"]
[service.hello]
component = '{component:fixture-hello}'
[[route]]
prefix = '/'
service = 'hello'
auth = "machines"
scopes = ["orders:read"]
[[route]]
prefix = '/write'
service = 'hello'
auth = "machines"
scopes = ["orders:write"]
"#,
    );
    let clients = Authority::new("clients");
    clients.write(&home.folder().join("clients.pem"));
    let named = |name: &str, names: &[&str]| {
        clients.sign_with(names, |params| {
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
        })
    };
    let atoll = home.home.start().await;
    for (own, path, status) in [
        (Some(named("a", &["orders.partner.example"])), "/", 200),
        (Some(named("till-7", &[])), "/", 200),
        (Some(named("till-7", &[])), "/write", 403),
        (Some(named("till-70", &["a.b.partner.example", "partner.example"])), "/", 401),
        (None, "/", 401),
    ] {
        let client = Client::new(&home.authority, own.as_ref());
        let request = GET.replacen(" / ", &format!(" {path} "), 1);
        let answer = client.ask(&atoll, "shop.example", &request).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path} {status}: {answer}");
    }
}

#[tokio::test]
async fn a_certificate_that_its_authority_has_revoked_is_refused_once_the_list_says_so() {
    let (home, clients) = home("required");
    let folder = home.folder().to_owned();
    let manifest = fs::read_to_string(home.home.manifest()).unwrap();
    fs::write(home.home.manifest(), manifest.replace("client_ca =", "client_crl = 'crl.pem'\nclient_ca =")).unwrap();
    let serial = |number: u64| move |params: &mut rcgen::CertificateParams| params.serial_number = Some(number.into());
    let (good, bad) = (clients.sign_with(&["orders"], serial(1)), clients.sign_with(&["orders"], serial(2)));
    fs::write(folder.join("crl.pem"), clients.revocation_list(&[], 1)).unwrap();
    let atoll = home.home.start().await;
    let ask = async |own: &super::Signed| {
        let client = Client::new(&home.authority, Some(own));
        client.ask(&atoll, "shop.example", GET).await.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    };
    assert!(ask(&good).await && ask(&bad).await);
    fs::write(folder.join("crl.pem"), clients.revocation_list(&[2], 1)).unwrap();
    eventually("the revoked one is refused", async || (!ask(&bad).await).then_some(())).await;
    assert!(ask(&good).await, "the other one is as good as before");
    // A list that cannot be read keeps the one before; an expired one says nothing of anybody (RFC 5280, 6.3.3).
    fs::write(folder.join("crl.pem"), "junk").unwrap();
    atoll.logged("it holds no revocation list in PEM").await;
    assert!(ask(&good).await && !ask(&bad).await);
    fs::write(folder.join("crl.pem"), clients.revocation_list(&[2], -1)).unwrap();
    atoll.logged("a revocation list has expired").await;
    assert!(!ask(&good).await && !ask(&bad).await);
    let checked = home.home.output(&["check", "atoll.toml"]).await;
    let said = String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && said.contains("a revocation list has expired"), "{said}");
}
