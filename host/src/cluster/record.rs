//! What stands in the registry, as JSON. Members that a later version adds are not looked at.

use crate::base::{Digest, GatewayPlace, ServiceName};
use crate::membership::{Incarnation, NodeName, NodeRow, ServiceRow, Standing, ZoneName};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A lease.
#[derive(Debug, Serialize, Deserialize)]
struct LeaseRecord {
    incarnation: String,
}

/// A row.
#[derive(Debug, Serialize, Deserialize)]
struct RowRecord {
    incarnation: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zone: Option<String>,
    address: String,
    standing: String,
    services: Vec<ServedRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    cannot: Vec<String>,
    /// A [`GatewayRecord`]. Nodes of older versions neither write it nor look at it, and one of a later version that
    /// this one cannot read is none: the row counts all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gateway: Option<serde_json::Value>,
}

/// Where a node's gateway is.
#[derive(Debug, Serialize, Deserialize)]
struct GatewayRecord {
    addresses: Vec<IpAddr>,
    port: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secure_port: Option<u16>,
}

/// A service of a row.
#[derive(Debug, Serialize, Deserialize)]
struct ServedRecord {
    name: String,
    revision: String,
    replicas: u32,
    load: u32,
}

/// What operators want of a node.
#[derive(Debug, Serialize, Deserialize)]
struct OrderRecord {
    standing: String,
}

/// The text of the lease of this incarnation.
pub(super) fn lease(incarnation: Incarnation) -> String {
    text(&LeaseRecord { incarnation: incarnation.to_string() })
}

/// The incarnation of a lease's text; `None` if it is none.
pub(super) fn read_lease(text: &[u8]) -> Option<Incarnation> {
    let record: LeaseRecord = serde_json::from_slice(text).ok()?;
    Incarnation::parse(&record.incarnation)
}

/// The text of a row.
pub(super) fn row(row: &NodeRow) -> String {
    let service = |one: &ServiceRow| ServedRecord {
        name: one.service.to_string(),
        revision: one.revision.to_string(),
        replicas: one.replicas,
        load: one.load,
    };
    text(&RowRecord {
        incarnation: row.incarnation.to_string(),
        zone: row.zone.as_ref().map(ToString::to_string),
        address: row.address.clone(),
        standing: row.standing.to_string(),
        services: row.services.iter().map(service).collect(),
        cannot: row.cannot.iter().map(ToString::to_string).collect(),
        gateway: row.gateway.as_ref().map(gateway),
    })
}

fn gateway(place: &GatewayPlace) -> serde_json::Value {
    let GatewayPlace { addresses, port, secure_port } = place.clone();
    let record = GatewayRecord { addresses, port, secure_port };
    serde_json::to_value(record).expect("texts and numbers can be written")
}

/// Where a gateway is; `None` if it says nowhere. Of the addresses of a stranger only so many count.
fn read_gateway(record: serde_json::Value) -> Option<GatewayPlace> {
    let GatewayRecord { mut addresses, port, secure_port } = serde_json::from_value(record).ok()?;
    addresses.truncate(GatewayPlace::MOST_ADDRESSES);
    let secure_port = secure_port.filter(|port| *port > 0);
    (!addresses.is_empty() && port > 0).then_some(GatewayPlace { addresses, port, secure_port })
}

/// The row of the node `name` in a text; `None` if it is none. A standing that this version does not know takes no
/// calls.
pub(super) fn read_row(name: NodeName, text: &[u8]) -> Option<NodeRow> {
    let record: RowRecord = serde_json::from_slice(text).ok()?;
    let service = |one: ServedRecord| {
        let (service, revision) = (ServiceName::new(&one.name).ok()?, Digest::parse(&one.revision)?);
        Some(ServiceRow { service, revision, replicas: one.replicas, load: one.load })
    };
    let mut services = record.services.into_iter().map(service).collect::<Option<Vec<_>>>()?;
    services.sort_by(|one, other| one.service.cmp(&other.service));
    services.dedup_by(|one, other| one.service == other.service);
    Some(NodeRow {
        name,
        incarnation: Incarnation::parse(&record.incarnation)?,
        zone: record.zone.and_then(|zone| ZoneName::new(&zone).ok()),
        address: record.address,
        standing: Standing::parse(&record.standing).unwrap_or(Standing::Draining),
        services,
        cannot: record.cannot.iter().filter_map(|name| ServiceName::new(name).ok()).collect(),
        gateway: record.gateway.and_then(read_gateway),
    })
}

/// The text of an order.
pub(super) fn order(standing: Standing) -> String {
    text(&OrderRecord { standing: standing.to_string() })
}

/// What an order's text wants; `None` if it is none.
pub(super) fn read_order(text: &[u8]) -> Option<Standing> {
    let record: OrderRecord = serde_json::from_slice(text).ok()?;
    Standing::parse(&record.standing)
}

fn text(record: &impl Serialize) -> String {
    serde_json::to_string(record).expect("texts and numbers can be written")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_comes_back_as_it_was_and_what_is_none_is_none() {
        let service = |name: &str| ServiceRow {
            service: ServiceName::new(name).unwrap(),
            revision: Digest([9; 32]),
            replicas: 2,
            load: 4,
        };
        let name = NodeName::new("a").unwrap();
        let node = NodeRow {
            name: name.clone(),
            incarnation: Incarnation(0xab),
            zone: Some(ZoneName::new("z1").unwrap()),
            address: "10.0.0.1:7070".into(),
            standing: Standing::Cordoned,
            services: vec![service("orders"), service("users")],
            cannot: [ServiceName::new("mail").unwrap()].into(),
            gateway: None,
        };
        assert_eq!(read_row(name.clone(), row(&node).as_bytes()), Some(node.clone()));
        assert_eq!(node.service("users"), Some(&service("users")));
        let later = row(&node).replace("cordoned", "hibernating").replacen('{', r#"{"new":1,"#, 1);
        assert_eq!(read_row(name.clone(), later.as_bytes()).map(|row| row.standing), Some(Standing::Draining));
        for wrong in ["", "{}", "[]", &row(&node).replace("users", "no name"), &row(&node).replace("0909", "xx")] {
            assert_eq!(read_row(name.clone(), wrong.as_bytes()), None, "{wrong}");
        }
        let addresses = vec![IpAddr::from([192, 0, 2, 1]), "2001:db8::1".parse().unwrap()];
        let place = GatewayPlace { addresses, port: 8080, secure_port: Some(8443) };
        let named = NodeRow { gateway: Some(place), ..node.clone() };
        assert_eq!(read_row(name.clone(), row(&named).as_bytes()), Some(named.clone()));
        assert!(!row(&node).contains("gateway"), "without a name server it is the row of older versions");
        for later in [r#"7"#, r#"{"port":8080,"addresses":["somewhere"]}"#, r#"{"port":0,"addresses":["::1"]}"#] {
            let text = row(&node).replacen('{', &format!(r#"{{"gateway":{later},"#), 1);
            assert_eq!(read_row(name.clone(), text.as_bytes()), Some(node.clone()), "{later}");
        }
        assert_eq!(read_lease(lease(Incarnation(7)).as_bytes()), Some(Incarnation(7)));
        assert_eq!(read_lease(br#"{"incarnation":"7"}"#), None);
        assert_eq!(read_order(order(Standing::Draining).as_bytes()), Some(Standing::Draining));
        assert_eq!(read_order(br#"{"standing":"gone"}"#), None);
    }
}
