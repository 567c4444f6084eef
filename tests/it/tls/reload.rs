//! New certificates, keys and client authorities while the host serves.

use super::super::atoll::{Atoll, Http, eventually};
use super::{Authority, Client, GET, TlsHome, exchange, metric};
use rustls::HandshakeKind;
use rustls::pki_types::CertificateDer;
use std::fs;
use std::os::unix::fs::symlink;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn shown(client: &Client, atoll: &Atoll) -> Option<CertificateDer<'static>> {
    let stream = client.connect(atoll, "shop.example").await.ok()?;
    Some(stream.get_ref().1.peer_certificates().unwrap()[0].clone())
}

async fn readyz(atoll: &Atoll) -> serde_json::Value {
    Http::default().get(&format!("{}/readyz", atoll.admin)).await.json()
}

#[tokio::test]
async fn a_new_certificate_is_taken_and_a_broken_one_keeps_the_old() {
    let home = TlsHome::new("");
    let atoll = home.home.start().await;
    let client = home.client();
    // This connection lives through everything.
    let mut old = client.connect(&atoll, "shop.example").await.unwrap();
    let second = home.authority.sign(&["shop.example"]);
    second.write(home.folder(), "shop");
    eventually("the new certificate is served", async || {
        (shown(&client, &atoll).await.as_ref() == Some(&second.certificate)).then_some(())
    })
    .await;
    assert_eq!(readyz(&atoll).await["status"], "ready");

    fs::write(home.folder().join("shop.key"), "-----BEGIN PRIVATE KEY-----\nsecret?\n-----END PRIVATE KEY-----\n")
        .unwrap();
    eventually("the broken key is noticed", async || (readyz(&atoll).await["status"] == "degraded").then_some(()))
        .await;
    let ready = readyz(&atoll).await;
    assert!(ready["certificates"].as_str().unwrap().contains("gateway"), "{ready}");
    assert_eq!(shown(&client, &atoll).await.as_ref(), Some(&second.certificate));
    assert!(metric(&atoll, "tls_reloads_total", ",outcome=\"kept\"").await.unwrap() >= 1.0);
    let line = atoll.logged("the new certificates cannot be used").await;
    assert!(line.contains("shop.key") && !line.contains("secret"), "{line}");

    let third = home.authority.sign(&["shop.example"]);
    third.write(home.folder(), "shop");
    eventually("the host is whole again", async || {
        let right = shown(&client, &atoll).await.as_ref() == Some(&third.certificate);
        (right && readyz(&atoll).await["status"] == "ready").then_some(())
    })
    .await;
    old.write_all(GET.as_bytes()).await.unwrap();
    let mut answer = String::new();
    old.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_link_that_points_to_another_folder_is_a_change_as_kubernetes_makes_it() {
    let home = TlsHome::with(
        "[gateway.tls]\ncertificates = [{ cert = 'mount/shop.pem', key = 'mount/shop.key' }]\nreload = '100ms'\n\
         [service.hello]\ncomponent = '{component:fixture-hello}'\n[[route]]\nprefix = '/'\nservice = 'hello'\n",
    );
    let folder = home.folder();
    let signed = ["one", "two"].map(|name| {
        let signed = home.authority.sign(&["shop.example"]);
        fs::create_dir(folder.join(name)).unwrap();
        signed.write(&folder.join(name), "shop");
        signed
    });
    fs::create_dir(folder.join("mount")).unwrap();
    symlink("../one", folder.join("mount/..data")).unwrap();
    for file in ["shop.pem", "shop.key"] {
        symlink(format!("..data/{file}"), folder.join("mount").join(file)).unwrap();
    }
    let atoll = home.home.start().await;
    let client = home.client();
    assert_eq!(shown(&client, &atoll).await.as_ref(), Some(&signed[0].certificate));
    symlink("../two", folder.join("mount/..new")).unwrap();
    fs::rename(folder.join("mount/..new"), folder.join("mount/..data")).unwrap();
    eventually("the other folder is served", async || {
        (shown(&client, &atoll).await.as_ref() == Some(&signed[1].certificate)).then_some(())
    })
    .await;
    assert_eq!(metric(&atoll, "tls_reloads_total", ",outcome=\"kept\"").await, Some(0.0));
}

#[tokio::test]
async fn a_session_of_a_client_is_not_resumed_once_its_authority_is_gone() {
    let home = TlsHome::new("client_ca = 'clients.pem'\nclient_auth = 'optional'");
    let (before, after) = (Authority::new("before"), Authority::new("after"));
    before.write(&home.folder().join("clients.pem"));
    let atoll = home.home.start().await;
    let client = Client::new(&home.authority, Some(&before.sign(&["orders"])));
    let connect = async || client.connect(&atoll, "shop.example").await;
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let stream = connect().await.unwrap();
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(kind));
        assert!(exchange(stream, GET).await.unwrap().starts_with("HTTP/1.1 200"));
    }
    let replaced = async || metric(&atoll, "tls_reloads_total", ",outcome=\"replaced\"").await;
    let count = replaced().await.unwrap();
    after.write(&home.folder().join("clients.pem"));
    eventually("the authorities are replaced", async || replaced().await.filter(|now| *now > count)).await;
    // The client offers its session, and has to show its certificate anew, which nobody trusts now.
    let outcome = match connect().await {
        Ok(stream) => exchange(stream, GET).await,
        Err(error) => Err(error),
    };
    assert!(!outcome.as_ref().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")), "{outcome:?}");
}
