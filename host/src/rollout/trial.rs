//! A component, tried as the component of a service: everything that a swap would refuse, told at once.

use super::spec::ServiceSpec;
use super::wiring::{
    Clients, Importer, Need, Offers, WireError, ambiguous, breaks, misnamed, once, reroute, wire_each,
};
use crate::base::ServiceName;
use crate::contract::{BoundFunction, Contract, DocsError, HeldTo};
use crate::runtime::{Component, Link, LoadError};
use std::path::Path;
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
    spec: &'a ServiceSpec,
    pub(super) offers: Offers,
    needs: Vec<Need>,
    importers: Vec<Importer>,
    routed: Arc<[BoundFunction]>,
    /// The contract of the component that is replaced.
    replaced: Option<Arc<Contract>>,
}

impl<'a> TrialGround<'a> {
    /// For a component of the service of `spec`: the contracts of all services that have a component; what other
    /// services, routes, health checks and the manifest's lists of functions use; the other services that have a
    /// component; and the functions of the service that routes call.
    pub fn new(
        spec: &'a ServiceSpec,
        offers: Offers,
        needs: Vec<Need>,
        importers: Vec<Importer>,
        routed: Arc<[BoundFunction]>,
    ) -> Self {
        Self { spec, offers, needs, importers, routed, replaced: None }
    }
}

impl TrialGround<'_> {
    /// Replaces the contract of the service: a service that calls itself will call the new component.
    pub(super) fn offer(&mut self, contract: &Arc<Contract>) {
        self.replaced = self.offers.insert(self.spec.name.clone(), Arc::clone(contract));
    }

    /// An error of the new component's imports, which says so if only the component that it replaces would answer.
    pub(super) fn explain(&self, error: WireError) -> WireError {
        match &self.replaced {
            Some(before) => error.replacing(&self.spec.name, before),
            None => error,
        }
    }

    /// The functions that routes call, as a component with this contract has them. The contract is offered already.
    ///
    /// # Errors
    /// What other services and routes would miss, each with its user.
    pub(super) fn misses(&self, contract: &Contract, clients: Clients) -> Result<Arc<[BoundFunction]>, Vec<String>> {
        let (name, needs) = (&self.spec.name, || self.needs.iter());
        let broken = breaks(name, contract, needs());
        let routed = reroute(&self.routed, contract, clients);
        // An interface that is missing is missed by a route's need and by its binding.
        let mut breaks = once(broken.into_iter().chain(routed.as_ref().err().into_iter().flatten().cloned()));
        // A function that is missing has no name either, and needs to be told once.
        if breaks.is_empty() {
            breaks = misnamed(name, contract, needs());
        }
        if breaks.is_empty() {
            breaks = ambiguous(&self.importers, &self.offers);
        }
        if breaks.is_empty() { routed } else { Err(breaks) }
    }
}

impl Trial {
    /// Tries a component with this contract, which was compiled to `component`.
    pub fn run(contract: &Contract, component: &Result<Component, LoadError>, mut ground: TrialGround<'_>) -> Self {
        ground.offer(&Arc::new(contract.clone()));
        let spec = ground.spec;
        let (mut links, mut refusals) = (Vec::new(), Vec::new());
        for outcome in wire_each(&spec.name, contract, &spec.grants.calls, &ground.offers) {
            match outcome {
                Ok(link) => links.push(link),
                Err(error) => refusals.push(ground.explain(error).to_string()),
            }
        }
        let refused = match component {
            Ok(component) => check_other_imports(spec, component, &links).err().map(|error| error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        refusals.splice(0..0, refused);
        let breaks = ground.misses(contract, Clients::MustNotNotice).err().unwrap_or_default();
        Self { links, refusals, breaks }
    }

    /// Whether the component could be swapped in.
    pub fn fits(&self) -> bool {
        self.refusals.is_empty() && self.breaks.is_empty()
    }
}

/// Compares a component with the WIT files of its service, if the manifest names their folder. The way back stays open
/// where the files have gone on and the older component has less: then the log says so. The error continues the
/// sentence "the component …".
///
/// # Errors
/// The component is new, and lacks what the files describe.
pub fn described(
    service: &ServiceName,
    contract: &Contract,
    folder: Option<&Path>,
    held: HeldTo,
) -> Result<(), String> {
    let Some(folder) = folder else { return Ok(()) };
    let unfit = |error: DocsError| {
        format!("does not fit {}, the `wit` of its service: {error}; {}", folder.display(), error.help())
    };
    let (_, lacks) = held.describe(contract, folder).map_err(unfit)?;
    if let Some(error) = lacks {
        tracing::warn!(%service, "a component serves that {}", unfit(error));
    }
    Ok(())
}

/// Whether the service's grants and the host permit the component's other imports.
fn check_other_imports(spec: &ServiceSpec, component: &Component, links: &[Link]) -> Result<(), LoadError> {
    component.permitted(&spec.name, spec.grants.storage(), &spec.replicas.limits)?;
    // If a link is missing, that was reported already, and `links` would report the same import again.
    if links.len() == component.contract().imports.len() { component.links() } else { Ok(()) }
}
