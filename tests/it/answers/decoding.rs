//! The bodies of requests without their coding.

use super::Edge;
use crate::it::components::component;
use host::coding::{ContentCoding, Encoder};
use serde_json::json;

fn routes() -> String {
    format!(
        r#"
        [state]
        path = "state.redb"
        [service.products]
        component = "{}"
        state = true
        [[route]]
        path = "/products"
        method = "POST"
        call = "products/create"
        decompress = true
        [[route]]
        prefix = "/d"
        service = "legacy"
        decompress = true
        body = "100KB"
        [[route]]
        prefix = "/ratio"
        service = "legacy"
        decompress = true
        decompress_ratio = 2
        [[route]]
        prefix = "/as-it-is"
        service = "legacy"
        "#,
        component("products").display()
    )
}

fn encoded(coding: ContentCoding, content: &[u8]) -> Vec<u8> {
    let (mut encoder, mut output) = (Encoder::new(coding), Vec::new());
    encoder.push(content, &mut output).unwrap();
    encoder.finish(&mut output).unwrap();
    output
}

#[tokio::test]
async fn a_service_gets_the_body_without_its_coding() {
    let edge = Edge::start(&routes()).await;
    let content = "a text that comes again ".repeat(1000);
    for coding in ContentCoding::ALL {
        let body = encoded(coding, content.as_bytes());
        for method in ["POST", "GET"] {
            let seen = edge.send(method, "/d", &[("content-encoding", coding.as_str())], body.clone()).await.json();
            assert_eq!(seen["body"], content, "{coding:?}");
            assert_eq!(
                (seen["headers"].get("content-encoding"), &seen["headers"]["transfer-encoding"]),
                (None, &"chunked".into())
            );
        }
    }
    let plain = edge.send("POST", "/d", &[], "plain").await.json();
    assert_eq!((&plain["body"], &plain["headers"]["content-length"]), (&"plain".into(), &"5".into()));
    let off = edge.send("POST", "/as-it-is", &[("content-encoding", "deflate")], "any").await.json();
    assert_eq!((&off["body"], &off["headers"]["content-encoding"]), (&"any".into(), &"deflate".into()));

    let product = json!({ "sku": "a", "name": "b", "price": { "amount": 1, "currency": "EUR" }, "stock": 1 });
    let body = encoded(ContentCoding::Gzip, product.to_string().as_bytes());
    let fields = [("content-type", "application/json"), ("content-encoding", "gzip")];
    let created = edge.send("POST", "/products", &fields, body).await;
    assert_eq!((created.status.as_u16(), &created.json()["sku"]), (200, &"a".into()), "typed routes too");
}

#[tokio::test]
async fn what_comes_out_is_bounded_and_what_is_broken_is_refused() {
    let edge = Edge::start(&routes()).await;
    let kind = |answer: &crate::it::atoll::Answer| {
        (answer.status.as_u16(), answer.problem()["type"].as_str().unwrap().rsplit(':').next().unwrap().to_owned())
    };
    for coding in ContentCoding::ALL {
        let fields = [("content-encoding", coding.as_str())];
        // A bomb: 10 MB of zeros in some KB.
        let bomb = encoded(coding, &vec![0; 10_000_000]);
        assert!(bomb.len() < 20_000);
        let refused = edge.send("POST", "/d", &fields, bomb).await;
        assert_eq!(kind(&refused), (413, "body-too-large".into()), "{coding:?}");
        let ratio = edge.send("POST", "/ratio", &fields, encoded(coding, &vec![b'a'; 200_000])).await;
        assert_eq!(kind(&ratio), (413, "body-too-large".into()), "{coding:?}");
        let detail = |answer: &crate::it::atoll::Answer| answer.problem()["detail"].as_str().unwrap().to_owned();
        assert!(detail(&ratio).contains("too many times as long without its coding"), "{}", detail(&ratio));
        let whole = encoded(coding, "some text, some text".as_bytes());
        for broken in [whole[..whole.len() - 2].to_vec(), b"this is no such content".to_vec()] {
            let refused = edge.send("POST", "/d", &fields, broken).await;
            assert_eq!(kind(&refused), (400, "bad-coding".into()), "{coding:?}");
        }
    }
    for unknown in ["deflate", "gzip, gzip", "compress", "aws-chunked"] {
        let refused = edge.send("POST", "/d", &[("content-encoding", unknown)], "x").await;
        assert_eq!(kind(&refused), (415, "unsupported-coding".into()), "{unknown}");
        assert_eq!(refused.header("accept-encoding"), "br, zstd, gzip");
    }
    let fields = [("content-type", "application/json"), ("content-encoding", "br")];
    let typed = edge.send("POST", "/products", &fields, "not br").await;
    assert_eq!(kind(&typed), (400, "bad-coding".into()));
}
