//! Which services of a start wait for which components.

use crate::base::ServiceName;
use std::collections::{BTreeMap, BTreeSet};

/// The services of a start that do not serve yet.
#[derive(Debug, Default)]
pub(super) struct StartLedger(BTreeMap<ServiceName, WaitingService>);

/// A service that does not serve yet.
#[derive(Debug)]
struct WaitingService {
    /// The services whose components must be compiled first: itself, and those that its calls may reach.
    code: BTreeSet<ServiceName>,
    /// The services that answer its imports.
    providers: BTreeSet<ServiceName>,
}

/// One service, as it is when the host starts.
pub(super) struct StartedService<'a> {
    pub(super) name: &'a ServiceName,
    /// The services that it may call.
    pub(super) calls: &'a [ServiceName],
    /// The services that answer its imports; it may call each of them.
    pub(super) providers: BTreeSet<ServiceName>,
    /// Whether its component is compiled.
    pub(super) compiled: bool,
}

/// What the end of one compilation means.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SettledServices {
    /// The services that can serve now.
    pub(super) ready: Vec<ServiceName>,
    /// The services that cannot serve, each with the provider that is missing: itself, if it is the one that was not
    /// compiled.
    pub(super) left_out: Vec<(ServiceName, ServiceName)>,
}

impl StartLedger {
    /// A service waits until its component and those of all services are compiled that its calls may reach. So no
    /// service that serves has a callee that does not.
    pub(super) fn new<'a>(services: impl Iterator<Item = StartedService<'a>>) -> Self {
        let all: BTreeMap<_, _> = services.map(|service| (service.name, service)).collect();
        if all.values().all(|service| service.compiled) {
            return Self::default();
        }
        let waiting = all.values().filter_map(|service| {
            let uncompiled = |name: &&ServiceName| all.get(name).is_some_and(|service| !service.compiled);
            let code: BTreeSet<_> = reached(service.name, &all).into_iter().filter(uncompiled).cloned().collect();
            if code.is_empty() {
                return None;
            }
            Some((service.name.clone(), WaitingService { code, providers: service.providers.clone() }))
        });
        Self(waiting.collect())
    }

    /// The services that do not serve yet.
    pub(super) fn names(&self) -> impl Iterator<Item = &ServiceName> {
        self.0.keys()
    }

    /// The component of `name` is compiled, or `name` serves with another component now.
    pub(super) fn compiled(&mut self, name: &ServiceName) -> Vec<ServiceName> {
        self.settle(|code| {
            code.remove(name);
        })
    }

    /// The component of `name` cannot be compiled. Services that import from it cannot serve either. A service that may
    /// only send it HTTP requests can: its calls fail. Nothing happens if `name` does not wait any more.
    pub(super) fn failed(&mut self, name: &ServiceName) -> SettledServices {
        let mut left_out = Vec::new();
        let mut gone = self.0.remove(name).map(|_| (name.clone(), name.clone()));
        let mut missing = BTreeSet::new();
        while let Some((service, provider)) = gone {
            missing.insert(service.clone());
            left_out.push((service, provider));
            gone = self.0.iter().find_map(|(service, waiting)| {
                let provider = waiting.providers.intersection(&missing).next()?;
                Some((service.clone(), provider.clone()))
            });
            if let Some((service, _)) = &gone {
                self.0.remove(service);
            }
        }
        let ready = self.settle(|code| code.retain(|service| !missing.contains(service)));
        SettledServices { ready, left_out }
    }

    fn settle(&mut self, mut change: impl FnMut(&mut BTreeSet<ServiceName>)) -> Vec<ServiceName> {
        let mut ready = Vec::new();
        self.0.retain(|service, waiting| {
            change(&mut waiting.code);
            if waiting.code.is_empty() {
                ready.push(service.clone());
            }
            !waiting.code.is_empty()
        });
        ready
    }
}

/// `first`, and all services to which its calls may lead.
fn reached<'a>(
    first: &'a ServiceName,
    all: &BTreeMap<&'a ServiceName, StartedService<'a>>,
) -> BTreeSet<&'a ServiceName> {
    let (mut reached, mut rest) = (BTreeSet::new(), vec![first]);
    while let Some(name) = rest.pop() {
        if reached.insert(name) {
            rest.extend(all.get(name).into_iter().flat_map(|service| service.calls));
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(index: usize) -> ServiceName {
        ServiceName::new(&format!("s{index}")).unwrap()
    }

    fn names(indices: impl IntoIterator<Item = usize>) -> Vec<ServiceName> {
        indices.into_iter().map(name).collect()
    }

    /// A ledger of services, each with those that it calls, those of them from which it imports, and whether it is
    /// compiled.
    fn ledger(services: &[(Vec<usize>, Vec<usize>, bool)]) -> StartLedger {
        let all = names(0..services.len());
        let calls: Vec<_> = services.iter().map(|(calls, ..)| names(calls.clone())).collect();
        StartLedger::new(services.iter().enumerate().map(|(index, (_, providers, compiled))| StartedService {
            name: &all[index],
            calls: &calls[index],
            providers: names(providers.clone()).into_iter().collect(),
            compiled: *compiled,
        }))
    }

    fn waiting(ledger: &StartLedger) -> Vec<ServiceName> {
        ledger.names().cloned().collect()
    }

    #[test]
    fn a_service_waits_for_all_components_that_its_calls_may_reach() {
        // 0 calls 1, 1 calls 2, and 3 and 4 call each other; 5 calls nobody.
        let mut ledger = ledger(&[
            (vec![1], vec![], true),
            (vec![2], vec![], false),
            (vec![], vec![], false),
            (vec![4], vec![], false),
            (vec![3], vec![], true),
            (vec![], vec![], true),
        ]);
        assert_eq!(waiting(&ledger), names(0..5));
        assert_eq!(ledger.compiled(&name(1)), []);
        assert_eq!(ledger.compiled(&name(3)), names([3, 4]));
        assert_eq!(ledger.compiled(&name(2)), names([0, 1, 2]));
        assert_eq!(waiting(&ledger), []);
    }

    #[test]
    fn without_a_component_its_importers_are_left_out_and_its_other_callers_serve() {
        // 1 imports from 0, 2 imports from 1, 3 only calls 0, 4 waits for its own code too.
        let mut ledger = ledger(&[
            (vec![], vec![], false),
            (vec![0], vec![0], true),
            (vec![1], vec![1], true),
            (vec![0], vec![], true),
            (vec![0], vec![], false),
        ]);
        let settled = ledger.failed(&name(0));
        assert_eq!(settled.left_out, [(name(0), name(0)), (name(1), name(0)), (name(2), name(1))]);
        assert_eq!(settled.ready, names([3]));
        assert_eq!(waiting(&ledger), names([4]));
        assert_eq!(ledger.failed(&name(0)), SettledServices::default());
    }

    #[test]
    fn the_failure_of_a_component_that_was_replaced_concerns_nobody() {
        let mut ledger = ledger(&[(vec![], vec![], false), (vec![0], vec![0], true)]);
        assert_eq!(ledger.compiled(&name(0)), names([0, 1]));
        assert_eq!(ledger.failed(&name(0)), SettledServices::default());
    }

    proptest! {
        /// Whatever the services call, and in whichever order compilations end: each service leaves the ledger once,
        /// and one that becomes ready reaches no component that is not settled.
        #[test]
        fn every_service_is_ready_or_left_out_once(
            calls in proptest::collection::vec(proptest::collection::vec(0_usize..6, 0..4), 6),
            imports: [bool; 6],
            compiled: [bool; 6],
            works: [bool; 6],
            order in Just((0_usize..6).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let services: Vec<_> = (0..6)
                .map(|at| (calls[at].clone(), if imports[at] { calls[at].clone() } else { vec![] }, compiled[at]))
                .collect();
            let mut ledger = ledger(&services);
            let mut waited = waiting(&ledger);
            prop_assert!((0..6).all(|at| compiled[at] || waited.contains(&name(at))));
            let (mut settled, mut seen) = (compiled, Vec::new());
            for at in order.into_iter().filter(|at| !compiled[*at]) {
                settled[at] = true;
                let SettledServices { ready, left_out } = if works[at] {
                    SettledServices { ready: ledger.compiled(&name(at)), left_out: Vec::new() }
                } else {
                    ledger.failed(&name(at))
                };
                for service in &ready {
                    let index = (0..6).find(|at| name(*at) == *service).unwrap();
                    let (mut reached, mut rest) = (BTreeSet::new(), vec![index]);
                    while let Some(next) = rest.pop() {
                        if reached.insert(next) {
                            rest.extend(&calls[next]);
                        }
                    }
                    // A component that is still being compiled, but whose service is left out, is settled too.
                    let left = |at: usize| seen.contains(&name(at)) || left_out.iter().any(|(out, _)| *out == name(at));
                    prop_assert!(reached.into_iter().all(|at| settled[at] || left(at)), "{service}");
                }
                seen.extend(ready.into_iter().chain(left_out.into_iter().map(|(service, _)| service)));
            }
            seen.sort();
            waited.sort();
            prop_assert_eq!(seen, waited);
        }
    }
}
