//! WebSockets stay open, and in order, whatever is replaced around them.

use super::super::atoll::{Home, Http, eventually, hello_revision};
use super::super::websockets::{Upstream, Wire, handshake, manifest, open_sockets};
use super::{Authority, TlsHome, metric};
use http::Request;
use http_body_util::Full;
use std::fs;

/// How many are open: half of them by TLS.
const SOCKETS: usize = 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_websockets_outlive_swaps_manifests_and_certificates_in_order() {
    let (upstream, address) = Upstream::start().await;
    let gateway = "tls = { certificates = [{ cert = 'shop.pem', key = 'shop.key' }], reload = '100ms' }";
    let home = TlsHome { home: Home::new(&manifest(address, gateway, "")), authority: Authority::new("servers") };
    home.authority.sign(&["shop.example"]).write(home.folder(), "shop");
    let atoll = home.home.start().await;
    let client = home.client();
    let mut sockets = Vec::new();
    for number in 0..SOCKETS {
        let mut wire = if number % 2 == 0 {
            Wire::new(client.connect(&atoll, "shop.example").await.unwrap())
        } else {
            Wire::connect(&atoll.gateway).await
        };
        wire.send(handshake("/chat/room", "")).await;
        let (server, _) = upstream.switch().await;
        assert!(wire.head().await.starts_with("HTTP/1.1 101 "));
        sockets.push((wire, server));
    }
    assert_eq!(open_sockets(&atoll).await, Some(SOCKETS.to_string()));
    for round in 0..6_u8 {
        for (number, (client, server)) in sockets.iter_mut().enumerate() {
            let number = u8::try_from(number % 251).unwrap();
            client.send([b'c', number, round]).await;
            server.send([b's', number, round]).await;
        }
        // What has been sent is on its way while this happens.
        match round {
            1 => {
                let new = fs::read(hello_revision(b"revision-001-bbb", home.folder())).unwrap();
                let url = format!("{}/v1/services/hello/swap", atoll.admin);
                let swap = Request::post(url).header("content-type", "application/wasm");
                let swapped = Http::default().try_send(swap.body(Full::from(new)).unwrap()).await.unwrap();
                assert_eq!(swapped.status, 200, "{swapped:?}");
            }
            2 => {
                let text = fs::read_to_string(home.home.manifest()).unwrap();
                let first = "[[route]]\npath = \"/first\"\nservice = \"hello\"\n\n        [[route]]";
                fs::write(home.home.manifest(), text.replacen("[[route]]", first, 1)).unwrap();
                let applied = home.home.output(&["apply", "--yes"]).await;
                assert_eq!(applied.status.code(), Some(0), "{applied:?}");
            }
            3 => {
                home.authority.sign(&["shop.example"]).write(home.folder(), "shop");
                let replaced = async || {
                    metric(&atoll, "tls_reloads_total", ",outcome=\"replaced\"").await.filter(|count| *count > 0.0)
                };
                eventually("the new certificate is taken", replaced).await;
            }
            _ => {}
        }
    }
    for (number, (client, server)) in sockets.iter_mut().enumerate() {
        let number = u8::try_from(number % 251).unwrap();
        let sent = |by: u8| (0..6).flat_map(|round| [by, number, round]).collect::<Vec<u8>>();
        assert_eq!((client.take(18).await, server.take(18).await), (sent(b's'), sent(b'c')));
    }
    assert_eq!(open_sockets(&atoll).await, Some(SOCKETS.to_string()), "none was closed");
    drop(sockets);
    eventually("all are closed", async || (open_sockets(&atoll).await? == "0").then_some(())).await;
}
