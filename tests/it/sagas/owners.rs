//! Whose saga it is: the key of one client never leads to the saga of another, and nobody can make an id of a key.

use super::super::atoll::{Answer, Home};
use super::{Shop, manifest};
use host::base::Digest;
use http::Request;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_of_two_callers_is_two_sagas_whose_ids_the_key_does_not_tell() {
    let auth =
        "\n[auth.partner]\nkind = \"api-key\"\n\n[auth.staff]\nkind = \"api-key\"\n\n[gateway]\nkeys = \"keys.json\"\n";
    let text = manifest().replace(
        "path = \"/checkout/later\"\nsaga = \"checkout\"",
        "path = \"/checkout/later\"\nsaga = \"checkout\"\nauth = [\"partner\", \"staff\"]",
    );
    let home = Home::new(&format!("{text}{auth}"));
    let host = home.start().await;
    let shop = Shop::of(&host);
    let mug = shop.product("mug", 100).await;
    let key = async |policy: &str| {
        let made = home.output(&["key", "create", "acme", "--policy", policy, "--admin", &host.admin]).await;
        let text = String::from_utf8_lossy(&made.stdout).into_owned();
        let key = text.split_whitespace().find(|word| word.starts_with("atoll_")).map(str::to_owned);
        key.unwrap_or_else(|| panic!("{made:?}"))
    };
    let input = json!({ "user": "7", "lines": [{ "product": mug, "quantity": 1 }] }).to_string();
    let start = async |key: &str| -> Answer {
        let request = Request::post(format!("{}/checkout/later", shop.gateway)).header("x-api-key", key);
        let request = request.header("content-type", "application/json").header("idempotency-key", "order-1");
        shop.http.send(request, input.clone()).await
    };
    // Both callers have the name `acme`, each with another policy.
    let (partner, staff) = (key("partner").await, key("staff").await);
    let id = |answer: &Answer| {
        assert!(answer.status.is_success(), "{answer:?}");
        answer.json()["id"].as_str().unwrap().to_owned()
    };
    let (first, second) = (id(&start(&partner).await), id(&start(&staff).await));
    assert_ne!(first, second, "two callers have two sagas");
    assert_eq!(id(&start(&partner).await), first, "the same caller has one");
    // As ids were made before: by whoever knows the key and the name.
    let computed = Digest::of(b"checkout order-1 acme").to_string();
    let computed: String = computed.chars().rev().take(32).collect();
    assert!(computed != first && computed != second);
    let found = shop.http.get(&format!("{}/checkout/{computed}", shop.gateway)).await;
    assert_eq!(found.status, 404);
    host.stop().await;
}
