//! EndpointSlices of Kubernetes (discovery.k8s.io/v1), and the endpoints that several of them name together.

use super::named_endpoint::NamedEndpoint;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// One page of a list.
#[derive(Deserialize)]
pub(super) struct SliceList {
    pub(super) metadata: SliceListMeta,
    #[serde(default)]
    pub(super) items: Vec<EndpointSlice>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SliceListMeta {
    pub(super) resource_version: Option<String>,
    /// What asks for the next page.
    #[serde(rename = "continue")]
    pub(super) next: Option<String>,
}

/// Some endpoints of a Service. Members that are not read may be anything; lists may be null.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EndpointSlice {
    pub(super) metadata: SliceMeta,
    /// `IPv4`, `IPv6` or `FQDN`.
    address_type: String,
    endpoints: Option<Vec<SliceEndpoint>>,
    ports: Option<Vec<SlicePort>>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct SliceMeta {
    pub(super) name: String,
}

#[derive(Debug, Clone, Deserialize)]
struct SliceEndpoint {
    /// One Pod: the first is the one to use.
    addresses: Vec<String>,
    conditions: Option<SliceConditions>,
    zone: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct SliceConditions {
    ready: Option<bool>,
}

#[derive(Debug, Clone, Deserialize)]
struct SlicePort {
    name: Option<String>,
    port: Option<u16>,
}

/// Which port of the Pods is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ServicePort {
    Named(String),
    Number(u16),
}

/// What slices name together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SlicesEndpoints {
    /// Those that are ready, each once.
    pub(super) endpoints: Vec<NamedEndpoint>,
    pub(super) unready: usize,
    /// Why there may be none.
    pub(super) hint: String,
}

impl ServicePort {
    pub(super) fn of(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Named(text.to_owned()), Self::Number)
    }

    fn is(&self, port: &SlicePort) -> bool {
        match self {
            Self::Named(name) => port.name.as_deref() == Some(name),
            Self::Number(number) => port.port == Some(*number),
        }
    }
}

/// The endpoints of `slices` at `port`; without one, at the only port that they have.
///
/// An endpoint may stand in two slices while Kubernetes moves it: it counts once, and is ready if one of them says so.
/// `ready` that is absent means ready. A Pod with addresses of both kinds stands in slices of both: those of IPv4
/// count, and those of IPv6 where there are no others.
pub(super) fn named_in<'a>(
    slices: impl Iterator<Item = &'a EndpointSlice> + Clone,
    port: Option<&ServicePort>,
) -> SlicesEndpoints {
    let is_in_use = |slice: &&EndpointSlice| slice.endpoints.as_ref().is_some_and(|all| !all.is_empty());
    let has_ipv4 = slices.clone().filter(is_in_use).any(|slice| slice.address_type == "IPv4");
    let family = if has_ipv4 { "IPv4" } else { "IPv6" };
    let mut places: BTreeMap<(IpAddr, u16), (bool, Option<&str>)> = BTreeMap::new();
    let mut ports = BTreeSet::new();
    for slice in slices.filter(|slice| slice.address_type == family) {
        let known = slice.ports.as_deref().unwrap_or_default();
        ports.extend(known.iter().map(|port| (port.name.clone().unwrap_or_default(), port.port.unwrap_or_default())));
        let number = match port {
            Some(wanted) => known.iter().find(|port| wanted.is(port)),
            None => known.first().filter(|_| known.len() == 1),
        };
        let Some(number) = number.and_then(|port| port.port) else { continue };
        for endpoint in slice.endpoints.as_deref().unwrap_or_default() {
            let Some(ip) = endpoint.addresses.first().and_then(|address| address.parse().ok()) else { continue };
            let ready = endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true);
            let place = places.entry((ip, number)).or_insert((false, None));
            place.0 |= ready;
            place.1 = place.1.or(endpoint.zone.as_deref());
        }
    }
    let unready = places.values().filter(|(ready, _)| !ready).count();
    let ready = places.iter().filter(|(_, (ready, _))| *ready);
    let endpoints = ready.map(|((ip, port), (_, zone))| NamedEndpoint {
        zone: zone.map(Into::into),
        ..NamedEndpoint::new(&ip.to_string(), *port)
    });
    let hint = if places.is_empty() { hint(port, &ports) } else { String::new() };
    SlicesEndpoints { endpoints: endpoints.collect(), unready, hint }
}

/// Which ports there are, where none was found.
fn hint(wanted: Option<&ServicePort>, ports: &BTreeSet<(String, u16)>) -> String {
    if ports.is_empty() {
        return String::new();
    }
    let there = ports.iter().map(|(name, port)| format!("`{name}` ({port})")).collect::<Vec<_>>().join(", ");
    match wanted {
        Some(ServicePort::Named(name)) => format!(": no slice has a port `{name}`; there are {there}"),
        Some(ServicePort::Number(number)) => {
            format!(": no pod has the port {number}, which is not the Service's own; there are {there}")
        }
        None => format!(": name one of the ports {there} after the Service"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn slice(kind: &str, endpoints: &Value, ports: &Value) -> EndpointSlice {
        let text = json!({
            "metadata": { "name": "users-abc" }, "addressType": kind, "endpoints": endpoints, "ports": ports,
        });
        serde_json::from_value(text).unwrap()
    }

    fn places(slices: &[EndpointSlice], port: Option<&str>) -> (Vec<String>, usize, String) {
        let port = port.map(ServicePort::of);
        let SlicesEndpoints { endpoints, unready, hint } = named_in(slices.iter(), port.as_ref());
        let zone = |one: &NamedEndpoint| one.zone.as_ref().map_or(String::new(), |zone| format!(" in {zone}"));
        let texts = endpoints.iter().map(|one| format!("{}:{}{}", one.host, one.port, zone(one)));
        (texts.collect(), unready, hint)
    }

    #[test]
    fn an_endpoint_counts_once_and_is_ready_unless_it_is_said_not_to_be() {
        let http = json!([{ "name": "http", "port": 8080 }, { "name": "admin", "port": 9 }]);
        let one = slice(
            "IPv4",
            &json!([
                { "addresses": ["10.0.0.1"], "conditions": { "ready": true }, "zone": "a" },
                { "addresses": ["10.0.0.2"], "conditions": { "ready": false } },
                { "addresses": ["10.0.0.3"], "conditions": {} },
                { "addresses": ["10.0.0.4", "10.9.9.9"] },
                { "addresses": ["10.0.0.5"], "conditions": { "ready": false } },
                { "addresses": ["not an address"] },
                { "addresses": [] },
            ]),
            &http,
        );
        // 10.0.0.5 moves from one slice to the other, and is ready there.
        let two = slice("IPv4", &json!([{ "addresses": ["10.0.0.5"] }, { "addresses": ["10.0.0.1"] }]), &http);
        let six = slice("IPv6", &json!([{ "addresses": ["2001:db8::1"] }]), &http);
        let empty = slice("IPv4", &Value::Null, &Value::Null);
        let expected = ["10.0.0.1:8080 in a", "10.0.0.3:8080", "10.0.0.4:8080", "10.0.0.5:8080"];
        let all = [one, two, six.clone(), empty.clone()];
        assert_eq!(places(&all, Some("http")), (expected.map(ToOwned::to_owned).into(), 1, String::new()));
        assert_eq!(places(&all, Some("8080")).0.len(), 4);
        assert_eq!(places(&[six, empty], Some("http")).0, ["2001:db8::1:8080"], "there is nothing else");
    }

    #[test]
    fn a_port_that_is_not_there_is_told_with_those_that_are() {
        let ports = json!([{ "name": "http", "port": 8080 }, { "name": "admin", "port": 9 }]);
        let slices = [slice("IPv4", &json!([{ "addresses": ["10.0.0.1"] }]), &ports)];
        for (port, hint) in [
            (Some("grpc"), ": no slice has a port `grpc`; there are `admin` (9), `http` (8080)"),
            (
                Some("80"),
                ": no pod has the port 80, which is not the Service's own; there are `admin` (9), `http` (8080)",
            ),
            (None, ": name one of the ports `admin` (9), `http` (8080) after the Service"),
        ] {
            assert_eq!(places(&slices, port), (Vec::new(), 0, hint.to_owned()));
        }
        let only = [slice("IPv4", &json!([{ "addresses": ["10.0.0.1"] }]), &json!([{ "port": 80 }]))];
        assert_eq!(places(&only, None).0, ["10.0.0.1:80"]);
    }
}
