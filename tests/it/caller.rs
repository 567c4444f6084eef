//! Who calls, on its way through the services: by typed calls and by HTTP, in instances of one call and of several.

use super::components::{component, workspace};
use super::in_process_mesh::plan;
use futures_util::future::join_all;
use host::base::{CallContext, ErrorKind, Identity, IdentityFields, ProofKind, RequestId, ServiceName, empty_body};
use host::contract::{FunctionName, InterfaceName, Value as _};
use host::mesh::{CallError, Mesh};
use host::registry::Registry;
use host::rollout::{GrantSettings, ReplicaSettings, Rollout, ServiceSpec};
use host::runtime::{Isolation, Link, Reuse, Runtime, Settings, Value};
use http_body_util::BodyExt;
use serde_json::{Value as Json, json};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

const WHOAMI: &str = "atoll:fixture-caller/whoami@1.0.0";

/// Services of the fixture `caller`: `front` calls `back`, `outer` calls `guarded`, which demands scopes, and `shared`
/// calls `back` from instances that serve several calls at a time. `old`, of WASI 0.2, calls `back` from instances that
/// serve one call after the other.
struct Host {
    mesh: Arc<Mesh>,
    /// It holds the services' histories, and the mesh has no part of it.
    _rollout: Rollout,
}

fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

impl Host {
    fn start() -> Self {
        let cache = workspace().join("target/test-cache");
        let runtime = Arc::new(Runtime::new(&Settings { cache, instances: 0 }, 256, 128 << 20).unwrap());
        let registry = Arc::new(Registry::default());
        let rollout = Rollout::new(Arc::clone(&runtime), Arc::clone(&registry), Vec::new());
        let code = runtime.load(&component("fixture-caller")).unwrap();
        for (service, callee) in
            [("front", "back"), ("back", "back"), ("outer", "guarded"), ("guarded", "back"), ("shared", "back")]
        {
            let link = Link { import: InterfaceName::new(WHOAMI), service: name(callee) };
            let mut spec = plan(service);
            spec.grants = GrantSettings { calls: vec![name(callee)], ..GrantSettings::default() };
            if service == "guarded" {
                spec.requires = [Arc::from("orders:read"), Arc::from("orders:write")].into();
            }
            if service == "shared" {
                let reuse = Reuse { max_concurrent: 8, ..Reuse::default() };
                let replicas = ReplicaSettings { isolation: Isolation::Reuse(reuse), ..spec.replicas };
                spec = ServiceSpec { replicas, ..spec };
            }
            rollout.launch(spec, Some((&code, &[link])), None).unwrap();
        }
        let old = runtime.load(&component("fixture-legacy02")).unwrap();
        let mut spec = plan("old");
        spec.grants = GrantSettings { calls: vec![name("back")], ..GrantSettings::default() };
        spec.replicas.isolation = Isolation::Reuse(Reuse::default());
        rollout.launch(spec, Some((&old, &[])), None).unwrap();
        let mesh = Arc::new(Mesh::new(registry, host::mesh::Settings::default()));
        let outcall: Weak<Mesh> = Arc::downgrade(&mesh);
        runtime.connect(outcall);
        Self { mesh, _rollout: rollout }
    }

    /// The answer of `service` to a GET of `path` for `identity`.
    async fn get(&self, service: &str, path: &str, identity: Option<Identity>) -> Result<Json, CallError> {
        let request = http::Request::get(path).header("host", "shop.test").body(empty_body()).unwrap();
        let response = self.mesh.call(&name(service), request, &context(identity)).await?;
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Ok(serde_json::from_slice(&body).unwrap())
    }

    /// The subject that `function` of `service` tells, or the case of its error.
    async fn subject(&self, service: &str, function: &str, identity: Option<Identity>) -> Result<String, CallError> {
        let function = FunctionName { interface: InterfaceName::new(WHOAMI), function: function.into() };
        let value = self.mesh.invoke(&name(service), &function, Vec::new(), &context(identity)).await?.unwrap();
        Ok(match value.as_result().unwrap() {
            Ok(who) => who.unwrap().as_option().unwrap().map_or("nobody".into(), subject_of),
            Err(case) => case.unwrap().as_variant().unwrap().0.to_owned(),
        })
    }
}

fn subject_of(who: &Value) -> String {
    let fields = who.as_record().unwrap();
    fields.iter().find(|(name, _)| name == "subject").unwrap().1.as_string().unwrap().to_owned()
}

fn context(identity: Option<Identity>) -> CallContext {
    let mut context = CallContext::new(RequestId::from_random(1), Instant::now(), Duration::from_secs(60));
    context.identity = identity.map(Arc::new);
    context
}

fn caller(subject: &str, scopes: &[&str]) -> Identity {
    Identity {
        subject: subject.into(),
        policy: "staff".into(),
        proof: ProofKind::Token,
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        claims: r#"{"sub":"x"}"#.into(),
        told: IdentityFields::default(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_learns_who_calls_through_two_calls_and_nobody_can_forge_it() {
    let host = Host::start();
    let ada = || Some(caller("Ada L.", &["orders:read", "users:read"]));
    let told = json!({
        "subject": "Ada L.", "policy": "staff", "proof": "jwt", "scopes": ["orders:read", "users:read"],
        "claims": r#"{"sub":"x"}"#, "may_read": true,
    });
    // One call: by HTTP, and by a typed call.
    let direct = host.get("front", "/me", ada()).await.unwrap();
    assert_eq!(direct["caller"], told);
    assert_eq!(direct["headers"]["x-atoll-subject"], "Ada%20L.");
    assert_eq!(direct["headers"]["x-atoll-scopes"], "orders:read users:read");
    assert_eq!(direct["headers"]["x-atoll-auth-policy"], "staff");
    assert_eq!(direct["headers"]["x-atoll-auth-proof"], "jwt");
    assert_eq!(direct["headers"]["x-atoll-claims"], "eyJzdWIiOiJ4In0");
    assert_eq!(host.subject("front", "me", ada()).await.unwrap(), "Ada L.");
    // Two calls: typed to typed, HTTP to typed, HTTP to HTTP, which sends a forged header.
    assert_eq!(host.subject("front", "next", ada()).await.unwrap(), "Ada L.");
    assert_eq!(host.get("front", "/typed", ada()).await.unwrap(), "Ada L.");
    let next = host.get("front", "/http/back", ada()).await.unwrap();
    assert_eq!((&next["caller"], next["headers"]["x-atoll-subject"].as_str()), (&told, Some("Ada%20L.")));

    // Without an identity there is none anywhere, also not the forged one.
    assert_eq!(host.subject("front", "next", None).await.unwrap(), "nobody");
    assert_eq!(host.get("front", "/typed", None).await.unwrap(), Json::Null);
    let next = host.get("front", "/http/back", None).await.unwrap();
    assert_eq!((&next["caller"], next["headers"].get("x-atoll-subject")), (&Json::Null, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_demands_scopes_is_called_by_nobody_without_them() {
    let host = Host::start();
    let whole = || Some(caller("ada", &["orders:read", "orders:write"]));
    for identity in [None, Some(caller("eve", &[])), Some(caller("eve", &["orders:read"]))] {
        let reads = identity.as_ref().is_some_and(|one| one.scopes.contains("orders:read"));
        let lacks = if reads { "orders:write" } else { "orders:read" };
        let error = host.get("guarded", "/me", identity.clone()).await.unwrap_err();
        assert_eq!((error.kind, error.lacks.as_deref()), (ErrorKind::Forbidden, Some(lacks)));
        let error = host.subject("guarded", "me", identity.clone()).await.unwrap_err();
        assert_eq!((error.kind, error.lacks.as_deref()), (ErrorKind::Forbidden, Some(lacks)));
        // A service in between may be called; what it calls is refused, and it learns that by its own contract.
        assert_eq!(host.subject("outer", "next", identity.clone()).await.unwrap(), "forbidden");
        let http = host.get("outer", "/http/guarded", identity).await.unwrap();
        assert!(http.as_str().unwrap().contains("HttpRequestDenied"), "{http}");
    }
    // None of this counts against the service.
    assert_eq!(host.subject("guarded", "me", whole()).await.unwrap(), "ada");
    assert_eq!(host.subject("outer", "next", whole()).await.unwrap(), "ada");
    assert_eq!(host.get("outer", "/http/guarded", whole()).await.unwrap()["caller"]["subject"], "ada");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_share_an_instance_never_share_an_identity() {
    let host = Host::start();
    let calls = (0..64).map(|number: u64| {
        let host = &host;
        async move {
            let subject = format!("caller-{number}");
            // Every fourth call is made for nobody: it must not get the identity of another.
            let identity = (!number.is_multiple_of(4)).then(|| caller(&subject, &[]));
            let expected = if number.is_multiple_of(4) { Json::Null } else { json!(subject) };
            let path = format!("/slow/back?ms={}", 1 + number * 7 % 40);
            let seen = host.get("shared", &path, identity).await.unwrap();
            let named = |told: &Json| told.get("subject").cloned().unwrap_or_default();
            assert_eq!(named(&seen["before"]), expected, "before: {seen}");
            assert_eq!(named(&seen["after"]), expected, "after: {seen}");
            assert_eq!(seen["typed"], expected, "typed: {seen}");
            assert_eq!(named(&seen["http"]["caller"]), expected, "http: {seen}");
            let header = seen["http"]["headers"].get("x-atoll-subject").cloned().unwrap_or_default();
            assert_eq!(header, expected, "header: {seen}");
        }
    });
    join_all(calls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_instance_of_wasi_0_2_sends_each_request_for_its_own_caller() {
    let host = Host::start();
    for subject in ["ada", "eve", "", "ada", ""] {
        let identity = (!subject.is_empty()).then(|| caller(subject, &[]));
        let seen = host.get("old", "/fetch?url=http://back.internal/me", identity).await.unwrap();
        let header = seen["headers"].get("x-atoll-subject").and_then(Json::as_str).unwrap_or_default();
        assert_eq!(header, subject, "{seen}");
    }
}
