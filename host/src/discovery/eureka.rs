//! An app of Eureka as a source of endpoints: its instances that are up, asked for every so often.
//!
//! `GET /eureka/apps/APP` (github.com/Netflix/eureka/wiki/Eureka-REST-operations). Eureka has no watch: its own clients
//! ask every 30 s.

use super::endpoint_source::{EndpointSource, FoundEndpoints, FoundFuture};
use super::named_endpoint::{Locating, NamedEndpoint};
use super::registry_address::RegistryAddress;
use super::registry_client::{RegistryClient, RegistryQuestion};
use super::source_error::SourceError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Where the server has its REST interface, as Spring's does; Netflix' own has it at `/eureka/v2`.
const PATH: &str = "/eureka";

/// The instances of one app.
pub(super) struct EurekaApp {
    client: RegistryClient,
    target: String,
    secure: bool,
    locating: Locating,
    every: Duration,
    due: Instant,
}

#[derive(Deserialize)]
struct EurekaAnswer {
    application: EurekaApplication,
}

#[derive(Deserialize)]
struct EurekaApplication {
    #[serde(default)]
    instance: EurekaInstances,
}

/// The server writes a list of one as its one element, if it has the older codec.
#[derive(Deserialize)]
#[serde(untagged)]
enum EurekaInstances {
    Many(Vec<EurekaInstance>),
    One(Box<EurekaInstance>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EurekaInstance {
    #[serde(default)]
    host_name: String,
    #[serde(default)]
    ip_addr: String,
    #[serde(default)]
    status: String,
    port: Option<EurekaPort>,
    secure_port: Option<EurekaPort>,
    data_center_info: Option<EurekaDataCenter>,
    #[serde(default)]
    metadata: BTreeMap<String, Value>,
}

/// `{"$": 8080, "@enabled": "true"}`, or a bare number.
#[derive(Deserialize)]
#[serde(untagged)]
enum EurekaPort {
    Bare(u16),
    Written {
        #[serde(rename = "$")]
        port: Value,
        #[serde(rename = "@enabled", default)]
        enabled: Value,
    },
}

#[derive(Deserialize)]
struct EurekaDataCenter {
    #[serde(default)]
    metadata: BTreeMap<String, Value>,
}

impl Default for EurekaInstances {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl EurekaApp {
    pub(super) fn new(client: RegistryClient, address: &RegistryAddress, locating: Locating, every: Duration) -> Self {
        // The server keeps the names of apps in capitals.
        let target = format!("{}/apps/{}", address.param("path").unwrap_or(PATH), address.name.to_ascii_uppercase());
        Self { client, target, secure: address.secure, locating, every, due: Instant::now() }
    }

    async fn ask(&self) -> Result<FoundEndpoints, SourceError> {
        let proof = match (&self.client.login().user, self.client.secret().await?) {
            (Some(user), Some(password)) => {
                let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
                Some(self.client.proof(AUTHORIZATION, &basic)?)
            }
            _ => None,
        };
        let question = RegistryQuestion { target: self.target.clone(), proof, ..RegistryQuestion::default() };
        let (_, answer) = self.client.whole::<EurekaAnswer>(question).await?;
        let instances = match answer.application.instance {
            EurekaInstances::Many(instances) => instances,
            EurekaInstances::One(instance) => vec![*instance],
        };
        let all = instances.len();
        let up = instances.into_iter().filter(|instance| instance.status == "UP");
        let named: Vec<_> = up.map(|instance| instance.named(self.secure)).collect();
        let unhealthy = all - named.len();
        let mut found = self.locating.locate(named).await;
        found.unhealthy = unhealthy;
        Ok(found)
    }
}

impl EndpointSource for EurekaApp {
    fn next(&mut self) -> FoundFuture<'_> {
        Box::pin(async move {
            sleep_until(self.due).await;
            let found = self.ask().await?;
            self.due = Instant::now() + self.every;
            Ok(found)
        })
    }
}

impl EurekaInstance {
    /// An instance is at its IP address, and is called by its host name, for which a certificate may be. With port 0
    /// it is no endpoint: the port of this kind is not enabled.
    fn named(self, secure: bool) -> NamedEndpoint {
        let port = if secure { self.secure_port } else { self.port };
        let port = port.and_then(|port| port.number()).unwrap_or_default();
        let host = if self.ip_addr.is_empty() { self.host_name.clone() } else { self.ip_addr };
        let of_center = self.data_center_info.and_then(|mut center| center.metadata.remove("availability-zone"));
        // Spring's servers outside of AWS have it in the instance's own metadata.
        let zone = of_center.or_else(|| self.metadata.get("zone").cloned());
        let called = Some(self.host_name).filter(|name| !name.is_empty());
        let zone = zone.and_then(|zone| zone.as_str().map(Into::into));
        NamedEndpoint { called, zone, ..NamedEndpoint::new(&host, port) }
    }
}

impl EurekaPort {
    /// The number, if the port is enabled.
    fn number(&self) -> Option<u16> {
        let Self::Written { port, enabled } = self else {
            let Self::Bare(port) = self else { return None };
            return Some(*port);
        };
        let is_off = enabled.as_bool() == Some(false) || enabled.as_str() == Some("false");
        // Older servers write numbers as text.
        let number = port.as_u64().or_else(|| port.as_str()?.parse().ok())?;
        u16::try_from(number).ok().filter(|_| !is_off)
    }
}
