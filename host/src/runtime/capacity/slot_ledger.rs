//! Who holds the slots of the pool, who waits for them, and who gets the next one. It knows no clock and no task.
//!
//! # Every chain of calls comes to its end
//!
//! A caller keeps its slots while it waits for its callee's slots. If every call could take every slot, callers could
//! take the whole pool, and each of them would wait for one slot more until its deadline. So calls are sorted into
//! classes by their depth. Calls that no service made (depth 0) may together take only a part of the pool, calls of
//! depth 0 and 1 together a larger part, and so on: `free` of the ledger counts what is free of each part.
//!
//! Why that is enough. Assume that calls wait and none can go on by itself: every call that holds slots waits for a
//! callee of its own that waits for slots. Let `d` be the deepest class of all calls that hold slots. Some call of
//! class `d + 1` waits, and none of that class or of a deeper one holds slots. All slots that are held from the parts
//! count in part `d`, and part `d + 1` is larger by a step, so a step's worth of slots is free for it. A step is at
//! least as large as the largest instance. So the first call of class `d + 1` in the order of shares fits, and the
//! ledger gives it its slots whenever it fits: no waiting call of another class, and no service with a better right,
//! can hold it up ([`SlotLedger::next`] asks the first call of each class). It is answered, and gives its slots back.
//! Four conditions:
//! - The last class has no deeper one. If its calls wait for each other, only their deadlines end the wait.
//! - A step is a sixth of the parts at most. If an instance takes more, or the pool has fewer than six slots, only
//!   `wait` ends such a wait.
//! - If a service comes while others hold slots, the parts shrink, perhaps below what is held. Only after as many slots
//!   have come back as the reserve has grown by does all this hold again. The services come before the first call, and
//!   nothing else changes the sizes but a swap to a component with a larger instance.
//! - Slots of the reserve count in no part, so they change nothing above: whoever holds them, the parts are as free.
//!
//! # No service starves another
//!
//! - **Order.** Of the calls of one class that wait, the next is one of the service that holds the least for its
//!   weight: the least of (slots held + slots wanted) / weight. Of equals, the one that has waited longest. So the
//!   slots that come free go to a service below its share before they go to one above it. A service that is alone may
//!   have all of them.
//! - **Reserve.** A slot that is held is not taken away, and a request may hold it for long. So a few slots, for one
//!   instance of each service, are kept apart: a service may have one instance there, if it finds no room in the parts.
//!   They are a quarter of the pool at most, and the parts keep six slots. A service that is alone needs none.

use super::depth_class::{CLASSES, DepthClass};
use std::cmp::Ordering;
use std::collections::VecDeque;

/// The parts keep at least this many slots: with fewer, the classes could not have a step between them.
const LEAST_PARTS: usize = 6;

/// The slots of the pool. `W` is what the ledger keeps for a call that waits, and hands out with its slots.
pub(super) struct SlotLedger<W> {
    total: usize,
    /// How many slots are free for each class: of the slots that this class and all less deep ones may hold together.
    /// The last part is the whole pool without the reserve, so every slot is counted there. It is negative if the parts
    /// have shrunk below what is held: a service has come meanwhile, and the reserve has grown.
    free: [isize; CLASSES],
    /// How many slots of the reserve are free; negative as above.
    reserve: isize,
    /// The sizes for which `free` and `reserve` count.
    sizes: PoolSizes,
    /// By their ids. `None`: the service has gone.
    services: Vec<Option<ServiceEntry<W>>>,
    /// How many slots are held, by all services together.
    held: usize,
    /// How many calls wait.
    waiting: usize,
    /// How many calls have come to wait since the start.
    arrivals: u64,
}

/// The sizes of the parts and of the reserve.
#[derive(Clone, Copy, Default)]
struct PoolSizes {
    parts: [usize; CLASSES],
    reserve: usize,
}

/// One service.
struct ServiceEntry<W> {
    weight: u64,
    /// The slots of its largest instance.
    instance: usize,
    /// Slots that it holds, those of the reserve too.
    held: usize,
    /// Slots that it holds of the reserve.
    reserved: usize,
    /// Its calls that wait, by class, in the order of their arrival.
    queues: [VecDeque<LedgerEntry<W>>; CLASSES],
}

/// A call that waits.
struct LedgerEntry<W> {
    ticket: u64,
    count: usize,
    call: W,
}

/// Slots that a call holds. Give it back with [`SlotLedger::give_back`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HeldSlots {
    service: usize,
    class: DepthClass,
    count: usize,
    pub(super) reserved: bool,
}

/// The place of a call in the queues.
#[derive(Debug, Clone, Copy)]
pub(super) struct SlotTicket {
    service: usize,
    class: DepthClass,
    number: u64,
}

/// What one service has of the pool.
pub(super) struct SlotHolding<'a, W> {
    pub(super) held: usize,
    pub(super) waiting: usize,
    /// The call that has waited longest.
    pub(super) longest: Option<&'a W>,
}

impl PoolSizes {
    /// Of a pool of `total` slots, for services whose instances take so many slots each.
    fn of(total: usize, instances: impl Iterator<Item = usize> + Clone) -> Self {
        let most = (total / 4).min(total.saturating_sub(LEAST_PARTS));
        let reserve = if instances.clone().count() > 1 { instances.clone().sum::<usize>().min(most) } else { 0 };
        let rest = total - reserve;
        let step = (rest / 8).max(instances.max().unwrap_or(1)).min(rest / 6);
        Self { parts: std::array::from_fn(|class| rest - (CLASSES - 1 - class) * step), reserve }
    }
}

impl<W> SlotLedger<W> {
    pub(super) fn new(total: usize) -> Self {
        let sizes = PoolSizes::of(total, std::iter::empty());
        let free = sizes.parts.map(usize::cast_signed);
        Self { total, free, reserve: 0, sizes, services: Vec::new(), held: 0, waiting: 0, arrivals: 0 }
    }

    /// The most slots that one instance may take, at whatever depth it is called and however many services there are.
    pub(super) fn most(&self) -> usize {
        // The largest reserve and the largest step.
        PoolSizes::of(self.total, [self.total, self.total].into_iter()).parts[0]
    }

    /// Adds a service whose instances take `instance` slots each. Returns its id.
    pub(super) fn join(&mut self, weight: u64, instance: usize) -> usize {
        let queues = std::array::from_fn(|_| VecDeque::new());
        let entry = ServiceEntry { weight: weight.max(1), instance, held: 0, reserved: 0, queues };
        let id = match self.services.iter().position(Option::is_none) {
            Some(gap) => gap,
            None => {
                self.services.push(None);
                self.services.len() - 1
            }
        };
        self.services[id] = Some(entry);
        self.resize();
        id
    }

    /// The service now has instances that take `instance` slots, too.
    pub(super) fn widen(&mut self, service: usize, instance: usize) {
        let entry = self.entry_mut(service);
        entry.instance = entry.instance.max(instance);
        self.resize();
    }

    /// Removes a service that holds nothing and for which no call waits.
    pub(super) fn leave(&mut self, service: usize) {
        let entry = self.services[service].take();
        debug_assert!(
            entry.is_some_and(|entry| entry.held == 0 && entry.queues.iter().all(VecDeque::is_empty)),
            "a service that goes holds no slot and waits for none"
        );
        self.resize();
    }

    fn resize(&mut self) {
        let instances = self.services.iter().flatten().map(|entry| entry.instance);
        let sizes = PoolSizes::of(self.total, instances);
        let change = |now: usize, before: usize| now.cast_signed() - before.cast_signed();
        for (class, free) in self.free.iter_mut().enumerate() {
            *free += change(sizes.parts[class], self.sizes.parts[class]);
        }
        self.reserve += change(sizes.reserve, self.sizes.reserve);
        self.sizes = sizes;
    }

    /// Takes `count` slots for a call of `service` if they are free now and no call waits.
    pub(super) fn try_take(&mut self, service: usize, class: DepthClass, count: usize) -> Option<HeldSlots> {
        if self.waiting > 0 {
            return None;
        }
        let reserved = if self.fits(class, count) {
            false
        } else if self.fits_reserve(service, count) {
            true
        } else {
            return None;
        };
        Some(self.take(HeldSlots { service, class, count, reserved }))
    }

    /// A call of `service` begins to wait for `count` slots. Ask [`SlotLedger::next`] then: it may be its turn.
    pub(super) fn wait(&mut self, service: usize, class: DepthClass, count: usize, call: W) -> SlotTicket {
        self.arrivals += 1;
        self.waiting += 1;
        let number = self.arrivals;
        self.entry_mut(service).queues[class.index()].push_back(LedgerEntry { ticket: number, count, call });
        SlotTicket { service, class, number }
    }

    /// The call waits no more; `None` if it has its slots already. Ask [`SlotLedger::next`] then: another call may have
    /// stood behind it.
    pub(super) fn give_up(&mut self, SlotTicket { service, class, number }: SlotTicket) -> Option<W> {
        let queue = &mut self.entry_mut(service).queues[class.index()];
        let at = queue.binary_search_by_key(&number, |queued| queued.ticket).ok()?;
        let queued = queue.remove(at)?;
        self.waiting -= 1;
        Some(queued.call)
    }

    /// Takes slots back. Ask [`SlotLedger::next`] then.
    pub(super) fn give_back(&mut self, HeldSlots { service, class, count, reserved }: HeldSlots) {
        self.held -= count;
        let entry = self.entry_mut(service);
        entry.held -= count;
        if reserved {
            entry.reserved -= count;
            self.reserve += count.cast_signed();
        } else {
            self.free[class.index()..].iter_mut().for_each(|free| *free += count.cast_signed());
        }
    }

    /// Gives slots to the next call, if there are enough for it. Ask again until there is none.
    pub(super) fn next(&mut self) -> Option<(HeldSlots, W)> {
        if self.waiting == 0 {
            return None;
        }
        let classes = (0..CLASSES).map(DepthClass::of);
        // The first call of a class holds up the others of its class, even if a smaller one would fit: otherwise small
        // instances could keep a large one waiting for ever. It holds up no other class.
        let firsts = classes.clone().filter_map(|class| self.first(class, |_, _| true));
        let fitting = firsts.filter(|first| self.fits(first.class, first.count));
        let slice = fitting.min_by(|one, other| self.order(one, other)).map(|first| (first, false)).or_else(|| {
            let first = |class| self.first(class, |service, count| self.fits_reserve(service, count));
            classes.filter_map(first).min_by(|one, other| self.order(one, other)).map(|first| (first, true))
        });
        let (FirstCall { service, class, count, .. }, reserved) = slice?;
        let queued = self.entry_mut(service).queues[class.index()].pop_front().expect("it is the first of its queue");
        self.waiting -= 1;
        Some((self.take(HeldSlots { service, class, count, reserved }), queued.call))
    }

    /// Whether a call waits.
    pub(super) fn has_waiting(&self) -> bool {
        self.waiting > 0
    }

    /// Whether no slot is held.
    pub(super) fn is_idle(&self) -> bool {
        self.held == 0
    }

    /// What a service has.
    pub(super) fn holding(&self, service: usize) -> SlotHolding<'_, W> {
        let entry = self.entry(service);
        let first = entry.queues.iter().filter_map(VecDeque::front).min_by_key(|queued| queued.ticket);
        SlotHolding {
            held: entry.held,
            waiting: entry.queues.iter().map(VecDeque::len).sum(),
            longest: first.map(|queued| &queued.call),
        }
    }

    fn take(&mut self, slice: HeldSlots) -> HeldSlots {
        let HeldSlots { service, class, count, reserved } = slice;
        if reserved {
            self.reserve -= count.cast_signed();
        } else {
            self.free[class.index()..].iter_mut().for_each(|free| *free -= count.cast_signed());
        }
        self.held += count;
        let entry = self.entry_mut(service);
        entry.held += count;
        entry.reserved += if reserved { count } else { 0 };
        slice
    }

    /// Whether so many slots of the pool are free at all. After a service has come or gone, parts and reserve may
    /// together have more free than the pool.
    fn fits_pool(&self, count: usize) -> bool {
        self.held + count <= self.total
    }

    fn fits(&self, class: DepthClass, count: usize) -> bool {
        self.fits_pool(count) && self.free[class.index()..].iter().all(|free| *free >= count.cast_signed())
    }

    fn fits_reserve(&self, service: usize, count: usize) -> bool {
        self.fits_pool(count) && self.reserve >= count.cast_signed() && self.entry(service).reserved == 0
    }

    /// The first call of a class, among the calls of the services that are `meant`.
    fn first(&self, class: DepthClass, meant: impl Fn(usize, usize) -> bool) -> Option<FirstCall> {
        let firsts = self.services.iter().enumerate().filter_map(|(service, entry)| {
            let entry = entry.as_ref()?;
            let LedgerEntry { ticket, count, .. } = *entry.queues[class.index()].front().as_ref()?;
            meant(service, *count).then_some(FirstCall {
                service,
                class,
                count: *count,
                ticket: *ticket,
                would_hold: (entry.held + count) as u64,
                weight: entry.weight,
            })
        });
        firsts.min_by(|one, other| self.order(one, other))
    }

    /// The order of shares: who would hold less for its weight, then who came first.
    fn order(&self, one: &FirstCall, other: &FirstCall) -> Ordering {
        let share = (one.would_hold * other.weight).cmp(&(other.would_hold * one.weight));
        share.then(one.ticket.cmp(&other.ticket))
    }

    fn entry(&self, service: usize) -> &ServiceEntry<W> {
        self.services[service].as_ref().expect("a service has an entry as long as somebody knows its id")
    }

    fn entry_mut(&mut self, service: usize) -> &mut ServiceEntry<W> {
        self.services[service].as_mut().expect("a service has an entry as long as somebody knows its id")
    }
}

/// The first call of one queue.
struct FirstCall {
    service: usize,
    class: DepthClass,
    count: usize,
    ticket: u64,
    /// How many slots the service would hold with those of the call.
    would_hold: u64,
    weight: u64,
}

#[cfg(test)]
mod tests;
