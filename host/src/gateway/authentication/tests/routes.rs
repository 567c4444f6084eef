//! Whom a route lets in, and what it says to the others.

use crate::base::{RequestId, ServiceName};
use crate::gateway::authentication::{AuthPolicy, PolicyProof, RouteAccess, RouteCaller, SharedKeyRing};
use crate::identity::{ApiKey, CertificatePolicy, Demand, KeyRecord, KeyRing, NamePattern, ShownCertificate};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::collections::BTreeSet;
use std::sync::Arc;

const KEY: HeaderName = HeaderName::from_static("x-api-key");

/// A route with two policies of keys: `partner` in `x-api-key`, `batch` in `Authorization`.
struct Fixture {
    access: RouteAccess,
    partner: ApiKey,
    batch: ApiKey,
    ring: Arc<SharedKeyRing>,
}

fn fixture(forward: bool, scopes: &[&str]) -> Fixture {
    let (partner, batch) = (ApiKey::from_random([1; 32]), ApiKey::from_random([2; 32]));
    let record = |policy: &str, key: &ApiKey, scope: &str| KeyRecord {
        id: policy.into(),
        name: format!("{policy}-1"),
        policy: policy.into(),
        scopes: BTreeSet::from([scope.to_owned()]),
        created: 0,
        expires: None,
        hash: key.hash(),
    };
    let ring = Arc::new(SharedKeyRing::default());
    ring.replace(KeyRing::new(&[record("partner", &partner, "read"), record("batch", &batch, "write")]));
    let policy = |name: &str, header: HeaderName| {
        let proof = PolicyProof::ApiKey(Arc::clone(&ring));
        Arc::new(AuthPolicy { name: name.into(), header: Some(header), forward, proof })
    };
    let demand = Demand { scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(), claims: Vec::new() };
    let access = RouteAccess::new(vec![policy("partner", KEY), policy("batch", AUTHORIZATION)], demand);
    Fixture { access, partner, batch, ring }
}

fn headers(fields: &[(HeaderName, String)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// Who is let in; or the status, the kind and the challenges.
async fn admit(access: &RouteAccess, headers: &HeaderMap) -> Result<String, (u16, String, Vec<String>)> {
    let (id, service) = (RequestId::from_random(1), ServiceName::new("users").unwrap());
    match access.admit(headers, RouteCaller { id: &id, service: Some(&service), certificate: &|| None }).await {
        Ok(admitted) => Ok(admitted.identity.subject.clone()),
        Err(problem) => {
            let kind = problem.counted_as().to_owned();
            let answer = problem.answer(&id);
            let challenges = answer.headers().get_all(WWW_AUTHENTICATE).iter();
            let challenges = challenges.map(|value| value.to_str().unwrap().to_owned()).collect();
            Err((answer.status().as_u16(), kind, challenges))
        }
    }
}

#[tokio::test]
async fn any_one_of_the_policies_suffices_and_each_has_its_challenge() {
    let Fixture { access, partner, batch, ring } = fixture(false, &[]);
    let (key, bearer) = ((KEY, partner.text().to_owned()), (AUTHORIZATION, format!("bearer  {}", batch.text())));
    assert_eq!(admit(&access, &headers(std::slice::from_ref(&key))).await, Ok("partner-1".into()));
    assert_eq!(admit(&access, &headers(std::slice::from_ref(&bearer))).await, Ok("batch-1".into()));
    assert_eq!(admit(&access, &headers(&[(KEY, "x".into()), bearer.clone()])).await, Ok("batch-1".into()));
    let bare = vec![r#"ApiKey realm="api", header="x-api-key""#.to_owned(), r#"Bearer realm="api""#.into()];
    assert_eq!(admit(&access, &headers(&[])).await, Err((401, "unauthenticated".into(), bare.clone())));
    let basic = headers(&[(AUTHORIZATION, "Basic eDp5".into())]);
    assert_eq!(admit(&access, &basic).await, Err((401, "unauthenticated".into(), bare)));
    let (_, _, told) = admit(&access, &headers(&[(AUTHORIZATION, "Bearer x".into())])).await.unwrap_err();
    assert_eq!(told[1], r#"Bearer realm="api", error="invalid_token""#);
    let twice = headers(&[key.clone(), key.clone()]);
    assert_eq!(admit(&access, &twice).await.unwrap_err().0, 401, "readers would disagree about which one counts");
    // A key of one policy is none of another.
    let crossed = headers(&[(KEY, batch.text().into()), (AUTHORIZATION, format!("Bearer {}", partner.text()))]);
    assert_eq!(admit(&access, &crossed).await.unwrap_err().0, 401);
    ring.replace(KeyRing::default());
    assert_eq!(admit(&access, &headers(&[key, bearer])).await.unwrap_err().0, 401, "a revoked key is one no more");
}

#[tokio::test]
async fn whoever_is_known_and_may_not_gets_403_unless_another_credential_may() {
    let Fixture { access, partner, batch, .. } = fixture(false, &["write"]);
    let (key, bearer) = ((KEY, partner.text().to_owned()), (AUTHORIZATION, format!("Bearer {}", batch.text())));
    assert_eq!(admit(&access, &headers(std::slice::from_ref(&key))).await, Err((403, "forbidden".into(), vec![])));
    let broken = (AUTHORIZATION, "Bearer x".into());
    assert_eq!(admit(&access, &headers(&[key.clone(), broken])).await.unwrap_err().0, 403);
    assert_eq!(admit(&access, &headers(&[key, bearer])).await, Ok("batch-1".into()));
}

#[tokio::test]
async fn credentials_go_on_only_where_their_policy_passes_them_on() {
    for (forward, left) in [(false, vec!["accept"]), (true, vec!["accept", "x-api-key"])] {
        let Fixture { access, partner, .. } = fixture(forward, &[]);
        let (key, accept) = ((KEY, partner.text().to_owned()), (http::header::ACCEPT, "*/*".to_owned()));
        // The second credential proves nobody, so it does not go on in either case.
        let mut sent = headers(&[accept, key, (AUTHORIZATION, "Bearer x".into())]);
        let (id, service) = (RequestId::from_random(1), ServiceName::new("users").unwrap());
        let admitted = access
            .admit(&sent.clone(), RouteCaller { id: &id, service: Some(&service), certificate: &|| None })
            .await
            .unwrap();
        assert_eq!(admitted.identity.subject, "partner-1");
        admitted.strip(&mut sent);
        assert_eq!(sent.keys().map(HeaderName::as_str).collect::<Vec<_>>(), left);
    }
}

#[tokio::test]
async fn a_certificate_of_the_connection_proves_who_has_a_name_of_the_policy() {
    let policy = CertificatePolicy {
        name: "machines".into(),
        subjects: vec![NamePattern::parse("dns:*.partner.example").unwrap()],
        scopes: BTreeSet::from(["write".to_owned()]),
    };
    let proof = PolicyProof::Certificate(policy);
    let policy = Arc::new(AuthPolicy { name: "machines".into(), header: None, forward: false, proof });
    let access = RouteAccess::new(vec![policy], Demand { scopes: vec!["write".into()], claims: Vec::new() });
    let (id, service) = (RequestId::from_random(1), ServiceName::new("users").unwrap());
    for (name, status) in
        [(Some("dns:a.partner.example"), None), (Some("dns:a.evil.example"), Some(401)), (None, Some(401))]
    {
        let shown = name.map(|name| ShownCertificate { names: vec![name.to_owned()], ..ShownCertificate::default() });
        let caller = RouteCaller { id: &id, service: Some(&service), certificate: &|| shown.clone() };
        let outcome = access.admit(&headers(&[]), caller).await;
        assert_eq!(outcome.as_ref().err().map(|problem| problem.status.as_u16()), status, "{name:?}");
        if let Err(problem) = outcome {
            let answer = problem.answer(&id);
            assert_eq!(answer.headers()[WWW_AUTHENTICATE], r#"Certificate realm="api""#);
        }
    }
}
