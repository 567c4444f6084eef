//! Which services have guests that compute for long, what each has computed lately, and whose turn it is. It knows no
//! clock and no thread.
//!
//! Each service has one account for all of its instances. Its **debt** is the processor time of whole slices that its
//! guests have used up; the debt halves every half second, so it is what they have used lately. The next turn goes to
//! the service with the least debt for its weight. So ten endless loops of one service get as much as one long
//! computation of another, and a service that has just begun to compute goes before one that has computed for long.

use crate::base::ServiceName;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A debt halves in this time. A second is a usual deadline: what a service did before is forgotten after a few.
const HALF_LIFE: Duration = Duration::from_millis(500);
/// From this debt on a service is a heavy one. It is that of a service whose guests compute for 28 ms of each second.
const HEAVY: Duration = Duration::from_millis(20);
/// What a turn counts for while it lasts.
const TURN: Duration = Duration::from_millis(10);

/// The accounts of all services. `W` is what the ledger keeps for a guest that waits for its turn.
pub(super) struct CpuLedger<W> {
    /// By their ids. None is removed: they are the services of the manifest.
    accounts: Vec<CpuAccount<W>>,
    ids: BTreeMap<ServiceName, usize>,
}

struct CpuAccount<W> {
    weight: f64,
    /// Nanoseconds of processor time, as they were at `counted`.
    debt: f64,
    /// Since the start.
    counted: Duration,
    /// Since the start, without any loss.
    total: Duration,
    /// Its guests that wait, in the order of their arrival.
    queue: VecDeque<W>,
    /// Its guests whose turn it is now.
    running: u32,
}

impl<W> CpuLedger<W> {
    pub(super) const fn new() -> Self {
        Self { accounts: Vec::new(), ids: BTreeMap::new() }
    }

    /// The id of a service. The weight of its first revision stays.
    pub(super) fn service(&mut self, name: &ServiceName, weight: u16) -> usize {
        let next = self.accounts.len();
        let id = *self.ids.entry(name.clone()).or_insert(next);
        if id == next {
            let (counted, total) = (Duration::ZERO, Duration::ZERO);
            let weight = weight.max(1).into();
            self.accounts.push(CpuAccount { weight, debt: 0.0, counted, total, queue: VecDeque::new(), running: 0 });
        }
        id
    }

    /// A guest of `service` has used up a slice of this processor time, outside of any turn.
    pub(super) fn charge(&mut self, service: usize, time: Duration, now: Duration) {
        self.accounts[service].charge(time, now);
    }

    /// A guest of `service` waits for its turn.
    pub(super) fn queue_up(&mut self, service: usize, guest: W) {
        self.accounts[service].queue.push_back(guest);
    }

    /// The guest whose turn it is, and the id of its service. Its turn ends with [`CpuLedger::end_turn`].
    pub(super) fn next(&mut self, now: Duration) -> Option<(usize, W)> {
        let waiting = self.accounts.iter_mut().enumerate().filter(|(_, account)| !account.queue.is_empty());
        let (id, account) = waiting.min_by(|(_, one), (_, other)| one.rank(now).total_cmp(&other.rank(now)))?;
        let guest = account.queue.pop_front()?;
        account.running += 1;
        Some((id, guest))
    }

    /// A turn of a guest of `service` is over, in which it has used this processor time.
    pub(super) fn end_turn(&mut self, service: usize, time: Duration, now: Duration) {
        let account = &mut self.accounts[service];
        account.running -= 1;
        account.charge(time, now);
    }

    /// Whether the guests of `service` have computed much lately.
    pub(super) fn is_heavy(&self, service: usize, now: Duration) -> bool {
        self.accounts[service].is_heavy(now)
    }

    /// Whether there is a heavy service.
    pub(super) fn has_heavy(&self, now: Duration) -> bool {
        self.accounts.iter().any(|account| account.is_heavy(now))
    }

    /// The processor time of whole slices that the guests of `service` have used up since the start.
    pub(super) fn total(&self, service: usize) -> Duration {
        self.accounts[service].total
    }

    /// Whether a guest waits for its turn.
    pub(super) fn has_waiting(&self) -> bool {
        self.accounts.iter().any(|account| !account.queue.is_empty())
    }
}

impl<W> CpuAccount<W> {
    fn debt(&self, now: Duration) -> f64 {
        let half_lives = now.saturating_sub(self.counted).as_secs_f64() / HALF_LIFE.as_secs_f64();
        self.debt * (-half_lives).exp2()
    }

    fn charge(&mut self, time: Duration, now: Duration) {
        self.debt = self.debt(now) + nanos(time);
        self.counted = now;
        self.total += time;
    }

    fn is_heavy(&self, now: Duration) -> bool {
        self.debt(now) >= nanos(HEAVY)
    }

    /// The account with the least rank is the next.
    fn rank(&self, now: Duration) -> f64 {
        (self.debt(now) + f64::from(self.running) * nanos(TURN)) / self.weight
    }
}

fn nanos(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ledger(weights: &[u16]) -> CpuLedger<usize> {
        let mut ledger = CpuLedger::new();
        for (id, weight) in weights.iter().enumerate() {
            assert_eq!(ledger.service(&ServiceName::new(&format!("s{id}")).unwrap(), *weight), id);
        }
        ledger
    }

    /// Lets each service have so many endless loops on so many threads, for so many turns of 10 ms one after the other.
    /// Returns how many turns each has got.
    fn turns(ledger: &mut CpuLedger<usize>, loops: &[usize], threads: usize, rounds: u32) -> Vec<u32> {
        for (service, loops) in loops.iter().enumerate() {
            (0..*loops).for_each(|_| ledger.queue_up(service, service));
        }
        let mut got = vec![0; loops.len()];
        for round in 0..rounds {
            let now = TURN * round;
            let running: Vec<_> = (0..threads).map_while(|_| ledger.next(now)).collect();
            for (service, guest) in running {
                got[service] += 1;
                ledger.end_turn(service, TURN, now + TURN);
                ledger.queue_up(service, guest);
            }
        }
        ledger.accounts.iter_mut().for_each(|account| account.queue.clear());
        got
    }

    #[test]
    fn ten_loops_of_one_service_get_as_much_as_one_of_another() {
        let got = turns(&mut ledger(&[1, 1]), &[10, 1], 1, 2_000);
        assert!((950..=1_050).contains(&got[0]) && got[0] + got[1] == 2_000, "{got:?}");
        let got = turns(&mut ledger(&[3, 1]), &[1, 10], 1, 2_000);
        assert!((1_400..=1_600).contains(&got[0]), "three quarters are for the weight of three: {got:?}");
        let got = turns(&mut ledger(&[1, 1, 1]), &[30, 10, 10], 3, 1_000);
        assert!(got.iter().all(|turns| (950..=1_050).contains(turns)), "{got:?}");
    }

    #[test]
    fn a_service_that_begins_to_compute_goes_before_one_that_has_computed() {
        let mut ledger = ledger(&[1, 1]);
        assert_eq!(turns(&mut ledger, &[4, 0], 1, 100), [100, 0]);
        let now = TURN * 100;
        (0..9).for_each(|_| ledger.queue_up(0, 0));
        ledger.queue_up(1, 1);
        for _ in 0..5 {
            assert_eq!(ledger.next(now), Some((1, 1)));
            ledger.end_turn(1, TURN, now);
            ledger.queue_up(1, 1);
        }
    }

    #[test]
    fn a_service_is_heavy_while_its_guests_use_up_slices_and_for_a_moment_after() {
        let mut ledger = ledger(&[1, 1]);
        let now = Duration::from_secs(7);
        ledger.charge(0, HEAVY / 2, now);
        assert!(!ledger.has_heavy(now));
        ledger.charge(0, HEAVY / 2, now);
        assert!(ledger.is_heavy(0, now) && !ledger.is_heavy(1, now) && ledger.has_heavy(now));
        assert!(!ledger.has_heavy(now + HALF_LIFE), "half of it is forgotten");
        // A service whose guests compute for a tenth of the time, in steps of 10 ms, is heavy all the time.
        for step in 1..100 {
            ledger.charge(1, TURN, now + 10 * TURN * step);
        }
        assert!((0..50).all(|wait| ledger.is_heavy(1, now + 10 * TURN * 99 + 10 * TURN * wait / 10 / 2)));
        assert_eq!(ledger.total(0), HEAVY, "the total forgets nothing");
    }

    proptest! {
        /// Whatever comes in which order: nobody who waits is forgotten, and no service with a guest that waits gets
        /// less than half of its share of the turns.
        #[test]
        fn each_service_that_waits_gets_its_share(
            weights in prop::collection::vec(1_u16..5, 1..6),
            loops in prop::collection::vec(1_usize..12, 6),
            threads in 1_usize..4,
        ) {
            let (count, sum) = (weights.len(), weights.iter().map(|weight| u32::from(*weight)).sum::<u32>());
            let got = turns(&mut ledger(&weights), &loops[..count], threads, 1_200);
            let all: u32 = got.iter().sum();
            for (service, weight) in weights.iter().enumerate() {
                // One loop computes on one thread at a time.
                let most = u32::try_from(loops[service]).unwrap() * 1_200;
                let share = (all * u32::from(*weight) / sum).min(most);
                prop_assert!(got[service] * 2 >= share, "{got:?} of {weights:?} with {loops:?}");
            }
        }
    }
}
