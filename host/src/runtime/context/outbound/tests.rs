//! Where a guest's request goes, and which error the guest gets if it may not go there.

use super::super::identity::CurrentRequest;
use super::*;
use crate::base::{Digest, RequestId, empty_body};
use crate::contract::FunctionName;
use crate::runtime::grants::Grants;
use crate::runtime::outcall::{Outcall, OutcallFuture};
use crate::runtime::tape::call_tape::CallTape;
use crate::runtime::values::detached::DetachedValues;
use http_body_util::Empty;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// The callee, the request's address and id, and the milliseconds that it has.
type SentRequest = (String, String, Option<String>, u128);

/// Records the requests that it gets, and answers or refuses all of them.
#[derive(Default)]
struct Recorder {
    sent: Mutex<Vec<SentRequest>>,
    /// The guard of each request.
    guards: Mutex<Vec<Option<Arc<CommitGuard>>>>,
    refuses: bool,
    /// It never answers; and whether the request gets a connection.
    silent: Option<bool>,
}

impl Recorder {
    fn record(
        &self,
        callee: String,
        request: &http::Request<Body>,
        context: &CallContext,
    ) -> OutcallFuture<'_, http::Response<Body>> {
        let id = request.headers().get("x-request-id").map(|id| id.to_str().unwrap().to_owned());
        let left = context.deadline.saturating_duration_since(Instant::now()).as_millis();
        self.sent.lock().unwrap().push((callee, request.uri().to_string(), id, left));
        self.guards.lock().unwrap().push(context.guard.clone());
        if let Some(connects) = self.silent {
            if let Some(notice) = request.extensions().get::<ConnectionNotice>().filter(|_| connects) {
                notice.tell();
            }
            return Box::pin(pending());
        }
        let refusal = OutcallError { kind: ErrorKind::Denied, detail: "loopback".into() };
        let answer = if self.refuses { Err(refusal) } else { Ok(http::Response::new(empty_body())) };
        Box::pin(std::future::ready(answer))
    }
}

impl Outcall for Recorder {
    fn invoke<'a>(
        &'a self,
        _: (&'a ServiceName, &'a ServiceName),
        _: &'a FunctionName,
        _: DetachedValues,
        _: CallContext,
    ) -> OutcallFuture<'a, DetachedValues> {
        Box::pin(std::future::ready(Err(OutcallError { kind: ErrorKind::NoEndpoint, detail: String::new() })))
    }

    fn send<'a>(
        &'a self,
        (_, service): (&'a ServiceName, &'a ServiceName),
        request: http::Request<Body>,
        context: CallContext,
    ) -> OutcallFuture<'a, http::Response<Body>> {
        self.record(service.to_string(), &request, &context)
    }

    fn fetch<'a>(
        &'a self,
        caller: &'a ServiceName,
        rule: &'a EgressRule,
        request: http::Request<Body>,
        context: CallContext,
    ) -> OutcallFuture<'a, http::Response<Body>> {
        self.record(format!("{rule} for {caller}"), &request, &context)
    }
}

fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

/// The outbound HTTP of an instance of `shop`, which may call `users` and two hosts outside.
fn outbound(recorder: &Arc<Recorder>) -> Outbound {
    let rules = ["https://api.example", "http://*.corp.internal:8080"];
    let egress = Allow::new(rules.iter().map(|rule| EgressRule::parse(rule, false).unwrap()).collect());
    let grants = Grants::new(name("shop"), None, vec![name("users")], egress, &BTreeMap::new());
    let id = RequestId::from_random(7);
    let (grants, request) = (Arc::new(grants), CurrentRequest::new(id.clone()));
    let identity =
        InstanceIdentity { grants, revision: Digest([0; 32]), instance: 1, request, tape: CallTape::default() };
    let handle = OutcallHandle::default();
    let outcall: Arc<dyn Outcall> = Arc::clone(recorder) as Arc<dyn Outcall>;
    handle.connect(Arc::downgrade(&outcall));
    Outbound::new(identity, handle, CallContext::new(id, Instant::now(), Duration::from_secs(60)))
}

fn request(method: Method, uri: &str) -> http::Request<WasiBody> {
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    http::Request::builder().method(method).uri(uri).body(body).unwrap()
}

async fn send(outbound: &mut Outbound, request: http::Request<WasiBody>, options: RequestOptions) -> Result<(), Error> {
    let sent = outbound.send_request(request, Some(options), Box::new(std::future::ready(Ok(()))));
    Box::into_pin(sent).await.map(|_| ())
}

#[tokio::test]
async fn a_request_goes_where_a_grant_permits_and_nowhere_else() {
    let recorder = Arc::new(Recorder::default());
    let mut outbound = outbound(&recorder);
    let allowed = [
        ("http://Users.internal/a?b", "users", "/a?b", true),
        ("https://API.example/a?b", "https://api.example for shop", "https://API.example/a?b", false),
        ("https://me:pw@api.example:443", "https://api.example for shop", "https://me:pw@api.example:443/", false),
        ("http://a.corp.internal:8080/", "http://*.corp.internal:8080 for shop", "http://a.corp.internal:8080/", false),
    ];
    for (uri, callee, address, has_id) in allowed {
        send(&mut outbound, request(Method::GET, uri), RequestOptions::default()).await.unwrap();
        let (to, at, id, _) = recorder.sent.lock().unwrap().pop().unwrap();
        assert_eq!((&*to, &*at, id.is_some()), (callee, address, has_id), "{uri}");
    }
    let denied = [
        "http://orders.internal/",
        "http://api.example/",
        "https://api.example:444/",
        "https://api.example.evil/",
        "https://api.example@evil.example/",
        "http://corp.internal:8080/",
        "http://127.0.0.1/",
    ];
    for uri in denied {
        let denied = send(&mut outbound, request(Method::GET, uri), RequestOptions::default()).await;
        assert!(matches!(denied, Err(Error::HttpRequestDenied)), "{uri}");
    }
    let tunnel = send(&mut outbound, request(Method::CONNECT, "https://api.example/"), RequestOptions::default()).await;
    assert!(matches!(tunnel, Err(Error::HttpRequestMethodInvalid)), "{tunnel:?}");
    assert!(recorder.sent.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_request_of_a_sagas_action_takes_its_guard_along_and_the_next_one_does_not() {
    let recorder = Arc::new(Recorder::default());
    let mut outbound = outbound(&recorder);
    let guard = Arc::new(CommitGuard { bucket: name("orders"), key: b"turned/1".to_vec() });
    outbound.attribute(AttributedCall { guard: Some(guard), ..AttributedCall::default() });
    for _ in 0..2 {
        let request = request(Method::GET, "http://users.internal/");
        send(&mut outbound, request, RequestOptions::default()).await.unwrap();
    }
    let guards: Vec<_> =
        recorder.guards.lock().unwrap().iter().map(|guard| guard.as_ref().map(|guard| guard.key.clone())).collect();
    assert_eq!(guards, [Some(b"turned/1".to_vec()), None]);
}

#[tokio::test]
async fn the_guests_own_timeouts_shorten_the_calls_deadline() {
    let recorder = Arc::new(Recorder::default());
    let mut outbound = outbound(&recorder);
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let cases = [
        ("http://users.internal/", None, seconds(20), 20),
        ("http://users.internal/", seconds(10), seconds(20), 20),
        ("https://api.example/", seconds(10), seconds(20), 30),
        ("https://api.example/", seconds(10), None, 60),
        ("https://api.example/", None, seconds(900), 60),
    ];
    for (uri, connect_timeout, first_byte_timeout, most) in cases {
        let options = RequestOptions { connect_timeout, first_byte_timeout, between_bytes_timeout: None };
        send(&mut outbound, request(Method::GET, uri), options).await.unwrap();
        let (.., left) = recorder.sent.lock().unwrap().pop().unwrap();
        assert!((most * 1000 - 5000..=most * 1000).contains(&left), "{uri} {options:?}: {left} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_guest_waits_for_a_connection_to_a_host_outside_as_long_as_its_timeout_permits() {
    for (uri, connects, late) in [
        ("https://api.example/", false, true),
        ("https://api.example/", true, false),
        // Its connection is this host.
        ("http://users.internal/", false, false),
    ] {
        let recorder = Arc::new(Recorder { silent: Some(connects), ..Recorder::default() });
        let options = RequestOptions {
            connect_timeout: Some(Duration::from_millis(100)),
            first_byte_timeout: None,
            between_bytes_timeout: None,
        };
        let mut outbound = outbound(&recorder);
        let sent = timeout(Duration::from_secs(10), send(&mut outbound, request(Method::GET, uri), options)).await;
        match sent {
            Ok(Err(Error::ConnectionTimeout)) => assert!(late, "{uri}, connects: {connects}"),
            Ok(other) => panic!("{uri}, connects: {connects}: {other:?}"),
            Err(_) => assert!(!late, "{uri}, connects: {connects}"),
        }
    }
}

#[tokio::test]
async fn a_guest_gets_an_error_of_its_own_for_a_forbidden_address() {
    let recorder = Arc::new(Recorder { refuses: true, ..Recorder::default() });
    let error =
        send(&mut outbound(&recorder), request(Method::GET, "https://api.example/"), RequestOptions::default()).await;
    assert!(matches!(error, Err(Error::DestinationIpProhibited)), "{error:?}");
}

#[test]
fn the_log_names_the_line_that_the_manifest_lacks() {
    let lack = |uri: &str| missing_grant(&name("shop"), &request(Method::GET, uri));
    assert_eq!(lack("http://orders.internal/x"), "it needs `calls = [\"orders\"]` in [service.shop]");
    assert_eq!(lack("https://API.example/x"), "it needs `egress = [\"https://api.example\"]` in [service.shop]");
    assert_eq!(
        lack("http://a.corp.internal:81/"),
        "it needs `egress = [\"http://a.corp.internal:81\"]` in [service.shop]"
    );
    assert!(lack("http://127.1/").starts_with("no line permits \"http://127.1:80\": "), "{}", lack("http://127.1/"));
}

#[test]
fn a_password_in_an_authority_does_not_reach_the_log() {
    for (authority, logged) in
        [("u:secret@a.example:80", "a.example:80"), ("a.example", "a.example"), ("u@[::1]", "[::1]")]
    {
        assert_eq!(without_user(authority), logged);
    }
}
