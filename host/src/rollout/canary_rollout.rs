//! The way of a canary: it begins beside the stable revision, goes from step to step, and is promoted or taken back.

use super::attendance::attend_each;
use super::canary_run::{CanaryRun, NextMove, RolloutOrder, RolloutState, seconds};
use super::deployment::Deployment;
use super::error::SwapError;
use super::plan::CanaryPlan;
use super::shadow_phase::no_shadow;
use super::shadow_run::ShadowRun;
use super::swap::{Rollout, Swapped, does_not_start, report, report_refusal};
use super::wiring::Clients;
use crate::archive::{HistoryEntry, OpenRollout, RolloutOutcome};
use crate::base::{Digest, ServiceName};
use crate::contract::HeldTo;
use crate::mesh::CanaryWatch;
use crate::runtime::Revision;
use crate::verdict::{Coin, Evidence, Judge, RollbackReason};
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, timeout};

/// What an order has led to.
#[derive(Debug, Clone)]
pub enum Begun {
    /// The new revision serves, and has all calls.
    AtOnce(Swapped),
    /// It gets its first calls as a canary.
    Canary(Box<RolloutState>),
}

impl Begun {
    /// What serves now. A canary was not asked for.
    ///
    /// # Errors
    /// It is a canary.
    pub fn at_once(self) -> Result<Swapped, SwapError> {
        match self {
            Self::AtOnce(swapped) => Ok(swapped),
            Self::Canary(_) => Err(SwapError::NotBegun),
        }
    }
}

/// Of a service: the canary under way, and the rollouts that have ended, the last one first.
#[derive(Debug, Clone)]
pub struct RolloutHistory {
    /// The canary under way.
    pub open: Option<RolloutState>,
    /// Those that have ended.
    pub ended: Vec<HistoryEntry>,
    /// The digest of the revision that serves.
    pub serving: Option<Digest>,
    /// The digest of the manifest's component.
    pub manifest: Option<Digest>,
}

/// How an operator ends a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndOrder {
    /// It gets all calls, whatever the judge says.
    Promote {
        /// Also if the revision before cannot read what it has written.
        no_way_back: bool,
    },
    /// It goes.
    RollBack,
    /// It goes, and nobody says that it is bad.
    Abort,
}

/// How long a canary that has to go waits for the disk.
const DISK: Duration = Duration::from_secs(1);

impl Rollout {
    /// Deploys the component in `bytes` as the order says. If it is the one that serves already, nothing changes. A
    /// canary under way ends as superseded when the new component has passed its checks: the last order counts.
    ///
    /// # Errors
    /// [`SwapError`]. Nothing has changed then, and a canary under way goes on.
    pub async fn begin(&self, name: &str, bytes: Bytes, order: RolloutOrder) -> Result<Begun, SwapError> {
        let deployment = &*self.find(name).inspect_err(|error| report_refusal("swap", name, error))?;
        let begun = self.deploy_as_ordered(deployment, bytes, order).await;
        begun.inspect_err(|error| deployment.refused("swap", error))
    }

    /// Replaces the revision of `name` by the component in `bytes` at once: [`Rollout::begin`] without a plan.
    ///
    /// # Errors
    /// As [`Rollout::begin`].
    pub async fn swap(&self, name: &str, bytes: Bytes) -> Result<Swapped, SwapError> {
        let order = RolloutOrder { who: "host".into(), ..RolloutOrder::default() };
        self.begin(name, bytes, order).await.and_then(Begun::at_once)
    }

    async fn deploy_as_ordered(
        &self,
        deployment: &Deployment,
        bytes: Bytes,
        order: RolloutOrder,
    ) -> Result<Begun, SwapError> {
        let mut history = deployment.turn().await?;
        let stable = history.stable.clone();
        if stable.is_none() && !deployment.is_left_out() {
            return Err(SwapError::NoComponent(deployment.spec.name.clone()));
        }
        let id = self.record_intent(deployment, bytes.clone(), &order).await?;
        let begun = match self.prepare_held(deployment, bytes, (Clients::MustNotNotice, order.held)).await {
            Ok(revision) if stable.as_ref().is_some_and(|stable| stable.digest() == revision.digest()) => {
                // It may serve because of a rollback that the disk did not take.
                let serves = self.record_serving(deployment, revision.digest(), history.manifest).await;
                serves.map(|()| Begun::AtOnce(report(&history)))
            }
            // Without a revision that serves there is none to compare a canary with.
            Ok(revision) => match order.plan.clone().zip(stable) {
                None => self.replace(deployment, &mut history, revision, (id, &order)).await.map(Begun::AtOnce),
                Some((plan, stable)) => match no_shadow(deployment, &plan, &revision) {
                    Some(error) => Err(error),
                    None => {
                        // Now, since a canary of which the data cannot be migrated need not begin.
                        if let Err(error) = self.run_migration(deployment, &revision).await {
                            self.forget_intent(deployment, id).await;
                            return Err(error);
                        }
                        self.supersede(deployment, &revision).await;
                        let begun = self.begin_canary(deployment, &stable, revision, (id, plan, order, None)).await;
                        begun.map(Box::new).map(Begun::Canary)
                    }
                },
            },
            Err(error) => Err(error),
        };
        if !matches!(begun, Ok(Begun::Canary(_))) {
            self.forget_intent(deployment, id).await;
        }
        begun
    }

    /// Ends the canary under way, if there is one, since another component takes its place.
    pub(super) async fn supersede(&self, deployment: &Deployment, by: &Revision) {
        let Some(run) = deployment.canary() else { return };
        self.take_back(deployment, &run, RolloutOutcome::Superseded, superseded_by(by.digest())).await;
    }

    /// The same, for rollout `id` of `digest`, which the record has as the next one from the same moment on.
    ///
    /// # Errors
    /// The disk takes nothing: nothing has changed.
    pub(super) async fn supersede_for(
        &self,
        deployment: &Deployment,
        digest: Digest,
        (id, order): (u64, &RolloutOrder),
    ) -> Result<(), SwapError> {
        let Some(run) = deployment.canary() else { return Ok(()) };
        let (outcome, verdict) = (RolloutOutcome::Superseded, superseded_by(digest));
        self.record_successor(deployment, run.entry(outcome, verdict.clone()), digest, (id, order)).await?;
        self.leave_table(deployment, &run, outcome, &verdict);
        Ok(())
    }

    async fn begin_canary(
        &self,
        deployment: &Deployment,
        stable: &Arc<Revision>,
        revision: Arc<Revision>,
        (id, plan, order, resumed): (u64, CanaryPlan, RolloutOrder, Option<OpenRollout>),
    ) -> Result<RolloutState, SwapError> {
        let deadline = std::time::Instant::now() + deployment.spec.replicas.limits.timeout;
        // Warm, both: the first calls would compare the time that it takes to load code.
        for revision in [stable, &revision] {
            revision.ready(&self.runtime, deadline).await.map_err(does_not_start)?;
        }
        let routed = self.routed(deployment, revision.contract())?;
        let in_shadow = plan.shadow.is_some() && resumed.as_ref().is_none_or(|open| open.in_shadow);
        let step =
            resumed.as_ref().and_then(|open| open.step).unwrap_or_default().min(plan.shares.len().saturating_sub(1));
        let began = resumed.as_ref().map_or_else(SystemTime::now, |open| UNIX_EPOCH + Duration::from_secs(open.began));
        let mut judge = Judge::new(plan.max_errors);
        if let Some(open) = &resumed {
            judge.resume(open.evidence.map(Evidence::from_logs));
        }
        let digest = revision.digest();
        let salt = u64::from_le_bytes(std::array::from_fn(|at| digest.0[at]));
        let coin = Coin::new(plan.shares.get(step).copied().unwrap_or(1), rand::random());
        let watch = CanaryWatch::new(coin, judge, plan.sticky.clone(), salt, Arc::clone(&self.wake));
        let pool = in_shadow.then(|| deployment.replay_pool(&self.runtime, &revision));
        let shadow = pool.map(|pool| ShadowRun::begin(&deployment.recorder, pool));
        let run = CanaryRun::new(id, revision, Arc::new(watch), plan, order, (began, step, shadow));
        let run = Arc::new(run);
        // On the disk first: after a crash the canary goes on, or was never there.
        let open = run.to_record();
        self.record(deployment, move |record| record.open = Some(open)).await?;
        match in_shadow {
            true => deployment.begin_shadow(Arc::clone(&run)),
            false => deployment.publish_canary(&self.runtime, &self.registry, Arc::clone(&run), routed),
        }
        self.wake.notify_one();
        let state = run.state();
        let (service, revision) = (&deployment.spec.name, digest.short());
        match in_shadow {
            true => tracing::info!(%service, revision, rollout = id, "a canary is compared in the shadow"),
            false => tracing::info!(%service, revision, rollout = id, share = state.share, "a canary gets calls"),
        }
        Ok(state)
    }

    /// Goes on with a canary that was under way when the host ended. Its evidence is kept, and its step begins anew.
    /// It is new no more: the WIT files may have gone on.
    ///
    /// # Errors
    /// It cannot be resumed. Then the record says that it was aborted.
    pub async fn resume(&self, name: &ServiceName, open: OpenRollout) -> Result<(), SwapError> {
        let deployment = &*self.find(name.as_str())?;
        let order = RolloutOrder {
            plan: CanaryPlan::from_record(&open.plan),
            hold: open.plan.hold,
            no_way_back: open.plan.no_way_back,
            who: open.who.clone(),
            why: open.why.clone(),
            held: HeldTo::Names,
        };
        let begun = self.resume_canary(deployment, &open, &order).await;
        if let Err(error) = &begun {
            let now = seconds(SystemTime::now());
            let entry = HistoryEntry {
                id: open.id,
                digest: open.digest,
                who: open.who,
                why: open.why,
                began: open.began,
                ended: now,
                outcome: RolloutOutcome::Aborted,
                verdict: format!("the host ended meanwhile, and it cannot go on: {error}"),
            };
            self.record_end(deployment, entry).await;
        }
        begun
    }

    async fn resume_canary(
        &self,
        deployment: &Deployment,
        open: &OpenRollout,
        order: &RolloutOrder,
    ) -> Result<(), SwapError> {
        let history = deployment.turn().await?;
        let no_component = || SwapError::NoComponent(deployment.spec.name.clone());
        let stable = history.stable.clone().ok_or_else(no_component)?;
        let plan = order.plan.clone().filter(|_| open.step.is_some());
        if open.digest == stable.digest().to_string() {
            // What is on the disk first is the promotion. The host ended before it could say so.
            let (ended, outcome) = (seconds(SystemTime::now()), RolloutOutcome::Promoted);
            let OpenRollout { id, digest, who, why, began, .. } = open.clone();
            let verdict = "promoted; the host ended before it wrote the verdict".into();
            self.record_end(deployment, HistoryEntry { id, digest, who, why, began, ended, outcome, verdict }).await;
            return Ok(());
        }
        let (plan, digest) = plan.zip(Digest::parse(&open.digest)).ok_or(SwapError::NotBegun)?;
        let bytes = self.on_disk(move |archive| archive.load(&digest)).await?.ok_or(SwapError::NotBegun)?;
        let revision = self.prepare_held(deployment, bytes, (Clients::MustNotNotice, order.held)).await?;
        let begin = (open.id, plan, order.clone(), Some(open.clone()));
        self.begin_canary(deployment, &stable, revision, begin).await.map(drop)
    }

    /// Watches over all canaries: each goes to its next step, is promoted or taken back when it is time. `promoted` is
    /// called after a promotion. It ends when it is dropped.
    ///
    /// A promotion may take minutes, since it migrates data: meanwhile the canaries of other services are judged.
    pub async fn attend(&self, promoted: impl Fn() + Sync) {
        let (promoted, deployments) = (&promoted, || self.deployments());
        let is_wanting = |one: &Deployment| one.canary().is_some() || one.has_due_sweep();
        let wanting = || {
            let all = deployments();
            all.iter().filter(|(_, one)| is_wanting(one)).map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        let next_move = async |name: ServiceName| match self.find(name.as_str()) {
            Ok(deployment) => self.attend_service(&deployment, promoted).await,
            Err(_) => None,
        };
        attend_each(&self.wake, wanting, next_move).await;
    }

    /// Makes the next move of a service, and returns how long the one after it can wait; `None`: there is none.
    async fn attend_service(&self, deployment: &Deployment, promoted: &(impl Fn() + Sync)) -> Option<Duration> {
        let sweep = self.attend_sweep(deployment).await;
        let canary = match deployment.canary() {
            Some(run) => Some(self.attend_one(deployment, &run, promoted).await),
            None => None,
        };
        [sweep, canary].into_iter().flatten().min()
    }

    /// Makes the next move of a canary, and returns how long the one after it can wait.
    async fn attend_one(
        &self,
        deployment: &Deployment,
        run: &Arc<CanaryRun>,
        promoted: &(impl Fn() + Sync),
    ) -> Duration {
        let service = &deployment.spec.name;
        if deployment.canary_fails_checks() {
            let _ends_alone = deployment.history.lock().await;
            let verdict = "none of its endpoints passes the health check, and one of the stable revision does";
            self.take_back(deployment, run, RolloutOutcome::RolledBack, verdict.to_owned()).await;
            return Duration::ZERO;
        }
        match run.next_move(Instant::now()) {
            NextMove::Wait(wait) => {
                let judged = run.watch.judge().report();
                let judged = judged.canary.calls + judged.stable.calls;
                if std::mem::replace(&mut run.progress().recorded, judged) != judged {
                    self.record_progress(deployment, run).await;
                }
                return wait;
            }
            NextMove::Step(step) => {
                run.begin_step(step, Instant::now());
                tracing::info!(%service, rollout = run.id, share = run.plan.shares[step], "a canary gets more calls");
                self.record_progress(deployment, run).await;
            }
            NextMove::Ask => {
                run.progress().asked = true;
                tracing::warn!(
                    %service, rollout = run.id,
                    "a canary has had too few calls for a verdict: `atoll rollout` shows it, promote it or roll it back"
                );
            }
            NextMove::EndShadow if run.plan.shares.is_empty() => self.promote_or_end(deployment, run, promoted).await,
            NextMove::EndShadow => self.end_shadow(deployment, run).await,
            NextMove::Differs => {
                let _ends_alone = deployment.history.lock().await;
                let verdict = "it differs in the shadow".to_owned();
                self.take_back(deployment, run, RolloutOutcome::RolledBack, verdict).await;
            }
            NextMove::RollBack(reason) => self.condemn(deployment, run, reason).await,
            NextMove::Promote => self.promote_or_end(deployment, run, promoted).await,
        }
        Duration::ZERO
    }

    async fn promote_or_end(&self, deployment: &Deployment, run: &Arc<CanaryRun>, promoted: &(impl Fn() + Sync)) {
        match self.promote(deployment, run, None).await {
            Ok(_) => promoted(),
            Err(error) => {
                let verdict = format!("it cannot be promoted: {error}");
                let _ends_alone = deployment.history.lock().await;
                self.take_back(deployment, run, RolloutOutcome::RolledBack, verdict).await;
            }
        }
    }

    async fn condemn(&self, deployment: &Deployment, run: &Arc<CanaryRun>, reason: RollbackReason) {
        let verdict = reason.sentence(&run.watch.judge().report());
        let _ends_alone = deployment.history.lock().await;
        self.take_back(deployment, run, RolloutOutcome::RolledBack, verdict).await;
    }

    /// Writes the end of the canary down, and then takes it out of the table. Nothing happens if it has ended
    /// meanwhile. The caller holds the lock of the history: a promotion that is under way ends first, so one canary has
    /// one end.
    pub(super) async fn take_back(
        &self,
        deployment: &Deployment,
        run: &Arc<CanaryRun>,
        outcome: RolloutOutcome,
        verdict: String,
    ) {
        if !deployment.canary().is_some_and(|own| Arc::ptr_eq(&own, run)) {
            return;
        }
        // On the disk first: if the host ended between the two, a canary that was condemned would get calls again. A
        // disk that hangs must not keep it either: the write goes on behind its back.
        let ended = timeout(DISK, self.record_end(deployment, run.entry(outcome, verdict.clone()))).await;
        if ended.is_err() {
            tracing::error!(service = %deployment.spec.name, "the disk is too slow for the end of a rollout");
        }
        self.leave_table(deployment, run, outcome, &verdict);
    }

    /// Takes a canary out of the table, whose end is written down.
    fn leave_table(&self, deployment: &Deployment, run: &Arc<CanaryRun>, outcome: RolloutOutcome, verdict: &str) {
        if !deployment.end_canary(&self.registry, run) {
            return;
        }
        if outcome == RolloutOutcome::RolledBack {
            deployment.traffic.metrics.rolled_back();
        }
        let (service, revision) = (&deployment.spec.name, run.revision.digest().short());
        tracing::warn!(%service, revision, rollout = run.id, ?outcome, verdict, "a canary was taken back");
    }

    /// Gives all calls to the canary, if the revision before reads what it has written. `by`: who says so, if it was
    /// not the judge, and whether there may be no way back.
    async fn promote(
        &self,
        deployment: &Deployment,
        run: &Arc<CanaryRun>,
        by: Option<(&str, bool)>,
    ) -> Result<Swapped, SwapError> {
        let mut history = deployment.turn().await?;
        let is_under_way = deployment.canary().is_some_and(|own| Arc::ptr_eq(&own, run));
        if !is_under_way {
            return Err(SwapError::NoRollout(deployment.spec.name.clone()));
        }
        let numbers = run.watch.judge().report();
        let way_back = self.way_back(deployment, &history, run, by.is_some_and(|(_, no_way_back)| no_way_back)).await?;
        let revision = Arc::clone(&run.revision);
        let ready = self.run_migration(deployment, &revision).await?;
        let swapped = self.make_stable(deployment, &mut history, (revision, ready), Clients::MustNotNotice).await?;
        deployment.traffic.metrics.swapped();
        swapped.log(deployment, "promoted");
        let numbers = format!("{numbers}; {way_back}");
        let verdict = by.map_or_else(|| numbers.clone(), |(by, _)| format!("promoted by {by}; {numbers}"));
        // Whoever asks for the rollouts finds it under way until it has its entry.
        self.record_end(deployment, run.entry(RolloutOutcome::Promoted, verdict)).await;
        deployment.end_canary(&self.registry, run);
        Ok(swapped)
    }

    /// Ends the canary `id` of a service by an operator's order; `None`: whichever is under way. Returns what serves.
    ///
    /// # Errors
    /// There is no such canary, or it cannot be promoted; then it is as it was.
    pub async fn end(&self, name: &str, id: Option<u64>, order: EndOrder, by: &str) -> Result<Swapped, SwapError> {
        let deployment = &*self.find(name)?;
        let run = deployment.canary().filter(|run| id.is_none_or(|id| run.id == id));
        let run = run.ok_or_else(|| SwapError::NoRollout(deployment.spec.name.clone()))?;
        let outcome = match order {
            EndOrder::Promote { no_way_back } => {
                return self.promote(deployment, &run, Some((by, no_way_back))).await;
            }
            EndOrder::RollBack => RolloutOutcome::RolledBack,
            EndOrder::Abort => RolloutOutcome::Aborted,
        };
        let numbers = run.watch.judge().report();
        let history = deployment.turn().await?;
        if !deployment.canary().is_some_and(|own| Arc::ptr_eq(&own, &run)) {
            return Err(SwapError::NoRollout(deployment.spec.name.clone()));
        }
        self.take_back(deployment, &run, outcome, format!("by {by}; {numbers}")).await;
        Ok(report(&history))
    }

    /// How the manifest wants new revisions of a service to get calls.
    ///
    /// # Errors
    /// There is no such service.
    pub fn plan(&self, name: &str) -> Result<Option<CanaryPlan>, SwapError> {
        self.find(name).map(|deployment| deployment.spec.rollout.clone())
    }

    /// The rollouts of a service.
    ///
    /// # Errors
    /// There is no such service.
    pub fn rollouts(&self, name: &str) -> Result<RolloutHistory, SwapError> {
        let deployment = &*self.find(name)?;
        // First the one under way: if it ends meanwhile, it is among those that have ended.
        let open = deployment.canary().map(|run| run.state());
        let mut ended = match &self.archive {
            Some(archive) => archive.record(&deployment.spec.name).entries,
            None => deployment.ended().clone(),
        };
        ended.reverse();
        let serving = self.serving().get(name).map(|revision| revision.digest());
        let open = open.filter(|open| ended.iter().all(|entry| entry.id != open.id));
        Ok(RolloutHistory { open, ended, serving, manifest: deployment.manifest() })
    }
}

/// The verdict of a canary in whose place `digest` was swapped in.
fn superseded_by(digest: Digest) -> String {
    format!("{} was swapped in meanwhile", digest.short())
}
