//! The course of a saga: its ends, its failures, and what operators do about them.

use super::super::atoll::{Home, eventually};
use super::{Shop, manifest};
use http::{Method, Request};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkout_ends_with_an_order_or_with_nothing() {
    let home = Home::new(&manifest());
    let host = home.start().await;
    let shop = Shop::of(&host);
    let mug = shop.product("mug", 10).await;
    // All is well: the answer has the result of the last step.
    let answer = shop.buy("/checkout", "good", &mug, 2).await.unwrap();
    let end = answer.json();
    assert_eq!((answer.status.as_u16(), end["state"].as_str()), (200, Some("completed")), "{end}");
    assert_eq!((&end["result"]["progress"], &end["result"]["total"]["amount"]), (&json!("shipped"), &json!(200)));
    let id = end["id"].as_str().unwrap();
    assert_eq!(answer.header("location"), format!("/checkout/{id}"));
    assert_eq!((shop.stock(&mug).await, shop.payment(id).await), (8, (true, false)));
    // The same start again is the same saga; with another input it is refused.
    assert_eq!(shop.buy("/checkout", "good", &mug, 2).await.unwrap().json()["id"], *id);
    assert_eq!(shop.buy("/checkout", "good", &mug, 3).await.unwrap().status, 422);
    // A refusal undoes everything.
    shop.behave("declines", 100).await;
    let answer = shop.buy("/checkout", "declined", &mug, 2).await.unwrap();
    let end = answer.problem();
    assert_eq!((answer.status.as_u16(), end["state"].as_str()), (409, Some("compensated")), "{end}");
    assert_eq!(end["type"], "urn:atoll:problem:saga-undone");
    let id = end["id"].as_str().unwrap();
    assert_eq!(answer.header("location"), format!("/checkout/{id}"));
    // To look at it is no failure, and the same start again has the same answer.
    let looked = shop.http.get(&format!("{}/checkout/{id}", shop.gateway)).await;
    assert_eq!((looked.status.as_u16(), &looked.json()["state"]), (200, &json!("compensated")));
    assert_eq!(shop.buy("/checkout", "declined", &mug, 2).await.unwrap().status, 409);
    assert_eq!((shop.stock(&mug).await, shop.payment(id).await, shop.order(id).await), (8, (false, false), None));
    let told = shop.admin(&format!("/v1/sagas/{id}")).await;
    assert!(told["turned"].as_str().unwrap().contains("declined"), "{told}");
    // A charge whose answer is lost is repeated under its key; if each is lost, it is undone.
    shop.behave("loses_answers", 100).await;
    let end = shop.buy("/checkout", "lost", &mug, 2).await.unwrap().json();
    let id = end["id"].as_str().unwrap();
    assert_eq!((end["state"].as_str(), shop.payment(id).await), (Some("compensated"), (true, true)));
    // One that hangs is cut off, and takes nothing later.
    shop.behave("hangs", 100).await;
    let end = shop.buy("/checkout", "hung", &mug, 2).await.unwrap().json();
    let id = end["id"].as_str().unwrap();
    assert_eq!((end["state"].as_str(), shop.payment(id).await), (Some("compensated"), (false, false)));
    assert_eq!(shop.stock(&mug).await, 8);
    // Without waiting: 202, and the status at its address.
    shop.behave("works", 100).await;
    let answer = shop.buy("/checkout/later", "later", &mug, 1).await.unwrap();
    assert_eq!(answer.status, 202);
    let at = format!("{}/checkout/{}", shop.gateway, answer.json()["id"].as_str().unwrap());
    eventually("it has completed", async || (shop.http.get(&at).await.json()["state"] == "completed").then_some(()))
        .await;
    assert_eq!(shop.http.get(&format!("{}/checkout/{}", shop.gateway, "0".repeat(32))).await.status, 404);
    let metrics = String::from_utf8(shop.http.get(&format!("{}/metrics", shop.admin)).await.body.to_vec()).unwrap();
    assert!(metrics.contains("atoll_sagas_ended_total{saga=\"checkout\",outcome=\"compensated\"} 3"), "{metrics}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_input_is_refused_and_starts_nothing() {
    let home = Home::new(&manifest());
    let host = home.start().await;
    let shop = Shop::of(&host);
    let url = format!("{}/checkout", shop.gateway);
    for (input, detail) in [
        (json!({ "user": "7" }), "/lines"),
        (json!({ "user": 7.5, "lines": [] }), "/user"),
        (json!({ "user": "7", "lines": [{ "product": "1", "quantity": -1 }] }), "/lines/0/quantity"),
    ] {
        let answer = shop.http.json(Method::POST, &url, &input).await;
        let told = answer.problem();
        assert_eq!(answer.status, 422, "{told}");
        assert!(told["detail"].as_str().unwrap().contains(detail), "{told}");
    }
    // The head is checked as that of a typed route (RFC 9110, sections 8.3 and 8.4).
    let input = json!({ "user": "7", "lines": [] }).to_string();
    let json = ("content-type", "application/json");
    for (status, headers) in [
        (415, vec![]),
        (415, vec![("content-type", "application/json; charset=iso-8859-1")]),
        (415, vec![json, ("content-encoding", "gzip")]),
        (400, vec![json, ("idempotency-key", "a"), ("idempotency-key", "b")]),
    ] {
        let request = headers.iter().fold(Request::post(&url), |request, (name, value)| request.header(*name, *value));
        let answer = shop.http.send(request, input.clone()).await;
        assert_eq!(answer.status.as_u16(), status, "{headers:?}: {answer:?}");
    }
    assert_eq!(shop.admin("/v1/sagas").await, json!([]));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_start_list_show_and_undo_sagas() {
    let home = Home::new(&manifest());
    let host = home.start().await;
    let shop = Shop::of(&host);
    let mug = shop.product("mug", 10).await;
    shop.behave("hangs", 100).await;
    // Three tries of 300 ms are enough time to undo it by hand.
    let input = format!(r#"{{"user":"7","lines":[{{"product":"{mug}","quantity":4}}]}}"#);
    let atoll = async |arguments: &[&str]| {
        let output = home.output(&[arguments, &["--admin", &host.admin]].concat()).await;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    };
    let started = atoll(&["saga", "start", "checkout", &input, "--key", "k"]).await;
    let id = started.split_whitespace().nth(2).unwrap().to_owned();
    let listed = atoll(&["saga", "list"]).await;
    assert!(listed.contains(&id), "{listed}");
    atoll(&["saga", "compensate", &id]).await;
    eventually("it is undone", async || {
        let told = shop.admin(&format!("/v1/sagas/{id}")).await;
        (told["state"] == "compensated").then_some(())
    })
    .await;
    let shown = atoll(&["saga", "show", &id]).await;
    assert!(shown.contains("an operator wants it undone"), "{shown}");
    assert!(atoll(&["saga", "list", "--ended"]).await.contains(&id));
    assert_eq!((shop.stock(&mug).await, shop.payment(&id).await), (10, (false, false)));
    let refused = home.output(&["saga", "retry", &id, "--admin", &host.admin]).await;
    assert!(!refused.status.success());
    host.stop().await;
}
