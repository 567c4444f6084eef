//! The components that have served: what a host has allowed, it allows again when it starts or reads its manifest anew.

use crate::app::late_findings::LateFindings;
use crate::base::{Digest, ServiceName};
use crate::config::{Finding, LateFindingKey, Manifest, ServiceConfig};
use crate::contract::{Contract, HeldTo};
use crate::runtime::Component;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The components that are not refused for what they lack of their service's `wit`.
pub(in crate::app) enum KnownComponents {
    /// None: whoever checks a manifest wants to know all that is wrong.
    None,
    /// All: a start. The files may have gone on before a swap that was taken back, or that no history remembers.
    All,
    /// Those that the running host has served.
    Served(BTreeMap<ServiceName, Vec<Digest>>),
}

impl KnownComponents {
    /// The contract of a service's component with the docs of the service's WIT files. What the component lacks of
    /// them is found, or doubtful if the component is known.
    pub(super) fn describe(
        &self,
        manifest: &Manifest,
        service: &ServiceConfig,
        component: &Component,
        (findings, doubtful): (&mut LateFindings<'_>, &mut Vec<Finding>),
    ) -> Arc<Contract> {
        let (name, contract) = (&service.spec.name, component.contract());
        let Some(folder) = &service.spec.wit else { return Arc::clone(contract) };
        match self.held(name, &component.digest()).describe(contract, folder) {
            Ok((described, lacks)) => {
                doubtful.extend(lacks.map(|error| {
                    let message = format!("service `{name}`: a new component would be refused: {error}");
                    manifest.diagnose(name, LateFindingKey::Wit, message, error.help())
                }));
                Arc::new(described)
            }
            Err(error) => {
                findings.service(name, LateFindingKey::Wit, format!("service `{name}`: {error}"), error.help());
                Arc::clone(contract)
            }
        }
    }

    fn held(&self, service: &ServiceName, component: &Digest) -> HeldTo {
        let known = match self {
            Self::None => false,
            Self::All => true,
            Self::Served(served) => served.get(service).is_some_and(|known| known.contains(component)),
        };
        if known { HeldTo::Names } else { HeldTo::Files }
    }
}
