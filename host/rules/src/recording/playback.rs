//! Answers a guest's questions from a recording, in place of the world.

use super::blob::Blob;
use super::difference::{Difference, MOST_DIFFERENCES, NOTHING, general, outcome_differences, question_differences};
use super::exchange::{RecordedExchange, RecordedQuestion, RecordedReply};
use super::mask_rules::MaskRules;
use super::recording::{RecordedOutcome, Recording};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most keys that are noted as read.
const MOST_READ: usize = 1024;

/// The answer to a question, and when it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlayedAnswer {
    /// The exchange of the recording that it is from.
    exchange: usize,
    /// The answer; `None`: it never comes.
    pub answer: Option<RecordedReply>,
    /// Whether it is there at once.
    pub at_once: bool,
}

/// The guest asked for something that its recording does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("asks for something new: {0}")]
pub struct NewQuestion(pub String);

/// One replay of a recording, from the side of the host.
pub struct Playback {
    recording: Arc<Recording>,
    /// With the secrets of the recording.
    rules: MaskRules,
    /// Which exchanges were used.
    used: Vec<bool>,
    /// Exchanges that were asked for and not answered yet.
    waiting: Vec<usize>,
    /// What is known of each key by what was read and written so far.
    known: BTreeMap<Blob, Option<(Blob, u64)>>,
    differences: Vec<Difference>,
    /// Keys that were handed out with a value, in their order.
    read: Vec<Blob>,
    stopped: Option<NewQuestion>,
    /// How many of the recorded times, ticks and random bytes were given.
    times: usize,
    ticks: usize,
    random: usize,
    insecure: usize,
    spans: usize,
    /// How often it asked for more of them than the recording has.
    more: usize,
}

/// How a replay has gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaybackReport {
    /// What differs, in the order in which it showed; at most 32.
    pub differences: Vec<Difference>,
    /// What the guest asked for that was not recorded. Then it was stopped there, and its outcome says nothing.
    pub stopped: Option<String>,
    /// The outcome of the replay; `None`: it was stopped.
    pub outcome: Option<RecordedOutcome>,
    /// The keys of its data that the guest has read and found, in the order in which it did; at most 1,024.
    pub read: Vec<Blob>,
}

impl PlaybackReport {
    /// Whether the replay did what was recorded.
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty() && self.stopped.is_none()
    }
}

impl Playback {
    /// A replay that has not begun.
    pub fn new(recording: Arc<Recording>, rules: &MaskRules) -> Self {
        let used = vec![false; recording.exchanges.len()];
        let rules = rules.with_secrets_of(&recording);
        Self {
            recording,
            rules,
            used,
            waiting: Vec::new(),
            known: BTreeMap::new(),
            differences: Vec::new(),
            read: Vec::new(),
            stopped: None,
            times: 0,
            ticks: 0,
            random: 0,
            insecure: 0,
            spans: 0,
            more: 0,
        }
    }

    /// The time, in nanoseconds since 1970. After the last recorded one time stands still.
    pub fn time(&mut self) -> u64 {
        let times = &self.recording.inputs.times;
        next(times, &mut self.times, &mut self.more).copied().unwrap_or(self.recording.began.saturating_mul(1_000_000))
    }

    /// The clock that never goes back. After the last recorded reading it stands still.
    pub fn ticks(&mut self) -> u64 {
        next(&self.recording.inputs.ticks, &mut self.ticks, &mut self.more).copied().unwrap_or_default()
    }

    /// The place in a trace that the guest asks for. After the last recorded one there is none.
    pub fn span(&mut self) -> Option<String> {
        next(&self.recording.inputs.spans, &mut self.spans, &mut self.more).cloned()
    }

    /// Fills `bytes` with the next random ones; `quick`: those of the interface for quick ones. What is not recorded
    /// is made from the recording alone, so that each replay gets the same.
    pub fn random(&mut self, bytes: &mut [u8], quick: bool) {
        let given = &self.recording.inputs;
        let (lane, at) = if quick { (&given.insecure, &mut self.insecure) } else { (&given.random, &mut self.random) };
        match lane.get(*at) {
            Some(recorded) if recorded.len() == bytes.len() => {
                bytes.copy_from_slice(recorded.bytes());
                *at += 1;
            }
            _ => {
                self.more += 1;
                let mut seed = self.recording.began ^ (self.more as u64) << 32;
                for byte in bytes {
                    seed = splitmix(seed);
                    *byte = (seed >> 56) as u8;
                }
            }
        }
    }

    /// The seed for hash tables.
    pub fn seed(&self) -> u128 {
        let seed = self.recording.inputs.seed.as_ref().and_then(|seed| seed.bytes().try_into().ok());
        seed.map_or(u128::from(self.recording.began), u128::from_le_bytes)
    }

    /// The answer to `question`.
    ///
    /// # Errors
    /// Nothing of the kind was recorded: the guest is stopped. Then every further question is refused alike.
    pub fn ask(&mut self, question: &RecordedQuestion) -> Result<PlayedAnswer, NewQuestion> {
        if let Some(stopped) = &self.stopped {
            return Err(stopped.clone());
        }
        let exchanges = &self.recording.exchanges;
        let free = |at: &usize| !self.used[*at];
        let same = (0..exchanges.len()).filter(free).find(|at| exchanges[*at].question == *question);
        if let Some(at) = same.or_else(|| self.next_commit(question)) {
            return Ok(self.play(at, question));
        }
        if let Some(answer) = self.assembled(question) {
            self.note_read(question, &answer);
            return Ok(PlayedAnswer { exchange: usize::MAX, answer: Some(answer), at_once: true });
        }
        if let Some(at) = self.near(question) {
            self.note(at, question);
        }
        let stopped = self.new_question(question);
        Err(self.stopped.insert(stopped).clone())
    }

    /// The guest cannot go on after this question.
    pub fn stop(&mut self, question: &RecordedQuestion) {
        if self.stopped.is_none() {
            self.stopped = Some(self.new_question(question));
        }
    }

    fn new_question(&self, question: &RecordedQuestion) -> NewQuestion {
        NewQuestion(self.rules.name_without_secrets(&question.in_words()))
    }

    /// Whether the guest has asked for something that was not recorded.
    pub fn is_stopped(&self) -> bool {
        self.stopped.is_some()
    }

    /// The next commit that was recorded, for one that writes something else: its answer says no more than that it
    /// was made.
    fn next_commit(&self, question: &RecordedQuestion) -> Option<usize> {
        if !matches!(question, RecordedQuestion::Commit(_)) {
            return None;
        }
        let is_commit = |exchange: &RecordedExchange| matches!(exchange.question, RecordedQuestion::Commit(_));
        (0..self.used.len()).find(|at| !self.used[*at] && is_commit(&self.recording.exchanges[*at]))
    }

    /// The recorded question that this one stands in place of, as far as one can tell.
    fn near(&self, question: &RecordedQuestion) -> Option<usize> {
        let alike = |one: &RecordedQuestion| match (one, question) {
            (RecordedQuestion::Call { function: one, .. }, RecordedQuestion::Call { function, .. }) => one == function,
            (RecordedQuestion::Http { address: one, .. }, RecordedQuestion::Http { address, .. }) => one == address,
            _ => false,
        };
        (0..self.used.len()).find(|at| !self.used[*at] && alike(&self.recording.exchanges[*at].question))
    }

    /// Reads that were not recorded together, but each of whose keys is known.
    fn assembled(&self, question: &RecordedQuestion) -> Option<RecordedReply> {
        let RecordedQuestion::Get { keys } = question else { return None };
        let values = keys.iter().map(|key| self.known.get(key).cloned());
        values.collect::<Option<Vec<_>>>().map(RecordedReply::Values)
    }

    fn play(&mut self, at: usize, question: &RecordedQuestion) -> PlayedAnswer {
        self.used[at] = true;
        self.note(at, question);
        let RecordedExchange { answer, at_once, .. } = self.recording.exchanges[at].clone();
        self.learn(question, answer.as_ref());
        if let Some(answer) = &answer {
            self.note_read(question, answer);
        }
        if !at_once && answer.is_some() {
            self.waiting.push(at);
        }
        PlayedAnswer { exchange: at, answer, at_once }
    }

    fn note(&mut self, at: usize, question: &RecordedQuestion) {
        let found = question_differences(&self.recording.exchanges[at].question, question, &self.rules);
        self.differences.extend(found);
        self.differences.truncate(MOST_DIFFERENCES);
    }

    /// Notes the keys that the guest finds.
    fn note_read(&mut self, question: &RecordedQuestion, answer: &RecordedReply) {
        match (question, answer) {
            (RecordedQuestion::Get { keys }, RecordedReply::Values(values)) => {
                let found = keys.iter().zip(values).filter(|(_, value)| value.is_some());
                self.read.extend(found.map(|(key, _)| key.clone()));
            }
            (_, RecordedReply::Page { entries, .. }) => self.read.extend(entries.iter().map(|(key, ..)| key.clone())),
            _ => {}
        }
        self.read.truncate(MOST_READ);
    }

    fn learn(&mut self, question: &RecordedQuestion, answer: Option<&RecordedReply>) {
        match (question, answer) {
            (RecordedQuestion::Get { keys }, Some(RecordedReply::Values(values))) => {
                self.known.extend(keys.iter().cloned().zip(values.iter().cloned()));
            }
            (_, Some(RecordedReply::Page { entries, .. })) => {
                let entry = |(key, value, version): &(Blob, Blob, u64)| (key.clone(), Some((value.clone(), *version)));
                self.known.extend(entries.iter().map(entry));
            }
            (RecordedQuestion::Commit(commit), Some(RecordedReply::Change { version, .. })) => {
                let write =
                    |(key, value): &(Blob, Option<Blob>)| (key.clone(), value.clone().map(|value| (value, *version)));
                self.known.extend(commit.writes.iter().map(write));
            }
            _ => {}
        }
    }

    /// Whether an answer may arrive now: those of the questions that wait arrive in the order of the recording.
    pub fn is_due(&self, answer: &PlayedAnswer) -> bool {
        let order = |at: usize| self.recording.exchanges[at].order;
        answer.at_once || self.waiting.iter().all(|other| order(*other) >= order(answer.exchange))
    }

    /// The answer has arrived, or its question was given up.
    pub fn arrived(&mut self, answer: &PlayedAnswer) {
        self.waiting.retain(|other| *other != answer.exchange);
    }

    /// How it has gone, with the outcome that the guest came to.
    pub fn report(&self, outcome: RecordedOutcome) -> PlaybackReport {
        let mut differences = self.differences.clone();
        if let Some(stopped) = &self.stopped {
            return PlaybackReport {
                differences,
                stopped: Some(stopped.to_string()),
                outcome: None,
                read: self.read.clone(),
            };
        }
        for (at, exchange) in self.recording.exchanges.iter().enumerate() {
            if !self.used[at] && exchange.question.is_effect() {
                let what = exchange.question.in_words();
                differences.push(Difference::new(&self.rules, &general(&what), what, NOTHING));
            }
        }
        differences.extend(outcome_differences(&self.recording.outcome, &outcome, &self.rules));
        differences.truncate(MOST_DIFFERENCES);
        PlaybackReport { differences, stopped: None, outcome: Some(outcome), read: self.read.clone() }
    }
}

/// The next item of a lane; its last one when there are no more.
fn next<'a, T>(lane: &'a [T], at: &mut usize, more: &mut usize) -> Option<&'a T> {
    match lane.get(*at) {
        Some(item) => {
            *at += 1;
            Some(item)
        }
        None => {
            *more += 1;
            lane.last()
        }
    }
}

/// A step of SplitMix64 (Steele, Lea and Flood, 2014).
fn splitmix(state: u64) -> u64 {
    let mut mixed = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
