//! The ledger against what it promises, recomputed from a plain list of who holds what and who waits.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Ledger = SlotLedger<usize>;

fn class(index: usize) -> DepthClass {
    DepthClass::of(index)
}

/// A call, by its number: it is the `W` of the ledger.
#[derive(Clone, Copy, Debug)]
struct Call {
    service: usize,
    class: usize,
    count: usize,
}

/// Everything that was asked of a ledger and that it gave.
struct Model {
    ledger: Ledger,
    /// The weight and the slots of an instance of each service.
    services: Vec<(u64, usize)>,
    calls: Vec<Call>,
    waiting: BTreeMap<usize, SlotTicket>,
    held: BTreeMap<usize, HeldSlots>,
}

impl Model {
    fn new(total: usize, services: &[(u64, usize)]) -> Self {
        let mut ledger = Ledger::new(total);
        for (id, (weight, instance)) in services.iter().enumerate() {
            assert_eq!(ledger.join(*weight, *instance), id);
        }
        let (calls, waiting, held) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Self { ledger, services: services.to_vec(), calls, waiting, held }
    }

    /// A call comes: it takes its slots, or waits for them.
    fn come(&mut self, service: usize, depth: usize) -> usize {
        let call = Call { service, class: class(depth).index(), count: self.services[service].1 };
        let number = self.calls.len();
        self.calls.push(call);
        match self.ledger.try_take(service, class(depth), call.count) {
            Some(slots) => {
                self.held.insert(number, slots);
            }
            None => {
                let ticket = self.ledger.wait(service, class(depth), call.count, number);
                self.waiting.insert(number, ticket);
            }
        }
        self.serve();
        number
    }

    fn end(&mut self, number: usize) {
        if let Some(slots) = self.held.remove(&number) {
            self.ledger.give_back(slots);
        } else if let Some(ticket) = self.waiting.remove(&number) {
            assert_eq!(self.ledger.give_up(ticket), Some(number));
        }
        self.serve();
    }

    fn serve(&mut self) {
        loop {
            let best = self.best();
            let Some((slots, number)) = self.ledger.next() else { break };
            let (fits, reserve) = best;
            assert!(fits.contains(&number) || fits.is_empty() && reserve.contains(&number), "{number} overtakes");
            self.waiting.remove(&number);
            self.held.insert(number, slots);
        }
        let (fits, reserve) = self.best();
        assert!(fits.is_empty() && reserve.is_empty(), "{fits:?} or {reserve:?} could have slots");
        self.check();
    }

    fn slots_of(&self, meant: impl Fn(&Call, &HeldSlots) -> bool) -> usize {
        let held = self.held.iter().map(|(number, slots)| (self.calls[*number], slots));
        held.filter(|(call, slots)| meant(call, slots)).map(|(call, _)| call.count).sum()
    }

    fn fits(&self, call: &Call) -> bool {
        (call.class..CLASSES).all(|part| {
            let held = self.slots_of(|held, slots| held.class <= part && !slots.reserved);
            held + call.count <= self.ledger.sizes.parts[part]
        })
    }

    /// The calls that may be next: those in the parts, and, if there is none, those in the reserve. For each class it
    /// is the call of the service that holds least for its weight.
    fn best(&self) -> (Vec<usize>, Vec<usize>) {
        let key = |number: usize| {
            let Call { service, count, .. } = self.calls[number];
            let held = self.slots_of(|call, _| call.service == service) + count;
            // A common multiple of the weights of the tests.
            (held as u64 * 12 / self.services[service].0, number)
        };
        let of_class = |class: usize, meant: &dyn Fn(usize) -> bool| {
            let mut firsts = BTreeMap::new();
            for number in self.waiting.keys().filter(|number| self.calls[**number].class == class) {
                firsts.entry(self.calls[*number].service).or_insert(*number);
            }
            firsts.into_values().filter(|number| meant(*number)).min_by_key(|number| key(*number))
        };
        let fits = (0..CLASSES).filter_map(|class| of_class(class, &|_| true));
        let fits = fits.filter(|number| self.fits(&self.calls[*number])).min_by_key(|number| key(*number));
        let reserve = self.ledger.sizes.reserve - self.slots_of(|_, slots| slots.reserved);
        let may_have = |number: usize| {
            let Call { service, count, .. } = self.calls[number];
            count <= reserve && self.slots_of(|call, slots| call.service == service && slots.reserved) == 0
        };
        let reserve = (0..CLASSES).filter_map(|class| of_class(class, &may_have)).min_by_key(|number| key(*number));
        (fits.into_iter().collect(), reserve.into_iter().collect())
    }

    fn check(&self) {
        let PoolSizes { parts, reserve } = self.ledger.sizes;
        assert_eq!(parts[CLASSES - 1] + reserve, self.ledger.total);
        for (part, size) in parts.iter().enumerate() {
            let held = self.slots_of(|call, slots| call.class <= part && !slots.reserved);
            assert!(held <= *size, "calls of class {part} hold {held} of {size}");
        }
        assert!(self.slots_of(|_, slots| slots.reserved) <= reserve);
        for (service, (_, instance)) in self.services.iter().enumerate() {
            let reserved = self.slots_of(|call, slots| call.service == service && slots.reserved);
            assert!(reserved <= *instance, "one instance of each service in the reserve");
            let SlotHolding { held, waiting, longest } = self.ledger.holding(service);
            assert_eq!(held, self.slots_of(|call, _| call.service == service));
            let own: Vec<_> = self.waiting.keys().filter(|number| self.calls[**number].service == service).collect();
            assert_eq!((waiting, longest), (own.len(), own.first().copied()));
        }
        assert_eq!(self.ledger.is_idle(), self.held.is_empty());
        assert_eq!(self.ledger.has_waiting(), !self.waiting.is_empty());
    }
}

fn services(most: usize) -> impl Strategy<Value = Vec<(u64, usize)>> {
    let weight = prop_oneof![Just(1_u64), Just(2), Just(3), Just(4)];
    prop::collection::vec((weight, 1..=most), 1..6)
}

proptest! {
    #[test]
    fn the_next_slots_go_to_the_service_that_holds_least_for_its_weight(
        total in 8_usize..40,
        services in services(2),
        steps in prop::collection::vec((any::<prop::sample::Index>(), 0..CLASSES, any::<bool>()), 1..200),
    ) {
        let mut model = Model::new(total, &services);
        for (index, depth, comes) in steps {
            let open: Vec<_> = model.held.keys().chain(model.waiting.keys()).copied().collect();
            if comes || open.is_empty() {
                model.come(index.index(services.len()), depth);
            } else {
                model.end(open[index.index(open.len())]);
            }
        }
    }

    /// No service with work waits while another holds more than its share and slots come free: after each service has
    /// got as many slots as the pool has, all hold their shares, whoever held the pool before.
    #[test]
    fn a_service_with_work_comes_to_its_share_within_as_many_ends_as_it_lacks_slots(
        total in 16_usize..64,
        weights in prop::collection::vec(prop_oneof![Just(1_u64), Just(2), Just(3), Just(4)], 2..5),
    ) {
        let services: Vec<_> = weights.iter().map(|weight| (*weight, 1)).collect();
        let mut model = Model::new(total, &services);
        for service in 0..services.len() {
            for _ in 0..2 * total {
                model.come(service, 0);
            }
        }
        let part = model.ledger.sizes.parts[0];
        for _ in 0..part {
            // The service that holds most for its weight ends a call that it holds in the parts.
            let most = |(number, slots): &(&usize, &HeldSlots)| {
                let service = model.calls[**number].service;
                (!slots.reserved, model.ledger.holding(service).held as u64 * 12 / weights[service])
            };
            let ends = *model.held.iter().max_by_key(most).expect("the pool is used up").0;
            model.end(ends);
        }
        let all: u64 = weights.iter().sum();
        let held: usize = (0..services.len()).map(|service| model.ledger.holding(service).held).sum();
        for (service, weight) in weights.iter().enumerate() {
            let (own, share) = (model.ledger.holding(service).held as u64, held as u64 * weight / all);
            prop_assert!(own + 1 >= share && own >= 1, "service {service} holds {own} of {held}, its share is {share}");
        }
    }

    /// Nested calls cannot deadlock: chains of calls as long as there are classes, of any services, all come to their
    /// end, in whatever order they go on.
    #[test]
    fn chains_of_calls_end_whoever_goes_on_first(
        total in 8_usize..40,
        services in services(1),
        chains in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), CLASSES), 1..60),
        order in prop::collection::vec(any::<prop::sample::Index>(), 400),
    ) {
        let mut model = Model::new(total, &services);
        let mut under_way: Vec<Vec<usize>> = Vec::new();
        for chain in &chains {
            let first = model.come(chain[0].index(services.len()), 0);
            under_way.push(vec![first]);
        }
        let mut order = order.iter().cycle();
        loop {
            let can_go_on = |calls: &Vec<usize>| calls.last().is_some_and(|last| model.held.contains_key(last));
            let able: Vec<_> = (0..under_way.len()).filter(|chain| can_go_on(&under_way[*chain])).collect();
            if able.is_empty() {
                break;
            }
            let chain = able[order.next().expect("it goes in a circle").index(able.len())];
            let depth = under_way[chain].len();
            if depth < CLASSES {
                let callee = model.come(chains[chain][depth].index(services.len()), depth);
                under_way[chain].push(callee);
            } else {
                // The last call answers; so do all calls above it.
                while let Some(call) = under_way[chain].pop() {
                    model.end(call);
                }
            }
        }
        prop_assert!(under_way.iter().all(Vec::is_empty), "they wait for each other: {under_way:?}");
        prop_assert!(model.ledger.is_idle());
    }
}

#[test]
fn a_deeper_class_may_take_more_slots() {
    for total in 1..200 {
        for count in 1..4 {
            let PoolSizes { parts, reserve } = PoolSizes::of(total, std::iter::repeat_n(1, count));
            let rest = total - reserve;
            assert!(parts[0] >= rest.div_ceil(2) && parts[3] == rest, "{total}: {parts:?}");
            assert!(rest < 6 || parts.windows(2).all(|pair| pair[0] < pair[1]), "{total}: {parts:?}");
            assert!(total < 8 || rest >= 6, "{total}: the reserve leaves a step for each class");
            assert_eq!(reserve, if count == 1 { 0 } else { count.min(total / 4).min(total.saturating_sub(6)) });
            assert!(Ledger::new(total).most() <= parts[0], "{total}: an instance of `most` slots always finds them");
        }
    }
}

#[test]
fn an_instance_of_several_slots_has_a_step_that_it_fits_into() {
    let PoolSizes { parts, .. } = PoolSizes::of(30, [1, 4].into_iter());
    assert!(parts.windows(2).all(|pair| pair[1] - pair[0] >= 4), "{parts:?}");
}

#[test]
fn a_flood_leaves_each_other_service_an_instance() {
    let mut model = Model::new(16, &[(1, 1), (1, 1), (1, 1)]);
    for _ in 0..40 {
        model.come(0, 0);
    }
    let held = model.ledger.holding(0).held;
    assert!((10..=13).contains(&held), "{held}: three slots are the reserve, and three are for deeper calls");
    for service in [1, 2] {
        let call = model.come(service, 0);
        assert!(model.held.contains_key(&call), "service {service} does not wait");
    }
    let second = model.come(1, 0);
    assert!(!model.held.contains_key(&second), "one instance in the reserve");
    // The flood's 30 calls wait longer, and still the next slot goes to the service that has less.
    let of_flood = *model.held.iter().find(|(number, _)| model.calls[**number].service == 0).unwrap().0;
    model.end(of_flood);
    assert!(model.held.contains_key(&second));
}

#[test]
fn a_service_that_comes_and_goes_moves_the_reserve() {
    let mut ledger = Ledger::new(16);
    let first = ledger.join(1, 1);
    let held: Vec<_> = std::iter::from_fn(|| ledger.try_take(first, class(3), 1)).collect();
    assert_eq!(held.len(), 16, "alone it may have the whole pool");
    let second = ledger.join(1, 1);
    assert!(ledger.try_take(second, class(0), 1).is_none(), "what is held is not taken away");
    let ticket = ledger.wait(second, class(0), 1, 7);
    for slots in held {
        ledger.give_back(slots);
    }
    let (slots, call) = ledger.next().expect("it is the turn of the second");
    assert_eq!((call, ledger.give_up(ticket)), (7, None));
    ledger.give_back(slots);
    ledger.leave(second);
    assert_eq!(std::iter::from_fn(|| ledger.try_take(first, class(3), 1)).count(), 16);
}
