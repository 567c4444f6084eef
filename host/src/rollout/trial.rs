//! A component, tried as the component of a service: everything that a swap would refuse, told at once.

use super::spec::ServiceSpec;
use super::wiring::{Clients, Need, Offers, breaks, reroute, wire};
use crate::contract::{BoundFunction, Contract};
use crate::runtime::{Component, Link, LoadError};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What would happen if a component replaced the one of a service.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The services that would answer its imports.
    pub links: Vec<Link>,
    /// Why a swap would refuse the component itself. Each continues the sentence "the component …".
    pub refusals: Vec<String>,
    /// What other services and routes would miss, each with its user.
    pub breaks: Vec<String>,
}

/// What a component is tried against.
pub struct TrialGround<'a> {
    /// The service.
    pub spec: &'a ServiceSpec,
    /// The contracts of all services that have a component.
    pub offers: Offers,
    /// What other services, routes by HTTP and health checks use.
    pub needs: Vec<Need>,
    /// The functions of the service that routes call.
    pub routed: Arc<[BoundFunction]>,
}

impl Trial {
    /// Tries a component with this contract, which was compiled to `component`.
    pub fn run(contract: &Contract, component: &Result<Component, LoadError>, ground: TrialGround) -> Self {
        let TrialGround { spec, mut offers, needs, routed } = ground;
        // A service that calls itself will call the new component.
        offers.insert(spec.name.clone(), Arc::new(contract.clone()));
        let (links, mut refusals) = link(spec, contract, &offers);
        let refused = match component {
            Ok(component) => check_other_imports(spec, component, &links).err().map(|error| error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        refusals.splice(0..0, refused);
        let mut breaks = breaks(&spec.name, contract, needs.iter());
        breaks.extend(reroute(&routed, contract, Clients::MustNotNotice).err().unwrap_or_default());
        Self { links, refusals, breaks }
    }

    /// Whether the component could be swapped in.
    pub fn fits(&self) -> bool {
        self.refusals.is_empty() && self.breaks.is_empty()
    }
}

/// The services that answer the imports, and the reasons for the imports that no service answers.
fn link(spec: &ServiceSpec, contract: &Contract, offers: &Offers) -> (Vec<Link>, Vec<String>) {
    let (mut links, mut refusals) = (Vec::new(), Vec::new());
    for (name, interface) in &contract.imports {
        // `wire` stops at the first error, so the imports are linked one at a time: all errors are reported.
        let imports = BTreeMap::from([(name.clone(), interface.clone())]);
        let imported = Contract { imports, ..Contract::default() };
        match wire(&spec.name, &imported, &spec.grants.calls, offers) {
            Ok(link) => links.extend(link),
            Err(error) => refusals.push(error.to_string()),
        }
    }
    (links, refusals)
}

/// Whether the service's grants and the host permit the component's other imports.
fn check_other_imports(spec: &ServiceSpec, component: &Component, links: &[Link]) -> Result<(), LoadError> {
    component.permitted(&spec.name, spec.grants.state)?;
    // If a link is missing, that was reported already, and `links` would report the same import again.
    if links.len() == component.contract().imports.len() { component.links() } else { Ok(()) }
}
