//! The whole edge in memory: resources, guards, uploads.

use super::fake::Fake;
use super::*;
use crate::base::{Body, BodyError, ErrorKind, empty_body, full_body};
use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::stream::poll_fn;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use std::sync::Arc;
use std::task::Poll;

pub(super) const LOOPBACK: &str = "127.0.0.1:9090";
const EVERYWHERE: &str = "0.0.0.0:9090";

/// An answer, read whole.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    /// The type of the problem in the body, after checks that hold for every problem.
    pub(super) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text);
        let view: ProblemView = serde_json::from_str(&self.text).expect("a problem");
        assert_eq!(view.status, self.status.as_u16());
        assert_eq!(view.request_id, self.header("x-request-id"));
        assert_eq!(Some(view.title.as_str()), self.status.canonical_reason());
        assert!(!view.detail.is_empty());
        view.kind.strip_prefix("urn:atoll:problem:").expect("a URN of ours").to_owned()
    }
}

pub(super) fn admin(address: &str, token: Option<&str>) -> (Admin, Arc<Fake>) {
    let fake = Arc::new(Fake::default());
    let settings = Settings {
        address: address.parse().expect("an address"),
        token: token.map(Token::new),
        operators: Vec::new(),
        secure: false,
    };
    (Admin::new(settings, fake.clone()), fake)
}

/// A request with these headers and no others.
pub(super) fn request(method: &str, target: &str, headers: &[(&str, &str)], body: Body) -> Request<Body> {
    let builder = Request::builder().method(method).uri(target);
    headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value)).body(body).expect("a request")
}

pub(super) async fn read(response: Response<Body>) -> Answer {
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.expect("a whole body").to_bytes();
    let text = String::from_utf8(bytes.into()).expect("UTF-8");
    Answer { status: head.status, headers: head.headers, text }
}

pub(super) async fn send(admin: &Admin, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
    read(admin.handle(request(method, target, headers, empty_body())).await).await
}

pub(super) async fn get(admin: &Admin, target: &str) -> Answer {
    send(admin, "GET", target, &[("host", LOOPBACK)]).await
}

async fn swap(admin: &Admin, name: &str, headers: &[(&str, &str)], body: Body) -> Answer {
    let mut headers = headers.to_vec();
    headers.push(("host", LOOPBACK));
    read(admin.handle(request("POST", &format!("/v1/services/{name}/swap"), &headers, body)).await).await
}

/// A body that calls `next` for its next piece at each poll.
pub(super) fn streamed(mut next: impl FnMut() -> Poll<Option<Result<Bytes, BodyError>>> + Send + 'static) -> Body {
    StreamBody::new(poll_fn(move |_| next()).map_ok(Frame::data)).boxed_unsync()
}

const WASM: (&str, &str) = ("content-type", "application/wasm");

#[tokio::test]
async fn every_resource_that_reads_the_host_answers() {
    let (admin, _) = admin(LOOPBACK, None);
    let health = get(&admin, "/healthz").await;
    assert_eq!((health.status, health.text.as_str()), (StatusCode::OK, r#"{"status":"alive"}"#));
    assert_eq!(health.header("cache-control"), "no-store");

    let metrics = get(&admin, "/metrics").await;
    assert_eq!(metrics.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert_eq!(metrics.text, "# EOF\n");

    let services: Vec<ServiceView> = serde_json::from_str(&get(&admin, "/v1/services").await.text).expect("services");
    assert_eq!(services.iter().map(|service| service.name.as_str()).collect::<Vec<_>>(), ["legacy", "users"]);
    let one = get(&admin, "/v1/services/users").await;
    assert_eq!(serde_json::from_str::<ServiceView>(&one.text).expect("a service"), services[1]);
    assert!(one.text.contains(r#""breaker":"half-open""#), "{}", one.text);

    let routes: Vec<RouteView> = serde_json::from_str(&get(&admin, "/v1/routes").await.text).expect("routes");
    assert_eq!(routes[0].rewrite.as_deref(), Some("/users/{id}"));
}

#[tokio::test]
async fn readyz_is_503_while_the_host_starts_or_drains_and_healthz_is_200() {
    let (admin, fake) = admin(LOOPBACK, None);
    let cases = [
        (HostReadiness::Ready, 200, "ready"),
        (HostReadiness::ReadOnly, 200, "degraded"),
        (HostReadiness::StoreAway, 200, r#""status":"degraded","store":"is away"#),
        (HostReadiness::StoreDamaged, 200, r#""status":"degraded","store":"has damaged data"#),
        (HostReadiness::Starting, 503, "until components are compiled: legacy, users"),
        (HostReadiness::Incomplete, 503, "or its data not migrated: service users"),
        (HostReadiness::Draining, 503, "told to stop"),
        (HostReadiness::Drained, 503, "`atoll node uncordon`"),
    ];
    for (readiness, status, says) in cases {
        *fake.readiness.lock().expect("free") = readiness;
        let answer = get(&admin, "/readyz").await;
        assert_eq!(answer.status.as_u16(), status, "{readiness:?}");
        assert!(answer.text.contains(says), "{readiness:?}: {}", answer.text);
        if status == 503 {
            assert_eq!(answer.problem(), "not-ready");
        }
        let says_store = answer.text.contains(r#""status":"degraded","store":"takes no writes"#);
        assert_eq!(says_store, readiness == HostReadiness::ReadOnly, "{}", answer.text);
        assert_eq!(get(&admin, "/healthz").await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn readyz_names_what_does_not_work_though_the_host_serves() {
    let (admin, fake) = admin(LOOPBACK, None);
    let expected = "the new ones of the gateway cannot be used";
    *fake.troubles.lock().expect("free") = vec![("certificates", expected.into()), ("audit", "takes no lines".into())];
    let answer = get(&admin, "/readyz").await;
    assert_eq!(answer.status.as_u16(), 200, "it serves");
    let expected = format!(r#"{{"audit":"takes no lines","certificates":"{expected}","status":"degraded"}}"#);
    assert_eq!(answer.text, expected);
    *fake.readiness.lock().expect("free") = HostReadiness::Draining;
    assert_eq!(get(&admin, "/readyz").await.status.as_u16(), 503);
}

#[tokio::test]
async fn an_unknown_resource_service_or_method_is_a_problem() {
    let (admin, _) = admin(LOOPBACK, None);
    for (target, kind) in [
        ("/v1", "no-such-resource"),
        ("/v1/services/", "no-such-resource"),
        ("/v1/services/nobody", "no-such-service"),
        ("/v1/services/%ff", "no-such-service"),
    ] {
        let answer = get(&admin, target).await;
        assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::NOT_FOUND, kind), "{target}");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    for (method, target, allow) in [
        ("DELETE", "/v1/services", "GET,HEAD"),
        ("GET", "/v1/services/users/swap", "POST"),
        ("GET", "/v1/services/users/rollback", "POST"),
    ] {
        let answer = send(&admin, method, target, &[("host", LOOPBACK)]).await;
        assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::METHOD_NOT_ALLOWED, "wrong-method"));
        assert_eq!(answer.header("allow"), allow, "{target}");
    }
}

#[tokio::test]
async fn a_valid_request_id_is_kept_and_an_invalid_one_is_replaced() {
    let (admin, _) = admin(LOOPBACK, None);
    let good = send(&admin, "GET", "/nothing", &[("host", LOOPBACK), ("x-request-id", "mine-7")]).await;
    assert_eq!((good.header("x-request-id"), good.problem().as_str()), ("mine-7", "no-such-resource"));
    let bad = send(&admin, "GET", "/healthz", &[("host", LOOPBACK), ("x-request-id", "a b")]).await;
    assert_eq!(bad.header("x-request-id").len(), 32);
}

#[tokio::test]
async fn on_loopback_a_host_header_that_is_not_this_machine_is_refused() {
    let (admin, _) = admin(LOOPBACK, None);
    for good in ["127.0.0.1:9090", "localhost:9090", "localhost", "[::1]:9090", "127.0.0.1:4000"] {
        assert_eq!(send(&admin, "GET", "/v1/services", &[("host", good)]).await.status, StatusCode::OK, "{good}");
    }
    let doubled = [("host", LOOPBACK), ("host", "evil.example")];
    for bad in [&[("host", "evil.example:9090")][..], &[("host", "192.168.1.7:9090")], &[("host", "")], &[], &doubled] {
        for (method, target) in [("GET", "/v1/services"), ("POST", "/v1/services/users/rollback"), ("GET", "/healthz")]
        {
            let answer = send(&admin, method, target, bad).await;
            assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST, "{method} {target} {bad:?}");
            assert_eq!(answer.problem(), "foreign-host");
        }
    }
    let absolute = send(&admin, "GET", "http://evil.example/v1/services", &[("host", LOOPBACK)]).await;
    assert_eq!(absolute.problem(), "foreign-host");
}

#[tokio::test]
async fn a_page_of_another_origin_is_refused_with_every_method() {
    let (admin, _) = admin(LOOPBACK, None);
    let own = [("host", "localhost:9090"), ("origin", "http://localhost:9090")];
    assert_eq!(send(&admin, "GET", "/v1/services", &own).await.status, StatusCode::OK);
    for foreign in
        ["http://evil.example", "null", "http://localhost:3000", "http://127.0.0.1:9090", "localhost:9090", ""]
    {
        let headers = [("host", "localhost:9090"), ("origin", foreign)];
        for (method, target) in [
            ("GET", "/v1/services"),
            ("OPTIONS", "/v1/services/users/swap"),
            ("POST", "/v1/services/users/rollback"),
            ("POST", "/v1/services/users/swap"),
        ] {
            let answer = send(&admin, method, target, &headers).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {target} {foreign}");
            assert_eq!(answer.problem(), "foreign-origin");
            assert!(!answer.headers.contains_key("access-control-allow-origin"));
        }
    }
}

#[tokio::test]
async fn every_resource_but_the_probes_requires_the_token() {
    for address in [LOOPBACK, EVERYWHERE] {
        let (admin, _) = admin(address, Some("s3cret"));
        for path in ["/healthz", "/readyz"] {
            assert_eq!(get(&admin, path).await.status, StatusCode::OK, "{path}");
        }
        for wrong in ["", "Bearer", "Bearer wrong", "Basic s3cret", "s3cret"] {
            for path in ["/metrics", "/v1/services", "/nothing"] {
                let answer = send(&admin, "GET", path, &[("host", LOOPBACK), ("authorization", wrong)]).await;
                assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path} {wrong}");
                assert_eq!(answer.problem(), "unauthorized");
                assert!(answer.header("www-authenticate").starts_with("Bearer "));
                assert!(!answer.text.contains("s3cret"));
            }
        }
        let right = [("host", LOOPBACK), ("authorization", "Bearer s3cret")];
        assert_eq!(send(&admin, "GET", "/v1/services", &right).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn beyond_loopback_any_host_header_is_accepted_and_the_token_is_required() {
    let (guarded, _) = admin(EVERYWHERE, Some("s3cret"));
    let token = ("authorization", "Bearer s3cret");
    for headers in [&[("host", "atoll.example"), token][..], &[token]] {
        assert_eq!(send(&guarded, "GET", "/v1/services", headers).await.status, StatusCode::OK);
    }
    let foreign = [("host", "atoll.example"), ("origin", "https://evil.example"), token];
    assert_eq!(send(&guarded, "GET", "/v1/services", &foreign).await.problem(), "foreign-origin");

    let (open, _) = admin(EVERYWHERE, None);
    assert_eq!(
        get(&open, "/v1/services").await.status,
        StatusCode::UNAUTHORIZED,
        "without a token no request is admitted"
    );
}

#[tokio::test]
async fn a_swap_passes_the_whole_component_to_the_host() {
    let (admin, fake) = admin(LOOPBACK, None);
    let mut pieces = ["\0asm", "rest"].into_iter();
    let body = streamed(move || Poll::Ready(pieces.next().map(|piece| Ok(Bytes::from(piece)))));
    let answer = swap(&admin, "users", &[WASM], body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let view: SwapView = serde_json::from_str(&answer.text).expect("a swap");
    assert_eq!((view.service.as_str(), view.revision.as_str()), ("users", "cccccccccccc"));
    assert_eq!(*fake.swapped.lock().expect("free"), [Bytes::from("\0asmrest")]);
}

#[tokio::test]
async fn a_trial_says_what_a_swap_would_say_and_changes_nothing() {
    let (admin, fake) = admin(LOOPBACK, None);
    let trial = async |name: &str, media_type: &str, body: &'static str| {
        let headers = [("host", LOOPBACK), ("content-type", media_type)];
        let target = format!("/v1/services/{name}/trial");
        read(admin.handle(request("POST", &target, &headers, full_body(body))).await).await
    };
    for (body, fits) in [("\0asm", true), ("text", false)] {
        let answer = trial("users", "application/wasm", body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let view: TrialView = serde_json::from_str(&answer.text).expect("a trial");
        assert_eq!((view.fits, view.breaks.is_empty(), view.revision.as_str()), (fits, fits, "aaaaaaaaaaaa"));
    }
    assert_eq!(trial("nobody", "application/wasm", "\0asm").await.problem(), "no-such-service");
    assert_eq!(trial("users", "text/plain", "\0asm").await.problem(), "not-wasm");
    assert!(fake.swapped.lock().expect("free").is_empty());
}

#[tokio::test]
async fn each_kind_of_failed_change_has_its_status_and_problem_type() {
    let (admin, fake) = admin(LOOPBACK, None);
    let broken = swap(&admin, "users", &[WASM], full_body("text")).await;
    assert_eq!((broken.status.as_u16(), broken.problem().as_str()), (422, "component-refused"));
    assert!(broken.text.contains("magic number"), "operators see the reason: {}", broken.text);
    let unknown = swap(&admin, "nobody", &[WASM], full_body("\0asm")).await;
    assert_eq!((unknown.status.as_u16(), unknown.problem().as_str()), (404, "no-such-service"));
    let panicked = swap(&admin, "users", &[WASM], full_body("panic")).await;
    assert_eq!((panicked.status.as_u16(), panicked.problem().as_str()), (500, "internal"));
    assert!(fake.swapped.lock().expect("free").is_empty());

    for (name, status) in [("users", 200), ("legacy", 409), ("nobody", 404)] {
        let target = format!("/v1/services/{name}/rollback");
        assert_eq!(send(&admin, "POST", &target, &[("host", LOOPBACK)]).await.status.as_u16(), status, "{name}");
    }
}

#[tokio::test]
async fn a_swap_with_a_media_type_that_a_web_form_can_send_is_refused() {
    let (admin, fake) = admin(LOOPBACK, None);
    let types =
        ["text/plain", "multipart/form-data; boundary=x", "text/plain; application/wasm", "application/octet-stream"];
    let single = types.map(|value| vec![("content-type", value)]);
    for headers in single.into_iter().chain([vec![], vec![WASM, ("content-type", "text/plain")]]) {
        let answer = swap(&admin, "users", &headers, full_body("\0asm")).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (415, "not-wasm"), "{headers:?}");
    }
    assert!(fake.swapped.lock().expect("free").is_empty());
}

#[tokio::test]
async fn a_component_that_is_too_large_is_refused_by_its_announced_and_by_its_real_length() {
    let (admin, fake) = admin(LOOPBACK, None);
    let unread = streamed(|| panic!("not a byte is read"));
    let announced = (MAX_COMPONENT + 1).to_string();
    let answer = swap(&admin, "users", &[WASM, ("content-length", &announced)], unread).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (413, "component-too-large"));

    // The stream repeats one piece without end, and takes no memory here.
    let piece = Bytes::from(vec![0; 1024 * 1024]);
    let endless = streamed(move || Poll::Ready(Some(Ok(piece.clone()))));
    let answer = swap(&admin, "users", &[WASM], endless).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (413, "component-too-large"));
    assert!(fake.swapped.lock().expect("free").is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_stalls_or_breaks_off_changes_nothing() {
    let (admin, fake) = admin(LOOPBACK, None);
    let silent = streamed(|| Poll::Pending);
    let answer = swap(&admin, "users", &[WASM], silent).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (408, "upload-stalled"));

    let gone = || Poll::Ready(Some(Err(BodyError::new(ErrorKind::ClientGone, "went away"))));
    let answer = swap(&admin, "users", &[WASM], streamed(gone)).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (400, "upload-broken-off"));
    assert!(fake.swapped.lock().expect("free").is_empty());
}

#[tokio::test]
async fn a_swap_is_finished_when_the_operator_disconnects() {
    let (admin, fake) = admin(LOOPBACK, None);
    fake.gate.forget_permits(1000);
    let headers = [WASM, ("host", LOOPBACK)];
    let waiting = admin.handle(request("POST", "/v1/services/users/swap", &headers, full_body("\0asm")));
    let waiting = tokio::spawn(waiting);
    fake.begun.acquire().await.expect("open").forget();
    waiting.abort();
    assert!(waiting.await.expect_err("it was cancelled").is_cancelled());
    fake.gate.add_permits(2);
    // The next swap takes the second permit of the gate only after the first has taken its own: the gate is fair.
    assert_eq!(swap(&admin, "users", &[WASM], full_body("\0asm2")).await.status, StatusCode::OK);
    assert_eq!(*fake.swapped.lock().expect("free"), ["\0asm", "\0asm2"]);
}

#[tokio::test]
async fn a_fifth_swap_at_the_same_time_is_refused() {
    let (admin, fake) = admin(LOOPBACK, None);
    fake.gate.forget_permits(1000);
    let one = || {
        tokio::spawn(admin.handle(request(
            Method::POST.as_str(),
            "/v1/services/users/swap",
            &[WASM, ("host", LOOPBACK)],
            full_body("\0asm"),
        )))
    };
    let running = [one(), one(), one(), one()];
    fake.begun.acquire_many(4).await.expect("open").forget();
    let fifth = swap(&admin, "users", &[WASM], full_body("\0asm")).await;
    assert_eq!((fifth.status.as_u16(), fifth.problem().as_str()), (503, "too-many-swaps"));
    fake.gate.add_permits(1000);
    for swap in running {
        assert_eq!(swap.await.expect("it ends").status(), StatusCode::OK);
    }
    assert_eq!(swap(&admin, "users", &[WASM], full_body("\0asm")).await.status, StatusCode::OK);
}
