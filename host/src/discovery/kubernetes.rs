//! A Service of Kubernetes as a source of endpoints: its EndpointSlices, by a list and a watch of the API server.
//!
//! kubernetes.io/docs/reference/using-api/api-concepts (watches, bookmarks, 410) and
//! kubernetes.io/docs/concepts/services-networking/endpoint-slices.

use super::answer_lines::AnswerLines;
use super::endpoint_slice::{EndpointSlice, ServicePort, SliceList, named_in};
use super::endpoint_source::{EndpointSource, FoundEndpoints, FoundFuture};
use super::named_endpoint::Locating;
use super::registry_address::RegistryAddress;
use super::registry_client::{RegistryClient, RegistryQuestion, WATCH};
use super::source_error::SourceError;
use bytes::BytesMut;
use futures_util::FutureExt;
use http::StatusCode;
use http::header::AUTHORIZATION;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use tokio::time::{Instant, timeout_at};

/// The most slices of one Service. Kubernetes fills a slice with 100 endpoints.
const MOST_SLICES: usize = 1_024;
/// How many slices one answer of a list has.
const PAGE: usize = 250;

/// The slices of one Service.
pub(super) struct ClusterService {
    client: RegistryClient,
    /// `/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices?labelSelector=…`
    target: String,
    port: Option<ServicePort>,
    locating: Locating,
    slices: BTreeMap<String, EndpointSlice>,
    watch: SliceWatch,
}

/// What has to be done next.
enum SliceWatch {
    /// All slices are listed.
    List,
    /// They are as at this version: a watch begins there.
    Listed(String),
    /// A watch is under way, has come to this version, and ends then.
    Watching(Box<AnswerLines>, String, Instant),
}

/// One line of a watch.
#[derive(Deserialize)]
struct SliceEvent {
    #[serde(rename = "type")]
    kind: String,
    object: Value,
}

impl ClusterService {
    pub(super) fn new(client: RegistryClient, address: &RegistryAddress, locating: Locating) -> Self {
        let (namespace, service) = address.name.split_once('/').unwrap_or(("default", &address.name));
        let (service, port) = service.split_once(':').map_or((service, None), |(name, port)| (name, Some(port)));
        let target = format!(
            "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices\
             ?labelSelector=kubernetes.io%2Fservice-name%3D{service}"
        );
        let port = port.map(ServicePort::of);
        Self { client, target, port, locating, slices: BTreeMap::new(), watch: SliceWatch::List }
    }

    /// Waits until the slices have changed, or a watch has ended, and says what they name.
    async fn ask(&mut self) -> Result<FoundEndpoints, SourceError> {
        let mut told = false;
        while !told {
            match &mut self.watch {
                SliceWatch::List => {
                    self.watch = SliceWatch::Listed(self.list().await?);
                    told = true;
                }
                SliceWatch::Listed(version) => {
                    let version = version.clone();
                    self.watch = match self.begin_watch(&version).await {
                        Ok(lines) => SliceWatch::Watching(Box::new(lines), version, Instant::now() + WATCH),
                        Err(SourceError::Gone) => SliceWatch::List,
                        Err(error) => return Err(error),
                    };
                }
                SliceWatch::Watching(..) => told = self.follow().await?,
            }
        }
        let named = named_in(self.slices.values(), self.port.as_ref());
        let mut found = self.locating.locate(named.endpoints).await;
        (found.unhealthy, found.hint) = (named.unready, named.hint);
        Ok(found)
    }

    /// Reads the watch: all that has come, and if nothing has, until something comes or the watch ends. Says whether
    /// there is something to tell.
    async fn follow(&mut self) -> Result<bool, SourceError> {
        let mut told = false;
        loop {
            let SliceWatch::Watching(lines, version, until) = &mut self.watch else { return Ok(told) };
            let line = if told {
                let Some(line) = lines.next().now_or_never() else { return Ok(true) };
                line?
            } else {
                timeout_at(*until, lines.next()).await.unwrap_or(Ok(None))?
            };
            let Some(line) = line else {
                // It has ended as it should, so what is known is right.
                self.watch = SliceWatch::Listed(std::mem::take(version));
                return Ok(true);
            };
            told |= self.take(&line)?;
        }
    }

    /// Takes one line of the watch. Says whether it has changed a slice.
    fn take(&mut self, line: &BytesMut) -> Result<bool, SourceError> {
        let SliceEvent { kind, object } =
            serde_json::from_slice(line).map_err(|error| SourceError::unreadable(&error))?;
        if kind == "ERROR" {
            // 410: the version is too old. Whatever it is, a list begins anew, and swaps the slices whole.
            let status = object.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
            let status = status.and_then(|code| StatusCode::from_u16(code).ok());
            if status == Some(StatusCode::GONE) {
                self.watch = SliceWatch::List;
                return Ok(false);
            }
            return Err(SourceError::Status(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)));
        }
        let at = object.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
        if let SliceWatch::Watching(_, version, _) = &mut self.watch
            && !at.is_empty()
        {
            *version = at;
        }
        if kind == "BOOKMARK" {
            return Ok(false);
        }
        let slice: EndpointSlice = serde_json::from_value(object).map_err(|error| SourceError::unreadable(&error))?;
        let name = slice.metadata.name.clone();
        if kind == "DELETED" {
            return Ok(self.slices.remove(&name).is_some());
        }
        if self.slices.len() >= MOST_SLICES && !self.slices.contains_key(&name) {
            return Ok(false);
        }
        self.slices.insert(name, slice);
        Ok(true)
    }

    /// Lists all slices, which take the place of those before, and returns their version.
    async fn list(&mut self) -> Result<String, SourceError> {
        let (mut slices, mut after) = (BTreeMap::new(), String::new());
        loop {
            let mut target = format!("{}&limit={PAGE}", self.target);
            if !after.is_empty() {
                target.push_str(&format!("&continue={after}"));
            }
            let question = self.question(target).await?;
            let page = self.client.whole::<SliceList>(question).await?.1;
            slices.extend(page.items.into_iter().map(|slice| (slice.metadata.name.clone(), slice)));
            after = page.metadata.next.unwrap_or_default();
            // The server's own word, which is put into an address again.
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=.~".contains(&byte);
            if after.is_empty() || slices.len() >= MOST_SLICES || !after.bytes().all(is_plain) {
                self.slices = slices;
                return Ok(page.metadata.resource_version.unwrap_or_default());
            }
        }
    }

    async fn begin_watch(&self, version: &str) -> Result<AnswerLines, SourceError> {
        let is_plain = version.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let version = if is_plain { version } else { "" };
        let seconds = WATCH.as_secs();
        let target = format!(
            "{}&watch=1&allowWatchBookmarks=true&timeoutSeconds={seconds}&resourceVersion={version}",
            self.target
        );
        let question = self.question(target).await?;
        self.client.lines(question).await
    }

    async fn question(&self, target: String) -> Result<RegistryQuestion, SourceError> {
        let proof = match self.client.secret().await? {
            Some(token) => Some(self.client.proof(AUTHORIZATION, &format!("Bearer {token}"))?),
            None => None,
        };
        Ok(RegistryQuestion { target, proof, ..RegistryQuestion::default() })
    }
}

impl EndpointSource for ClusterService {
    fn next(&mut self) -> FoundFuture<'_> {
        Box::pin(async move {
            let found = self.ask().await;
            if found.is_err() {
                self.watch = SliceWatch::List;
            }
            found
        })
    }
}
