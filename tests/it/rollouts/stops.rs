//! Hosts that end themselves as by `kill -9` at each moment of each write of the history: before it, in its middle, and
//! right after it. After a restart, which is killed alike, the record explains what serves, and what was taken back
//! never serves again.
//!
//! A story takes revisions through all phases. Between two writes of the record the disk stays as it is, so a kill at
//! any other moment, as in the warm phase, leaves what one of these leaves.
//!
//! `ATOLL_ROLLOUT_STOPS=1` tries all moments of the story, and n each nth one.

use super::*;
use host::archive::{OpenRollout, RolloutOutcome, ServiceRecord};
use host::base::Digest;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;

/// Of the story. A stop of one moment in so many, coprime to the three moments of a write, sees all three.
const USUAL: usize = 17;
/// The stable revision serves by its manifest's plan at once, so that the story chooses the way of each rollout.
const PLAN: &str = "retry = { tries = 0 }\n\n[history]\nrevisions = 100";
/// A canary that stays until it is told what to do.
const HELD: &str = "?canary=50%25&hold=true";
/// A canary that goes through all phases by itself.
const WHOLE: &str = "?shadow_ms=1000&canary=20%25,50%25&step_ms=1000&calls=1";

/// What clients of a host know, whatever becomes of it.
struct Ledger {
    /// The revisions of the story by their digests.
    conducts: BTreeMap<String, String>,
    /// Those of which a client was told that they were taken back.
    gone: BTreeSet<String>,
    /// What may serve as the stable revision: one, and another one while an order is not answered.
    stable: BTreeSet<String>,
}

impl Ledger {
    fn new() -> Self {
        let manifest = Digest::of(&fs::read(component("fixture-fickle")).unwrap()).to_string();
        let conducts = BTreeMap::from([(manifest, STABLE.to_owned())]);
        Self { conducts, gone: BTreeSet::new(), stable: BTreeSet::from([STABLE.to_owned()]) }
    }

    /// A revision of the story.
    fn revision(&mut self, traps: u32, mark: char) -> (String, Bytes) {
        let (conduct, bytes) = revision(traps, 0, mark);
        self.conducts.insert(Digest::of(&bytes).to_string(), conduct.clone());
        (conduct, bytes)
    }

    /// Only this serves as the stable revision from now on.
    fn serves(&mut self, conduct: &str) {
        self.stable = BTreeSet::from([conduct.to_owned()]);
    }
}

/// A client of a host that may be gone at any moment: then an answer is `None`.
struct Client<'a> {
    http: &'a Http,
    atoll: &'a Atoll,
}

impl Client<'_> {
    /// Orders something, which has to succeed.
    async fn order(&self, path: &str, body: Bytes) -> Option<()> {
        let url = format!("{}/v1/services/fickle/{path}", self.atoll.admin);
        let request = Request::post(url).header("content-type", "application/wasm");
        let answer = self.http.try_send(request.body(Full::from(body)).unwrap()).await.ok()?;
        assert_eq!(answer.status, 200, "{path}: {:?}", answer.body);
        Some(())
    }

    async fn call(&self) -> Option<Answer> {
        let url = format!("{}/http", self.atoll.gateway);
        self.http.try_send(Request::get(url).body(Full::default()).unwrap()).await.ok()
    }

    /// Calls until the last rollout has this phase.
    async fn call_until(&self, phase: &str) -> Option<()> {
        let url = format!("{}/v1/services/fickle/rollouts", self.atoll.admin);
        let found = eventually(phase, async || {
            let called = self.call().await;
            let rollouts = self.http.try_send(Request::get(&url).body(Full::default()).unwrap()).await;
            let (Some(_), Ok(rollouts)) = (called, rollouts) else { return Some(None) };
            (rollouts.json()["rollouts"][0]["phase"] == phase).then_some(Some(()))
        });
        found.await
    }
}

/// All that may become of a revision. `None`: the host has ended.
async fn story(client: &Client<'_>, ledger: &mut Ledger) -> Option<()> {
    // Aborted in the shadow.
    let (conduct, bytes) = ledger.revision(0, 'b');
    client.order("rollouts?shadow_ms=86400000&canary=50%25", bytes).await?;
    client.call().await?;
    client.order("rollouts/current/abort", Bytes::new()).await?;
    ledger.gone.insert(conduct);
    // Taken back as a canary.
    let (conduct, bytes) = ledger.revision(0, 'c');
    client.order(&format!("rollouts{HELD}"), bytes).await?;
    client.call().await?;
    client.order("rollouts/current/rollback", Bytes::new()).await?;
    ledger.gone.insert(conduct);
    // Superseded by one that gets all calls at once.
    let (superseded, bytes) = ledger.revision(0, 'd');
    client.order(&format!("rollouts{HELD}"), bytes).await?;
    let (conduct, bytes) = ledger.revision(0, 'e');
    ledger.stable.insert(conduct.clone());
    client.order("rollouts?now=true", bytes).await?;
    ledger.gone.insert(superseded);
    ledger.serves(&conduct);
    // The way back.
    ledger.stable.insert(STABLE.to_owned());
    client.order("rollback", Bytes::new()).await?;
    ledger.gone.insert(conduct);
    ledger.serves(STABLE);
    // Through the shadow and two steps to the promotion.
    let (conduct, bytes) = ledger.revision(0, 'f');
    ledger.stable.insert(conduct.clone());
    client.order(&format!("rollouts{WHOLE}"), bytes).await?;
    client.call_until("promoted").await?;
    ledger.serves(&conduct);
    // Taken back by the judge.
    let (bad, bytes) = ledger.revision(100, 'g');
    client.order("rollouts?canary=50%25", bytes).await?;
    client.call_until("rolled-back").await?;
    ledger.gone.insert(bad);
    // Promoted by order, and so is the one after it, at once.
    let (promoted, bytes) = ledger.revision(0, 'h');
    client.order(&format!("rollouts{HELD}"), bytes).await?;
    ledger.stable.insert(promoted.clone());
    client.order("rollouts/current/promote", Bytes::new()).await?;
    ledger.serves(&promoted);
    let (conduct, bytes) = ledger.revision(0, 'i');
    ledger.stable.insert(conduct.clone());
    client.order("rollouts?now=true", bytes).await?;
    ledger.serves(&conduct);
    Some(())
}

fn record_file(home: &Home) -> PathBuf {
    home.folder.path().join(".atoll/history/services/fickle.json")
}

/// What is on the disk. It is whole, whenever the host has ended.
fn record(home: &Home) -> ServiceRecord {
    match fs::read(record_file(home)) {
        Ok(text) => serde_json::from_slice(&text).unwrap(),
        Err(_) => ServiceRecord::default(),
    }
}

/// Starts the host, which ends at this moment of its writes; `None`: it was killed before it listened.
async fn start(home: &Home, moment: usize) -> Option<Atoll> {
    home.start_or_kill(&[("ATOLL_TEST_HISTORY_STOP", &moment.to_string())]).await
}

/// Starts the host after it was killed, and kills it at each moment of what it writes then.
async fn restart(home: &Home) -> Atoll {
    for moment in 1.. {
        if let Some(atoll) = start(home, moment).await {
            atoll.kill().await;
            break;
        }
        assert!(moment < 30, "a start writes a few times");
    }
    home.start().await
}

/// The rollout that was under way, as it has to be after the restart.
fn phase_of(open: &OpenRollout, serves: &str) -> &'static str {
    match open {
        // What was on the disk first is the promotion.
        open if open.digest == serves => "promoted",
        OpenRollout { step: None, .. } => "aborted",
        OpenRollout { in_shadow: true, .. } => "shadow",
        OpenRollout { .. } => "canary",
    }
}

/// Looks whether `record`, which was on the disk when the host ended, explains what serves now.
async fn explains(record: &ServiceRecord, ledger: &Ledger, client: &Client<'_>, what: &str) {
    let manifest = ledger.conducts.iter().find(|(_, conduct)| *conduct == STABLE).map(|(digest, _)| digest).unwrap();
    let serves = record.promoted.as_ref().map_or(manifest, |promoted| &promoted.digest);
    let conduct = &ledger.conducts[serves];
    assert!(ledger.stable.contains(conduct), "{what}: {conduct} is none of {:?}", ledger.stable);
    let url = format!("{}/v1/services/fickle/rollouts", client.atoll.admin);
    let rollouts = client.http.get(&url).await.json()["rollouts"].as_array().unwrap().clone();
    let mut may_answer = BTreeSet::from([conduct.clone()]);
    if let Some(open) = &record.open {
        let now = rollouts.iter().find(|one| one["id"] == open.id).unwrap_or_else(|| panic!("{what}: {rollouts:?}"));
        let phase = phase_of(open, serves);
        assert_eq!((&now["phase"], &now["digest"]), (&phase.into(), &open.digest.clone().into()), "{what}: {now}");
        if phase == "canary" {
            may_answer.insert(ledger.conducts[&open.digest].clone());
            let share = open.plan.shares[open.step.unwrap()];
            assert_eq!(now["canary"]["share"], share, "{what}: {now}");
        }
    }
    // Whatever serves in place of the manifest's has an entry that says who wanted it.
    if serves != manifest {
        let is_told = |one: &Value| one["digest"] == serves.as_str() && one["phase"] == "promoted";
        assert!(rollouts.iter().any(is_told), "{what}: nothing tells of {conduct}: {rollouts:?}");
    }
    let ended = record.entries.iter().filter(|entry| entry.outcome != RolloutOutcome::Promoted);
    let taken_back = ended.map(|entry| ledger.conducts[&entry.digest].clone());
    let never: BTreeSet<String> = taken_back.chain(ledger.gone.iter().cloned()).collect();
    for _ in 0..40 {
        let answer = client.call().await.expect("the host serves");
        if answer.status != 200 {
            // The canary that crashes has no other answer.
            assert!(may_answer.iter().any(|conduct| conduct.starts_with("traps-100")), "{what}: {answer:?}");
            continue;
        }
        let body = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(may_answer.contains(&body), "{what}: {body} answers, and not {may_answer:?}");
        assert!(!never.contains(&body), "{what}: {body} was taken back");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(debug_assertions), ignore = "a release build has no such stops")]
async fn a_kill_between_any_two_writes_of_the_record_leaves_what_it_explains() {
    let (each, http) = (number("ATOLL_ROLLOUT_STOPS", USUAL), Http::default());
    let mut stops = 0;
    for moment in (1..).step_by(each) {
        let home = Home::new(&manifest(PLAN));
        // The manifest's component is kept by the first start: the moments are those of the story.
        home.start().await.kill().await;
        let mut ledger = Ledger::new();
        let mut atoll = start(&home, moment).await.expect("nothing is written by a start that has nothing to do");
        if story(&Client { http: &http, atoll: &atoll }, &mut ledger).await.is_some() {
            break;
        }
        let status = atoll.wait().await;
        assert_eq!(status.signal(), Some(9), "moment {moment}: {status}");
        stops += 1;
        let record = record(&home);
        let atoll = restart(&home).await;
        let client = Client { http: &http, atoll: &atoll };
        let what = format!("moment {moment}, with the record {}", serde_json::to_string(&record).unwrap());
        explains(&record, &ledger, &client, &what).await;
        // What goes on can be ended as if nothing had been.
        if record.open.is_some() && last(&http, &atoll).await["ended"].is_null() {
            let answer = end(&http, &atoll, "abort").await;
            // The judge may have been faster with the one that crashes.
            assert!(answer.status == 200 || answer.status == 404, "{what}: {answer:?}");
            assert!(last(&http, &atoll).await["ended"].is_u64(), "{what}");
        }
    }
    println!("the host was ended at {stops} moments, one in {each}");
    // The story writes some 45 times.
    assert!(stops * each > 90, "the story was ended at {stops} moments");
}
