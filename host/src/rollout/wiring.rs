//! Which service answers each import of a component, and whether a component still offers everything that others use of
//! its service.

use crate::base::ServiceName;
use crate::contract::{BoundFunction, Contract, HeldTo, Interface, InterfaceName, Unmet, noticed, rebound, unmet};
use crate::runtime::{Link, answers_http};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The contract of each service that has a component.
pub type Offers = BTreeMap<ServiceName, Arc<Contract>>;

/// A component whose imports of other services cannot be linked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A service exports the interface, but the manifest does not let this service call it.
    #[error("imports {interface}, which needs `calls = [\"{provider}\"]` in [service.{service}] of the manifest")]
    NotGranted {
        /// The interface.
        interface: InterfaceName,
        /// A service that exports it.
        provider: ServiceName,
        /// The service that imports it.
        service: ServiceName,
    },
    /// No service exports a compatible version of the interface.
    #[error("imports {interface}, which no service of the manifest exports{}", there_is(.others))]
    NotProvided {
        /// The interface.
        interface: InterfaceName,
        /// The versions of it that are exported, which are not compatible.
        others: Vec<InterfaceName>,
    },
    /// Only the component that this one would replace exports the interface.
    #[error(
        "imports {interface}, which only the component exports that it would replace: service `{service}` cannot \
         import from itself what it no longer exports"
    )]
    OnlyReplaced {
        /// The interface.
        interface: InterfaceName,
        /// The service.
        service: ServiceName,
    },
    /// Several services that it may call export the interface.
    #[error(
        "imports {interface}, which {} export: `calls` of [service.{service}] must name one of them",
        list(.providers)
    )]
    Ambiguous {
        /// The interface.
        interface: InterfaceName,
        /// The services that export it.
        providers: Vec<ServiceName>,
        /// The service that imports it.
        service: ServiceName,
    },
    /// The service that exports the interface lacks functions of it, or has them with other types.
    #[error("uses what service `{provider}` does not offer: {}", list(.unmet))]
    Unmet {
        /// The service that exports the interface.
        provider: ServiceName,
        /// What is missing or different.
        unmet: Vec<String>,
    },
}

impl WireError {
    /// How to correct it.
    pub fn help(&self) -> String {
        match self {
            Self::NotGranted { provider, service, .. } => {
                format!("add \"{provider}\" to `calls` in [service.{service}]")
            }
            Self::NotProvided { .. } => "add a service whose component exports it".to_owned(),
            Self::OnlyReplaced { service, .. } => {
                format!(
                    "is it meant for another service? Otherwise let it export what the component of `{service}` does"
                )
            }
            Self::Ambiguous { .. } => "leave the other out, or give it another interface".to_owned(),
            Self::Unmet { provider, .. } => {
                format!("build both against one version of the contract, or load another component for `{provider}`")
            }
        }
    }
}

impl WireError {
    /// The same error, which says so if the interface is exported by the contract `before`: that of the component of
    /// `service` that would be replaced.
    #[must_use]
    pub fn replacing(self, service: &ServiceName, before: &Contract) -> Self {
        match self {
            Self::NotProvided { interface, .. } if before.exports.keys().any(|name| interface.compatible(name)) => {
                Self::OnlyReplaced { interface, service: service.clone() }
            }
            other => other,
        }
    }
}

fn there_is(others: &[InterfaceName]) -> String {
    if others.is_empty() { String::new() } else { format!("; there is {}", list(others)) }
}

fn list(items: &[impl ToString]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Finds for each imported interface of `service` the one service among `calls` that offers it.
///
/// # Errors
/// The first import that not exactly one of them offers, or whose functions are offered with other types.
pub fn wire(
    service: &ServiceName,
    contract: &Contract,
    calls: &[ServiceName],
    offers: &Offers,
) -> Result<Vec<Link>, WireError> {
    wire_each(service, contract, calls, offers).collect()
}

/// Like [`wire`], with one outcome for each import.
pub fn wire_each<'a>(
    service: &'a ServiceName,
    contract: &'a Contract,
    calls: &'a [ServiceName],
    offers: &'a Offers,
) -> impl Iterator<Item = Result<Link, WireError>> + 'a {
    contract.imports.iter().map(move |(import, interface)| {
        let provider = provider(service, import, calls, offers)?;
        let unmet = unmet(interface, import, &offers[&provider]);
        if unmet.is_empty() {
            Ok(Link { import: import.clone(), service: provider })
        } else {
            Err(WireError::Unmet { provider, unmet: unmet.iter().map(Unmet::to_string).collect() })
        }
    })
}

fn provider(
    service: &ServiceName,
    import: &InterfaceName,
    calls: &[ServiceName],
    offers: &Offers,
) -> Result<ServiceName, WireError> {
    let offered = |contract: &Contract| contract.exports.keys().any(|name| import.compatible(name));
    let all: Vec<&ServiceName> =
        offers.iter().filter(|(_, contract)| offered(contract)).map(|(name, _)| name).collect();
    let granted: Vec<&ServiceName> = all.iter().copied().filter(|name| calls.contains(name)).collect();
    let interface = import.clone();
    match (granted.as_slice(), all.first()) {
        ([one], _) => Ok((*one).clone()),
        ([], Some(provider)) => {
            Err(WireError::NotGranted { interface, provider: (*provider).clone(), service: service.clone() })
        }
        ([], None) => {
            let exported = offers.values().flat_map(|contract| contract.exports.keys());
            let others = exported.filter(|name| name.path == import.path).cloned().collect();
            Err(WireError::NotProvided { interface, others })
        }
        (several, _) => {
            let providers = several.iter().map(|name| (*name).clone()).collect();
            Err(WireError::Ambiguous { interface, providers, service: service.clone() })
        }
    }
}

/// What a route or another service uses of a service.
#[derive(Debug, Clone)]
pub struct Need {
    /// The user: "service `orders`", "route GET /api/products/{id}".
    pub by: String,
    /// The service that is used.
    pub service: ServiceName,
    /// What it uses.
    pub uses: Uses,
    /// How the manifest names the function, if it does.
    pub name: Option<ManifestName>,
}

/// The name of a function in the manifest: it must name one function of each later component too, since a host that is
/// started with that component would refuse the manifest otherwise.
#[derive(Debug, Clone)]
pub struct ManifestName {
    /// The text: `create`, `links#create`.
    pub text: String,
    /// What stands before it at its place in the manifest, as for [`LookupError::help`].
    ///
    /// [`LookupError::help`]: crate::contract::LookupError::help
    pub prefix: String,
}

/// How a service is used.
#[derive(Debug, Clone)]
pub enum Uses {
    /// It sends HTTP requests.
    Http,
    /// It calls functions.
    Functions {
        /// The interface, by the user's name for it.
        interface: InterfaceName,
        /// The functions that it calls, with the types that it expects.
        functions: Interface,
    },
}

/// What `service` needs of other services, by its contract and the links of its imports.
pub fn needs_of<'a>(
    service: &ServiceName,
    contract: &'a Contract,
    links: &'a [Link],
) -> impl Iterator<Item = Need> + 'a {
    let by = format!("service `{service}`");
    links.iter().filter_map(move |link| {
        let functions = contract.imports.get(&link.import)?.clone();
        let uses = Uses::Functions { interface: link.import.clone(), functions };
        Some(Need { by: by.clone(), service: link.service.clone(), uses, name: None })
    })
}

/// What would break if `service` had this contract: each difference, with the user that depends on it.
pub(super) fn breaks<'a>(
    service: &ServiceName,
    contract: &Contract,
    needs: impl Iterator<Item = &'a Need>,
) -> Vec<String> {
    let broken = |need: &Need| {
        let unmet: Vec<String> = match &need.uses {
            Uses::Http if answers_http(contract) => Vec::new(),
            Uses::Http => vec!["answers no HTTP by itself".to_owned()],
            Uses::Functions { interface, functions } => {
                unmet(functions, interface, contract).iter().map(Unmet::to_string).collect()
            }
        };
        unmet.iter().map(|unmet| depends(unmet, &need.by)).collect::<Vec<_>>()
    };
    once(needs.filter(|need| need.service == *service).flat_map(broken))
}

/// Each text once, in its first place: a saga that goes on with its definition of before needs what the manifest's
/// needs, under the same name.
pub(super) fn once(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    texts.filter(|text| seen.insert(text.clone())).collect()
}

/// The names in the manifest that a host would refuse if it started with this contract of `service`, each with its
/// user.
pub(super) fn misnamed<'a>(
    service: &ServiceName,
    contract: &Contract,
    needs: impl Iterator<Item = &'a Need>,
) -> Vec<String> {
    let refused = |need: &Need| {
        let ManifestName { text, prefix } = need.name.as_ref()?;
        let error = contract.lookup(text).err()?;
        Some(depends(&format!("{error} ({})", error.help(prefix)), &need.by))
    };
    once(needs.filter(|need| need.service == *service).filter_map(refused))
}

/// A service that imports functions of others.
#[derive(Debug, Clone)]
pub struct Importer {
    /// The service.
    pub name: ServiceName,
    /// Its contract.
    pub contract: Arc<Contract>,
    /// The services that it may call.
    pub calls: Vec<ServiceName>,
}

/// The imports for which there is more than one provider among `offers`, as a host would find that starts with these
/// components: one text for each importer.
pub(super) fn ambiguous(importers: &[Importer], offers: &Offers) -> Vec<String> {
    let refused = |Importer { name, contract, calls }: &Importer| match wire(name, contract, calls, offers) {
        Err(error @ WireError::Ambiguous { .. }) => Some(format!("service `{name}` {error}")),
        _ => None,
    };
    importers.iter().filter_map(refused).collect()
}

fn depends(unmet: &(impl ToString + ?Sized), user: &str) -> String {
    format!("{}; {user} depends on it", unmet.to_string())
}

/// Whether the clients of a service's routes may notice that its component is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clients {
    /// A swap: what they know must still hold.
    MustNotNotice,
    /// A rollback, which takes back what some of them may have begun to use.
    MayNotice,
}

impl From<Clients> for HeldTo {
    /// The way back stays open when the WIT files have gone on, too.
    fn from(clients: Clients) -> Self {
        match clients {
            Clients::MustNotNotice => Self::Files,
            Clients::MayNotice => Self::Names,
        }
    }
}

/// The functions that routes call, as a component with this contract has them. It is `before` itself if they are the
/// same.
///
/// # Errors
/// What the routes or their clients would miss, each with its route.
pub(super) fn reroute(
    before: &Arc<[BoundFunction]>,
    contract: &Contract,
    clients: Clients,
) -> Result<Arc<[BoundFunction]>, Vec<String>> {
    let (mut functions, mut breaks) = (Vec::new(), Vec::new());
    for old in before.iter() {
        let bound = rebound(old, contract).and_then(|new| match noticed(old, &new) {
            Some(difference) if clients == Clients::MustNotNotice => Err(difference),
            _ => Ok(new),
        });
        match bound {
            Ok(new) => functions.push(new),
            Err(unmet) => breaks.push(depends(&unmet, &old.route)),
        }
    }
    if !breaks.is_empty() {
        return Err(once(breaks.into_iter()));
    }
    let unchanged = functions.iter().zip(before.iter()).all(|(new, old)| new.same(old));
    Ok(if unchanged { Arc::clone(before) } else { functions.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_definitions_of_one_saga_miss_is_told_once() {
        let name = ServiceName::new("products").expect("a name");
        let interface = InterfaceName::new("shop:products/products@1.0.0");
        let functions = || Interface::default();
        let need = |by: &str| Need {
            by: by.into(),
            service: name.clone(),
            uses: Uses::Functions { interface: interface.clone(), functions: functions() },
            name: Some(ManifestName { text: "products/reserve".into(), prefix: "products/".into() }),
        };
        let needs = [need("step `a` of saga `buy`"), need("step `a` of saga `buy`"), need("route POST /reserve")];
        let told = misnamed(&name, &Contract::default(), needs.iter());
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("step `a`") && told[1].contains("route POST"), "{told:?}");
    }
}
