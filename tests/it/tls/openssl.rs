//! The gateway's TLS as OpenSSL's own client sees it. Without `openssl` in the path these tests pass without a word of
//! their own; `docs/conformance.md` has their table.

use super::super::atoll::Atoll;
use super::{Authority, TlsHome};
use std::process::Stdio;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// What `openssl s_client` prints of a connection, on which it sends a request; `None` without OpenSSL.
async fn s_client(home: &TlsHome, atoll: &Atoll, arguments: &[&str]) -> Option<String> {
    let address = atoll.secure.strip_prefix("https://").unwrap();
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", address, "-CAfile", "ca.pem", "-ign_eof"]).args(arguments);
    command.current_dir(home.folder()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn().ok()?;
    let mut input = child.stdin.take().unwrap();
    // A client whose handshake has failed reads nothing any more.
    let _ = input.write_all(super::GET.as_bytes()).await;
    let output = tokio::time::timeout(super::TIMEOUT, child.wait_with_output()).await.expect("it ends").unwrap();
    drop(input);
    Some(String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned())
}

#[tokio::test]
async fn openssl_agrees_on_versions_suites_names_and_sessions() {
    let home = TlsHome::new("");
    home.authority.write(&home.folder().join("ca.pem"));
    let atoll = home.home.start().await;
    let name = ["-servername", "shop.example", "-verify_hostname", "shop.example", "-verify_return_error"];
    let (tls13, tls12) = (
        ["TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"],
        ["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-GCM-SHA256"],
    );
    let good = tls13.iter().map(|suite| ["-tls1_3", "-ciphersuites", suite]);
    let good = good.chain(tls12.iter().map(|suite| ["-tls1_2", "-cipher", suite]));
    for arguments in good {
        let Some(said) = s_client(&home, &atoll, &[&name[..], &arguments].concat()).await else { return };
        assert!(said.contains(&format!("Cipher is {}", arguments[2])), "{arguments:?}: {said}");
        assert!(said.contains("Verify return code: 0 (ok)") && said.contains("HTTP/1.1 200"), "{arguments:?}: {said}");
    }
    let refused = [
        ["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"],
        ["-tls1", "-cipher", "DEFAULT@SECLEVEL=0"],
        // Without forward secrecy, and with CBC.
        ["-tls1_2", "-cipher", "AES128-SHA256"],
        ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"],
    ];
    for arguments in refused {
        let said = s_client(&home, &atoll, &[&name[..], &arguments].concat()).await.unwrap_or_default();
        assert!(said.contains("Cipher is (NONE)") && !said.contains("HTTP/1.1"), "{arguments:?}: {said}");
    }
    for version in ["-tls1_2", "-tls1_3"] {
        let save = [&name[..], &[version, "-sess_out", "session"]].concat();
        assert!(s_client(&home, &atoll, &save).await.unwrap_or_default().contains("HTTP/1.1 200"));
        let reuse = [&name[..], &[version, "-sess_in", "session"]].concat();
        let said = s_client(&home, &atoll, &reuse).await.unwrap_or_default();
        assert!(said.contains("Reused, ") && said.contains("HTTP/1.1 200"), "{version}: {said}");
    }
    let said = s_client(&home, &atoll, &[&name[..], &["-alpn", "h9,http/1.1"]].concat()).await.unwrap_or_default();
    assert!(said.contains("ALPN protocol: http/1.1"), "{said}");
    // No renegotiation, no compression, no early data.
    let said = s_client(&home, &atoll, &[&name[..], &["-tls1_2", "-comp"]].concat()).await.unwrap_or_default();
    assert!(said.contains("Secure Renegotiation IS supported") && said.contains("Compression: NONE"), "{said}");
}

#[tokio::test]
async fn openssl_shows_a_certificate_where_it_is_asked_for_one() {
    let home = TlsHome::new("client_ca = 'clients.pem'");
    home.authority.write(&home.folder().join("ca.pem"));
    let clients = Authority::new("clients");
    clients.write(&home.folder().join("clients.pem"));
    clients.sign(&["orders"]).write(home.folder(), "orders");
    Authority::new("others").sign(&["orders"]).write(home.folder(), "foreign");
    let atoll = home.home.start().await;
    for version in ["-tls1_2", "-tls1_3"] {
        for (own, good) in [(Some("orders"), true), (Some("foreign"), false), (None, false)] {
            let (cert, key) = own.map(|own| (format!("{own}.pem"), format!("{own}.key"))).unwrap_or_default();
            let mut arguments = vec!["-servername", "shop.example", version];
            if own.is_some() {
                arguments.extend(["-cert", &cert, "-key", &key]);
            }
            let Some(said) = s_client(&home, &atoll, &arguments).await else { return };
            assert_eq!(said.contains("HTTP/1.1 200"), good, "{version} {own:?}: {said}");
        }
    }
}
