//! The disk of the state is full while several services share it: one writes in vain, and the others read on.

use super::atoll::{Answer, Atoll, Home, Http, eventually};
use http::{Method, Request};
use serde_json::{Value, json};

/// The circuits stay closed: what each answer is matters here.
const MANIFEST: &str = r#"
[service.users]
component = "{component:users}"
state = true
breaker = { failure_threshold = 1000 }

[service.products]
component = "{component:products}"
state = true
breaker = { failure_threshold = 1000 }
retry = { tries = 0 }

[service.inputs]
component = "{component:fixture-inputs}"
state = true
calls = ["inputs"]

[[route]]
prefix = "/users"
service = "users"

[[route]]
method = "POST"
path = "/products"
call = "products/create"

[[route]]
method = "GET"
path = "/products/{id}"
call = "products/get"

[[route]]
prefix = "/take"
service = "inputs"
"#;

struct Shared {
    atoll: Atoll,
    http: Http,
    _home: Home,
}

impl Shared {
    async fn get(&self, path: &str) -> Answer {
        self.http.get(&format!("{}{path}", self.atoll.gateway)).await
    }

    async fn create_product(&self, sku: &str) -> Answer {
        let product = json!({"sku": sku, "name": sku, "price": {"amount": 5, "currency": "EUR"}, "stock": 3});
        self.http.json(Method::POST, &format!("{}/products", self.atoll.gateway), &product).await
    }

    async fn create_user(&self, email: &str) -> Answer {
        let user = json!({"name": "Ada", "email": email});
        self.http.json(Method::POST, &format!("{}/users", self.atoll.gateway), &user).await
    }

    /// A write whose guest answers with what `atoll:state/transactions` says.
    async fn put(&self, key: &str) -> String {
        let request = Request::get(format!("{}/take?what=put:{key}", self.atoll.gateway));
        String::from_utf8(self.http.send(request, "").await.body.to_vec()).unwrap()
    }
}

fn kind(answer: &Answer) -> (u16, String) {
    let kind = answer.problem()["type"].as_str().unwrap().to_owned();
    (answer.status.as_u16(), kind.trim_start_matches("urn:atoll:problem:").to_owned())
}

async fn failures(shared: &Shared, service: &str) -> Value {
    let view = shared.http.get(&format!("{}/v1/services/{service}", shared.atoll.admin)).await.json();
    view["endpoints"][0]["failures"].clone()
}

#[tokio::test]
async fn one_service_writes_in_vain_while_the_other_reads_on_without_an_error() {
    let home = Home::new(MANIFEST);
    let shared = Shared { atoll: home.start_without_file_size_signal().await, http: Http::default(), _home: home };
    let mut users = Vec::new();
    for number in 0..3 {
        let created = shared.create_user(&format!("ada{number}@example.org")).await;
        assert_eq!(created.status, 201, "{created:?}");
        users.push((created.header("location").to_owned(), created.json()));
    }
    assert_eq!(shared.create_product("before").await.status, 200);
    let listed = shared.get("/users").await.body;
    let unavailable = (503, "unavailable".to_owned());

    shared.atoll.limit_file_size(Some(4096));
    for round in 0..25 {
        let writes = async {
            let refused = shared.create_product(&format!("p{round}")).await;
            assert_eq!(kind(&refused), unavailable, "round {round}: {refused:?}");
            let said = shared.put("a").await;
            assert!(said.starts_with("Failure::Unavailable(\"Error::Unavailable"), "round {round}: {said}");
        };
        let reads = async {
            for (path, user) in &users {
                let read = shared.get(path).await;
                assert_eq!((read.status.as_u16(), &read.json()), (200, user), "round {round}");
            }
            assert_eq!(shared.get("/users").await.body, listed, "round {round}");
        };
        tokio::join!(writes, reads);
    }
    assert_eq!(failures(&shared, "users").await, 0, "no read of the other service has failed");
    let refused = shared.create_user("eve@example.org").await;
    assert_eq!(kind(&refused), unavailable, "a write of the other one fails for its own reason: {refused:?}");

    shared.atoll.limit_file_size(None);
    let mut tries = 0..;
    let mut create = async || {
        let number = tries.next().unwrap();
        let (sku, email) = (format!("after{number}"), format!("bob{number}@example.org"));
        let (product, user) = tokio::join!(shared.create_product(&sku), shared.create_user(&email));
        (product.status.as_u16(), user.status.as_u16())
    };
    eventually("writes of both succeed", async || (create().await == (200, 201)).then_some(())).await;
    assert_eq!(create().await, (200, 201), "from the first one that succeeds on, each does");
    for (path, user) in &users {
        assert_eq!(shared.get(path).await.json(), *user);
    }
}
