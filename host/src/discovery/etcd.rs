//! Keys of etcd with a prefix as a source of endpoints, by etcd's own gateway from JSON to gRPC (etcd.io/docs/v3.5/
//! dev-guide/api_grpc_gateway), which servers have from 3.4 on under `/v3`.
//!
//! A watch is a bell here: it begins after the revision of the list, and whatever it tells, also that this revision was
//! compacted away, the keys are listed anew. So an event that a server loses (etcd #18089) costs a minute.

use super::answer_lines::AnswerLines;
use super::endpoint_source::{EndpointSource, FoundEndpoints, FoundFuture};
use super::named_endpoint::{Locating, NamedEndpoint};
use super::registry_address::RegistryAddress;
use super::registry_client::{RegistryClient, RegistryQuestion, WATCH};
use super::source_error::SourceError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderName};
use http::{HeaderValue, Uri};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

/// The keys of one prefix.
pub(super) struct EtcdPrefix {
    client: RegistryClient,
    prefix: String,
    locating: Locating,
    /// The token for this host's user.
    token: Option<(HeaderName, HeaderValue)>,
    watch: EtcdWatch,
}

/// What has to be done next.
enum EtcdWatch {
    /// The keys are listed.
    List,
    /// They are as at this revision: a watch begins after it.
    Listed(u64),
    /// A watch is under way until then.
    Watching(AnswerLines, Instant),
}

#[derive(Deserialize)]
struct EtcdRange {
    header: EtcdHeader,
    #[serde(default)]
    kvs: Vec<EtcdPair>,
}

#[derive(Deserialize)]
struct EtcdHeader {
    /// A number of 64 bits, which JSON has as text.
    revision: String,
}

#[derive(Deserialize)]
struct EtcdPair {
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
struct EtcdToken {
    token: String,
}

/// One line of a watch.
#[derive(Deserialize)]
struct EtcdNews {
    result: Option<EtcdResult>,
}

#[derive(Deserialize)]
struct EtcdResult {
    #[serde(default)]
    canceled: bool,
    #[serde(default)]
    events: Vec<Value>,
}

impl EtcdPrefix {
    pub(super) fn new(client: RegistryClient, address: &RegistryAddress, locating: Locating) -> Self {
        Self { client, prefix: address.name.clone(), locating, token: None, watch: EtcdWatch::List }
    }

    /// Waits for news, lists the keys, and says what they name.
    async fn ask(&mut self) -> Result<FoundEndpoints, SourceError> {
        loop {
            match &mut self.watch {
                EtcdWatch::List => break,
                EtcdWatch::Listed(revision) => {
                    let after = *revision + 1;
                    self.watch = EtcdWatch::Watching(self.begin_watch(after).await?, Instant::now() + WATCH);
                }
                EtcdWatch::Watching(lines, until) => {
                    if !rings(lines, *until).await? {
                        continue;
                    }
                    self.watch = EtcdWatch::List;
                }
            }
        }
        let range = self.range().await?;
        let revision = range.header.revision.parse();
        let revision = revision.map_err(|_| SourceError::Unreadable("its revision is no number".to_owned()))?;
        let values = range.kvs.iter().map(|pair| STANDARD.decode(&pair.value).ok());
        let named: Vec<_> = values.map(|value| named(&String::from_utf8(value?).ok()?)).collect();
        let unusable = named.iter().filter(|one| one.is_none()).count();
        let mut found = self.locating.locate(named.into_iter().flatten().collect()).await;
        found.unusable += unusable;
        self.watch = EtcdWatch::Listed(revision);
        Ok(found)
    }

    async fn range(&mut self) -> Result<EtcdRange, SourceError> {
        let (key, range_end) = self.keys();
        // One more than are used, so that it can be told that some are left out.
        let body = json!({ "key": key, "range_end": range_end, "limit": self.client.most_endpoints() + 1 });
        let question = self.question("/v3/kv/range", &body).await?;
        Ok(self.client.whole::<EtcdRange>(question).await?.1)
    }

    async fn begin_watch(&mut self, revision: u64) -> Result<AnswerLines, SourceError> {
        let (key, range_end) = self.keys();
        let create = json!({ "key": key, "range_end": range_end, "start_revision": revision.to_string() });
        let question = self.question("/v3/watch", &json!({ "create_request": create })).await?;
        self.client.lines(question).await
    }

    /// The first key with the prefix, and the first after them all, as the interface has bytes.
    fn keys(&self) -> (String, String) {
        let mut end = self.prefix.clone().into_bytes();
        // The prefix is ASCII (an address is), so its last byte has a next one.
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        (STANDARD.encode(&self.prefix), STANDARD.encode(end))
    }

    async fn question(&mut self, target: &str, body: &Value) -> Result<RegistryQuestion, SourceError> {
        if self.token.is_none() {
            self.token = self.log_in().await?;
        }
        Ok(post(target, body, self.token.clone()))
    }

    /// A token for the user of the settings, if there is one.
    async fn log_in(&self) -> Result<Option<(HeaderName, HeaderValue)>, SourceError> {
        let Some(user) = &self.client.login().user else { return Ok(None) };
        let password = self.client.secret().await?.unwrap_or_default();
        let question = post("/v3/auth/authenticate", &json!({ "name": user, "password": password }), None);
        let token = self.client.whole::<EtcdToken>(question).await?.1.token;
        self.client.proof(AUTHORIZATION, &token).map(Some)
    }
}

impl EndpointSource for EtcdPrefix {
    fn next(&mut self) -> FoundFuture<'_> {
        Box::pin(async move {
            let found = self.ask().await;
            if found.is_err() {
                // A token may be over, and a watch is.
                (self.token, self.watch) = (None, EtcdWatch::List);
            }
            found
        })
    }
}

fn post(target: &str, body: &Value, proof: Option<(HeaderName, HeaderValue)>) -> RegistryQuestion {
    let json = Some(Bytes::from(body.to_string()));
    RegistryQuestion { target: target.to_owned(), json, proof, ..RegistryQuestion::default() }
}

/// Waits for the next line of a watch, and says whether the keys have to be listed anew. The first line says only that
/// the watch has begun.
async fn rings(lines: &mut AnswerLines, until: Instant) -> Result<bool, SourceError> {
    let Ok(line) = timeout_at(until, lines.next()).await else { return Ok(true) };
    let Some(line) = line? else { return Ok(true) };
    let news: EtcdNews = serde_json::from_slice(&line).map_err(|error| SourceError::unreadable(&error))?;
    Ok(news.result.is_none_or(|result| result.canceled || !result.events.is_empty()))
}

/// The endpoint in a value: `10.0.0.7:8080`, or JSON with such an `Addr`, as etcd's own package `naming/endpoints`
/// writes it. `None`: it is neither.
fn named(value: &str) -> Option<NamedEndpoint> {
    let value = value.trim();
    let address = if value.starts_with('{') {
        let object: Value = serde_json::from_str(value).ok()?;
        object.get("Addr")?.as_str()?.to_owned()
    } else {
        value.to_owned()
    };
    let uri: Uri = format!("http://{address}").parse().ok()?;
    let authority = uri.authority().filter(|authority| authority.as_str() == address && !address.contains('@'))?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    Some(NamedEndpoint::new(host, authority.port_u16()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Body;
    use crate::discovery::ask_registry::{AskRegistry, RegistryFuture};
    use crate::discovery::registry_address::RegistryKind;
    use crate::discovery::settings::SourceAccess;
    use http::uri::Scheme;
    use http::{Request, Response};
    use http_body_util::BodyExt;
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    /// A server of etcd that expects these paths, with these parts of their bodies, and answers so.
    struct ScriptedEtcd(Mutex<VecDeque<(&'static str, &'static str, String)>>);

    impl AskRegistry for ScriptedEtcd {
        fn ask(&self, kind: RegistryKind, request: Request<Body>, _: Duration) -> RegistryFuture<'_> {
            let (path, part, answer) = self.0.lock().unwrap().pop_front().expect("a question that is expected");
            Box::pin(async move {
                assert_eq!((kind, request.uri().to_string()), (RegistryKind::Etcd, format!("http://e:2379{path}")));
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let body = String::from_utf8(body.to_vec()).unwrap();
                assert!(body.contains(part), "{body}");
                Ok(Response::new(crate::base::full_body(answer)))
            })
        }
    }

    #[tokio::test]
    async fn whatever_a_watch_tells_the_keys_are_listed_anew() {
        let range = |revision: u64, values: &[&str]| {
            let pairs: Vec<_> = values.iter().map(|value| json!({ "value": STANDARD.encode(value) })).collect();
            let answer = json!({ "header": { "revision": revision.to_string() }, "kvs": pairs });
            ("/v3/kv/range", "\"range_end\":\"dXNlcnMw\"", answer.to_string())
        };
        let watch = |after, second: &Value| {
            let created = json!({ "result": { "header": { "revision": "5" }, "created": true } });
            ("/v3/watch", after, format!("{created}\n{second}\n"))
        };
        let script = ScriptedEtcd(Mutex::new(VecDeque::from([
            range(5, &["10.0.0.1:80"]),
            watch("\"start_revision\":\"6\"", &json!({ "result": { "events": [{ "type": "DELETE", "kv": {} }] } })),
            range(6, &["10.0.0.2:80", "nonsense"]),
            watch("\"start_revision\":\"7\"", &json!({ "result": { "canceled": true, "compact_revision": "9" } })),
            range(9, &["10.0.0.3:80"]),
            // It ends without a word.
            watch("\"start_revision\":\"10\"", &json!({ "result": {} })),
            range(9, &["10.0.0.3:80"]),
        ])));
        let access = SourceAccess { http: Some(Arc::new(script)), ..SourceAccess::default() };
        let address = RegistryAddress::of(&"etcd://e/users/".parse().unwrap()).unwrap().unwrap();
        let client = RegistryClient::new(RegistryKind::Etcd, address.server.clone(), access);
        let locating = Locating { scheme: Scheme::HTTP, factor: 1, most: 8 };
        let mut source = EtcdPrefix::new(client, &address, locating);
        for (place, unusable) in [("10.0.0.1:80", 0), ("10.0.0.2:80", 1), ("10.0.0.3:80", 0), ("10.0.0.3:80", 0)] {
            let found = source.next().await.unwrap();
            let places: Vec<_> = found.located.keys().map(ToString::to_string).collect();
            assert_eq!((places, found.unusable), (vec![place.to_owned()], unusable));
        }
    }

    #[test]
    fn a_value_is_an_address_or_has_one() {
        for (value, expected) in [
            ("10.0.0.7:8080", Some(("10.0.0.7", 8080))),
            (" users.internal:80\n", Some(("users.internal", 80))),
            ("[2001:db8::1]:80", Some(("2001:db8::1", 80))),
            (r#"{"Op":0,"Addr":"10.0.0.7:8080","Metadata":null}"#, Some(("10.0.0.7", 8080))),
            (r#"{"Op":0,"Addr":7}"#, None),
            (r#"{"addr""#, None),
            ("10.0.0.7", None),
            ("http://10.0.0.7:80", None),
            ("10.0.0.7:80/path", None),
            ("me@10.0.0.7:80", None),
            ("", None),
        ] {
            let found = named(value).map(|one| (one.host, one.port));
            assert_eq!(found, expected.map(|(host, port)| (host.to_owned(), port)), "{value:?}");
        }
    }
}
