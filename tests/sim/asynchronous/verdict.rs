//! What must hold on the disk in the end.

use super::disk::SimDisk;
use super::shop::{EFFECTS, service};
use super::world::{Report, Seen, TOPIC};
use host::coordinator::SagaStatus;
use host::state::sequence_prefix;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What always holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invariant {
    Delivered,
    Once,
    Order,
    NoSagaLost,
    Whole,
}

/// An invariant that did not hold.
#[derive(Debug)]
pub struct Broken {
    pub invariant: Invariant,
    pub text: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.text)
    }
}

fn holds(invariant: Invariant, right: bool, text: impl FnOnce() -> String) -> Result<(), Broken> {
    if right { Ok(()) } else { Err(Broken { invariant, text: text() }) }
}

/// Checks the effects of events: `seen.acknowledged` were published, `dead` are dead letters.
pub fn check_events(disk: &SimDisk, seen: &Seen, dead: &BTreeSet<u64>) -> Result<(), Broken> {
    let prefix = sequence_prefix(EFFECTS);
    let entries = disk.bucket(&service("ledger")).into_iter().filter(|(key, _)| key.starts_with(&prefix));
    let effects: Vec<_> = entries.map(|(_, value)| Effect::read(&String::from_utf8(value).unwrap())).collect();
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    for Effect { number, key, .. } in effects.iter().filter(|effect| !effect.key.is_empty()) {
        let before = last.insert(key, *number).unwrap_or(0);
        // One that is there twice is another invariant.
        holds(Invariant::Order, *number >= before, || format!("{number} of {key} came after {before}"))?;
    }
    let mut counts: BTreeMap<u64, u32> = BTreeMap::new();
    effects.iter().for_each(|effect| *counts.entry(effect.id).or_default() += 1);
    for (id, count) in &counts {
        holds(Invariant::Once, *count == 1, || format!("event `{id}` has {count} effects"))?;
    }
    for event in &seen.acknowledged {
        let right = match event.id {
            Some(id) => counts.contains_key(&id) && !dead.contains(&event.number),
            None => dead.contains(&event.number),
        };
        holds(Invariant::Delivered, right, || format!("{event:?} was neither handled nor given up, or both"))?;
    }
    Ok(())
}

/// What a handler has left of an event.
struct Effect {
    number: u64,
    id: u64,
    key: String,
}

impl Effect {
    fn read(text: &str) -> Self {
        let mut parts = text.split(' ');
        let mut next = || parts.next().unwrap();
        let (number, id) = (next().parse().unwrap(), next().parse().unwrap());
        Self { number, id, key: next().to_owned() }
    }
}

/// Checks the sagas: `ended` are those that have ended, by their ids.
pub fn check_sagas(
    disk: &SimDisk,
    seen: &Seen,
    ended: &BTreeMap<String, SagaStatus>,
    report: &mut Report,
) -> Result<(), Broken> {
    for id in &seen.begun {
        holds(Invariant::NoSagaLost, ended.contains_key(id), || format!("{id} was acknowledged and is not there"))?;
    }
    let events = disk.bucket(&service_of_topic()).iter().filter(|(key, _)| key.starts_with(b"event/")).count();
    let by_events = ended.keys().filter(|id| !id.starts_with("own-")).count();
    holds(Invariant::NoSagaLost, by_events == events, || format!("{events} events, and {by_events} sagas of them"))?;
    let steps = ["reserve", "charge", super::shop::LAST_STEP];
    let effects: BTreeSet<_> = disk.bucket(&service("stock")).into_iter().map(|(key, _)| key).collect();
    for (id, status) in ended {
        let there = steps.iter().filter(|step| effects.contains(format!("{step}/buy/{id}").as_bytes())).count();
        let wanted = if status.state == "completed" { steps.len() } else { 0 };
        holds(Invariant::Whole, there == wanted, || format!("{id} is {}, and {there} steps are done", status.state))?;
        match wanted {
            0 => report.compensated += 1,
            _ => report.completed += 1,
        }
    }
    holds(Invariant::Whole, effects.len() == steps.len() * report.completed, || "somebody else's effects".to_owned())
}

fn service_of_topic() -> host::base::ServiceName {
    host::base::ServiceName::of_host_part("topic", TOPIC)
}
