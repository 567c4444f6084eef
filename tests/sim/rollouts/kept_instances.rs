//! The memory of instances that are kept between calls: what they grow by says whether a canary leaks, however young
//! its instances are beside those of the stable revision, and however long instances live.

use super::*;
use host::verdict::{CallMemory, CallOutcome, highest_share};

/// Calls that one instance serves: what `max_requests` is by itself, and more of it.
const MOST_CALLS: [u64; 3] = [1000, 10_000, 1_000_000];
/// As the runtime has it: the first calls of an instance say nothing.
const WARM: u64 = 100;
const PAGE: u64 = 1 << 16;

/// How the memory of an instance grows with its calls.
#[derive(Debug, Clone, Copy)]
enum Growth {
    /// Not at all, once it is warm.
    None,
    /// A table that doubles, as a cache does: at 2, 4, 8, … calls.
    Doubling,
    /// A cache that takes something new in fewer and fewer calls.
    Slowing,
    /// The same with entries of 4 KiB, and more of them.
    Entries,
    /// A collector that lets its heap grow now and then, by more or less.
    Collected,
    /// So many bytes in each call.
    Leaking(u64),
}

impl Growth {
    /// The bytes that call number `age` of an instance adds, from 1.
    fn of(self, age: u64, rng: &mut SimRng) -> u64 {
        match self {
            Self::None => 0,
            Self::Doubling => {
                if age.is_power_of_two() {
                    age * 4096
                } else {
                    0
                }
            }
            Self::Slowing => {
                if rng.number() % age < 5 {
                    40_000
                } else {
                    0
                }
            }
            Self::Entries => {
                if rng.number() % age < 40 {
                    4096
                } else {
                    0
                }
            }
            Self::Collected => {
                if rng.percent(8) {
                    rng.between(1..=8) * PAGE
                } else {
                    0
                }
            }
            Self::Leaking(bytes) => bytes,
        }
    }
}

/// What the judge is told of a kept instance.
#[derive(Debug, Clone, Copy)]
enum Told {
    /// What it has grown by, with its age, as the host tells it.
    WithAge,
    /// Without its age, so that the odds of the coin are taken for those of growth.
    WithoutAge,
}

impl Told {
    fn memory(self, bytes: u64, age: u64) -> Option<CallMemory> {
        let memory = match self {
            Self::WithAge => CallMemory::Grown { bytes, age: u32::try_from(age).unwrap() },
            Self::WithoutAge => CallMemory::Needed(bytes),
        };
        (age > WARM).then_some(memory)
    }
}

/// One kept instance.
#[derive(Default)]
struct Instance {
    calls: u64,
    bytes: u64,
    /// The pages when its last call began.
    before: u64,
    used: u64,
}

/// The instances of one revision. The one that was used last is used next.
struct Pool {
    growth: Growth,
    most_calls: u64,
    told: Told,
    instances: Vec<Instance>,
}

impl Pool {
    /// A call that finds `busy` other calls under way, at the time `now`. Instances that have not been used for `idle`
    /// calls of the service are gone.
    fn call(&mut self, busy: usize, (now, idle): (u64, u64), rng: &mut SimRng) -> CallOutcome {
        self.instances.retain(|one| now - one.used <= idle && one.calls < self.most_calls);
        while self.instances.len() <= busy {
            self.instances.push(Instance { used: now, ..Instance::default() });
        }
        let one = &mut self.instances[busy];
        (one.used, one.calls) = (now, one.calls + 1);
        let pages = one.bytes / PAGE;
        let grown = (pages - std::mem::replace(&mut one.before, pages)) * PAGE;
        one.bytes += self.growth.of(one.calls, rng);
        CallOutcome::Answered { micros: 1000, memory: self.told.memory(grown, one.calls) }
    }
}

/// The canary's calls until it is rolled back, with instances of so many calls. `None`: it is not, over four steps of
/// so many calls each.
fn run(seed: u64, told: Told, growths: [Growth; 2], (most_calls, calls): (u64, u64)) -> Option<u64> {
    let mut rng = SimRng::new(seed);
    let (mut coin, mut judge) = (Coin::new(STEPS[0], rng.number()), Judge::new(None));
    let (most_busy, idle) = (rng.between(1..=12), rng.of(&[50, 1000, u64::MAX]));
    let [mut stable, mut canary] = growths.map(|growth| Pool { growth, most_calls, told, instances: Vec::new() });
    // The stable revision's instances are of any age when the canary begins.
    for now in 0..20_000 {
        stable.call(busy(&mut rng, most_busy), (now, idle), &mut SimRng::new(seed ^ now));
    }
    let mut of_canary = 0;
    for (step, share) in STEPS.into_iter().enumerate() {
        coin.set_share(share);
        judge.begin_step();
        for call in 0..calls {
            let now = 20_000 + step as u64 * calls + call;
            let toss = coin.toss(CoinKey::Request(rng.number()));
            // Of so many calls under way each is the canary's by its share.
            let under_way = busy(&mut rng, most_busy);
            let share = u64::from(if toss.canary { share } else { 100 - share });
            let busy = (0..under_way).filter(|_| rng.percent(share)).count();
            let pool = if toss.canary { &mut canary } else { &mut stable };
            let outcome = pool.call(busy, (now, idle), &mut rng);
            of_canary += u64::from(toss.canary);
            judge.note(toss, outcome);
            if judge.verdict().is_some() {
                return Some(of_canary);
            }
        }
    }
    None
}

/// How many other calls are under way: few most of the time.
fn busy(rng: &mut SimRng, most: u64) -> usize {
    let one = rng.number() % most;
    usize::try_from(one * (rng.number() % most) / most).unwrap()
}

const GROWTHS: [Growth; 7] = [
    Growth::None,
    Growth::Doubling,
    Growth::Slowing,
    Growth::Entries,
    Growth::Collected,
    Growth::Leaking(500),
    Growth::Leaking(9000),
];

#[test]
fn equal_revisions_whose_instances_grow_alike_are_not_rolled_back() {
    let wanted = super::super::number("ATOLL_SIM_ROLLOUTS");
    let rollouts = wanted.unwrap_or(300) / 30;
    let (mut runs, mut alarms) = (0, Vec::new());
    for (growth, most_calls) in GROWTHS.into_iter().flat_map(|growth| MOST_CALLS.map(|most| (growth, most))) {
        let run = |seed| run(seed, Told::WithAge, [growth; 2], (most_calls, 5000)).map(|calls| (seed, calls));
        alarms.extend((0..rollouts).filter_map(run).map(|found| (growth, most_calls, found)));
        runs += rollouts;
    }
    println!("{} of {runs} were rolled back", alarms.len());
    // So few runs as there are by themselves cannot show 1 %: they are the same each time, and have none.
    let few = runs < 1000;
    assert!(if few { alarms.is_empty() } else { highest_share(alarms.len() as u64, runs) <= 0.01 }, "{alarms:?}");
}

/// The simulation sees what a judge without ages does: young instances grow, and those of the canary are young.
#[test]
fn a_judge_that_does_not_know_the_ages_rolls_back_equal_revisions() {
    let run = |growth| (0..10).filter_map(|seed| run(seed, Told::WithoutAge, [growth; 2], (1_000_000, 5000))).count();
    let found = [Growth::Slowing, Growth::Entries].map(run);
    println!("{found:?} of 10 each");
    assert!(found.iter().all(|found| *found >= 3), "{found:?}");
}

#[test]
fn a_canary_that_leaks_a_kilobyte_a_call_is_found() {
    let growths = [Growth::None, Growth::Leaking(1024)];
    let run = |seed| run(seed, Told::WithAge, growths, (1000, 10_000)).unwrap_or_else(|| panic!("seed {seed}"));
    let mut calls: Vec<u64> = (0..20).map(run).collect();
    println!("found after {calls:?} calls of the canary");
    assert!(percentile(&mut calls, 95) <= 1500, "{calls:?}");
}
