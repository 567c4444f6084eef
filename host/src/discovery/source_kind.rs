//! What asks for the endpoints of an address, by the kind of its source.

use super::consul::ConsulService;
use super::endpoint_source::{EndpointSource, FoundEndpoint};
use super::etcd::EtcdPrefix;
use super::eureka::EurekaApp;
use super::host_name::HostNameSource;
use super::kubernetes::ClusterService;
use super::named_endpoint::Locating;
use super::registry_address::{RegistryAddress, RegistryKind};
use super::registry_client::RegistryClient;
use super::settings::SourceSettings;
use super::source_address::SourceAddress;
use super::srv_records::SrvRecords;
use http::Uri;

/// A source of any kind.
pub(super) type AskedSource = Box<dyn EndpointSource>;

/// What asks for the endpoints of `address`, which is `base` with this weight. `None`: there is nothing to ask.
pub(super) fn asked(
    address: SourceAddress,
    (base, weight): (&Uri, u16),
    settings: &SourceSettings,
) -> Option<AskedSource> {
    let every = settings.every;
    Some(match address {
        SourceAddress::Literal(_) => return None,
        SourceAddress::Name(port) => {
            let endpoint = FoundEndpoint { base: base.clone(), weight, zone: None };
            Box::new(HostNameSource::new(endpoint, port, every))
        }
        SourceAddress::Srv(source) => Box::new(SrvRecords::new(source, weight, every)),
        SourceAddress::Registry(address) => registry(&address, weight, settings),
    })
}

fn registry(address: &RegistryAddress, factor: u16, settings: &SourceSettings) -> AskedSource {
    let (every, access) = (settings.every, settings.access.clone());
    let locating = Locating { scheme: address.endpoint_scheme(), factor, most: access.settings.endpoints };
    let in_cluster = access.settings.cluster.clone().filter(|_| address.kind == RegistryKind::Kubernetes);
    let client = RegistryClient::new(address.kind, address.server.clone().or(in_cluster), access);
    match address.kind {
        RegistryKind::Consul => Box::new(ConsulService::new(client, address, locating, every)),
        RegistryKind::Etcd => Box::new(EtcdPrefix::new(client, address, locating)),
        RegistryKind::Eureka => Box::new(EurekaApp::new(client, address, locating, every)),
        RegistryKind::Kubernetes => Box::new(ClusterService::new(client, address, locating)),
    }
}
