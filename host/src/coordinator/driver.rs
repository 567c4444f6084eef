//! The task of one saga: it calls what comes next, and writes down what came of it.

use super::error::SagaError;
use super::journal::SagaJournal;
use super::live_saga::{LiveSaga, SagaOrder, SharedSagas, WaitingOrder};
use super::performer::{CallEnd, Perform, PlannedCall};
use super::status::{SagaStatus, direction, next_begun};
use super::unix_time::unix_ms;
use crate::saga::{JournalEntry, SagaMove, SagaOutcome, SagaRun, StepDirection};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

/// The pause after a commit that failed, for a full disk or a full queue.
const AFTER_REFUSED_COMMIT: Duration = Duration::from_millis(200);

/// What the task of a saga is given.
pub(super) struct Driver<P> {
    pub(super) shared: Arc<SharedSagas<P>>,
    pub(super) live: Arc<LiveSaga>,
    pub(super) orders: mpsc::Receiver<WaitingOrder>,
    pub(super) stop: watch::Receiver<bool>,
}

/// What comes while a saga pauses, or while a call of it is under way.
pub(super) enum SagaSignal {
    Order(WaitingOrder),
    Late,
    Stop,
}

/// What became of a signal.
pub(super) enum Interruption {
    /// Nothing: what was under way goes on.
    None,
    /// The saga has turned, or goes on otherwise: what comes next has changed.
    Changed,
    /// The host is stopping.
    Stopping,
}

impl<P: Perform> Driver<P> {
    /// Works until the saga has ended or the host stops.
    pub(super) async fn run(mut self) {
        let mut unreached = 0;
        while !*self.stop.borrow() {
            let next = self.live.run(SagaRun::next);
            let is_stopping = match next {
                SagaMove::Begin(step) => !self.write(vec![JournalEntry::Begun { step, at: unix_ms() }]).await,
                SagaMove::Act(step) | SagaMove::Undo(step) => self.call(step, &mut unreached).await,
                SagaMove::Lock => self.lock().await,
                SagaMove::Pause(step, due) => self.pause(step, due).await,
                SagaMove::Await(step, due) => self.await_event(step, due).await,
                SagaMove::Wait => matches!(self.rest(None, None).await, Interruption::Stopping),
                SagaMove::End(outcome) => {
                    self.end(outcome).await;
                    return;
                }
            };
            if is_stopping {
                return;
            }
        }
    }

    /// Calls the function of a step once, and writes what came of it. `true`: the host is stopping.
    async fn call(&mut self, step: usize, unreached: &mut u32) -> bool {
        let direction = self.live.run(direction);
        let Some(call) = self.planned(step, direction) else {
            // A plan has a function for each call of its definition.
            let reason = "the host has no function for this step";
            return !self.write(vec![JournalEntry::failed(step, direction, reason)]).await;
        };
        let (shared, mut stop) = (Arc::clone(&self.shared), self.stop.clone());
        // Not deaf while it waits: a saga whose host stops calls no further step.
        let waited = tokio::select! {
            biased;
            _ = stop.wait_for(|stopping| *stopping) => return true,
            signal = self.signal(direction) => Err(signal),
            permit = shared.permits.acquire() => Ok(permit),
        };
        let _permit = match waited {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return true,
            Err(signal) => return matches!(self.heed(signal).await, Interruption::Stopping),
        };
        let mut performed = pin!(shared.performer.perform(&call));
        let end = loop {
            // Both futures lose nothing when they are dropped. What a signal means is carried out after that, since a
            // commit that is dropped half way may be on disk or not.
            let signal = tokio::select! {
                biased;
                end = &mut performed => break end,
                signal = self.signal(direction) => signal,
            };
            match self.heed(signal).await {
                // The call is cut off: its commits are refused from here on.
                Interruption::Changed => return false,
                Interruption::Stopping => return true,
                Interruption::None => {}
            }
        };
        self.settle(step, direction, end, unreached).await
    }

    fn planned(&self, step: usize, direction: StepDirection) -> Option<PlannedCall> {
        let plan = &self.live.plan;
        let call = plan.definition.call(step, direction)?;
        let is_action = direction == StepDirection::Action;
        Some(PlannedCall {
            service: call.service.clone(),
            at: plan.target(step, direction)?,
            arguments: self.live.run(|run| run.arguments(step, direction)),
            timeout: plan.definition.steps[step].timeout,
            guard: is_action.then(|| SagaJournal::guard(&self.live.id)),
            key: self.live.run(|run| run.key().to_owned()),
            step: Arc::clone(&plan.definition.steps[step].name),
        })
    }

    /// Writes what came of a call, and pauses if it is tried again. `true`: the host is stopping.
    pub(super) async fn settle(
        &mut self,
        step: usize,
        direction: StepDirection,
        end: CallEnd,
        unreached: &mut u32,
    ) -> bool {
        let end = match end {
            // The result of a compensation is not kept.
            CallEnd::Done(result)
                if direction == StepDirection::Action
                    && !self.live.has_room(self.shared.settings.journal, result.len()) =>
            {
                CallEnd::Failed("its result is longer than the rest of the saga's journal".to_owned())
            }
            end => end,
        };
        let (reason, refused) = match end {
            CallEnd::Done(result) => {
                *unreached = 0;
                let entry = match direction {
                    StepDirection::Action => JournalEntry::Done { step, result },
                    StepDirection::Undo => JournalEntry::Undone { step },
                };
                return !self.write(vec![entry]).await;
            }
            CallEnd::NotNow(reason) => {
                *unreached = unreached.saturating_add(1);
                tracing::debug!(target: "saga", id = %self.live.id, step, reason, "a step cannot be called now");
                let pause = self.shared.settings.backoff.pause(*unreached, rand::random());
                return matches!(self.rest(Some(pause), Some(direction)).await, Interruption::Stopping);
            }
            CallEnd::Refused(reason) => (reason, true),
            CallEnd::Failed(reason) => (reason, false),
        };
        *unreached = 0;
        self.live.counts.failures.fetch_add(1, Ordering::Relaxed);
        let turns = direction == StepDirection::Action && refused && self.live.run(|run| run.may_turn(true));
        if turns {
            return !self.write(vec![JournalEntry::turned(&reason)]).await;
        }
        let failed = JournalEntry::failed(step, direction, &reason);
        let exhausted = self.live.run(|run| {
            let mut run = run.clone();
            run.apply(&failed);
            run.is_exhausted() && direction == StepDirection::Action && run.may_turn(false)
        });
        let turned = exhausted.then(|| JournalEntry::turned(&reason));
        if !self.write([Some(failed), turned].into_iter().flatten().collect()).await {
            return true;
        }
        if exhausted {
            return false;
        }
        if self.live.run(SagaRun::next) == SagaMove::Wait {
            tracing::warn!(
                target: "saga", id = %self.live.id, saga = %self.live.plan.definition.name, step, reason,
                "a saga waits for a person: `atoll saga retry`, `skip` or `compensate`"
            );
            return false;
        }
        let tries = self.live.run(|run| run.failures().0);
        let pause = self.shared.settings.backoff.pause(tries, rand::random());
        matches!(self.rest(Some(pause), Some(direction)).await, Interruption::Stopping)
    }

    /// Waits in a step until `due`. `true`: the host is stopping.
    async fn pause(&mut self, step: usize, due: u64) -> bool {
        let left = Duration::from_millis(due.saturating_sub(unix_ms()));
        match self.rest(Some(left), Some(StepDirection::Action)).await {
            Interruption::None => !self.write(vec![JournalEntry::Done { step, result: "null".to_owned() }]).await,
            Interruption::Changed => false,
            Interruption::Stopping => true,
        }
    }

    /// Pauses for so long, or until something else is next. Nothing cuts off a compensation.
    async fn rest(&mut self, time: Option<Duration>, direction: Option<StepDirection>) -> Interruption {
        let mut over = pin!(async {
            match time {
                Some(time) => sleep(time).await,
                None => std::future::pending().await,
            }
        });
        let mut stop = self.stop.clone();
        loop {
            let signal = tokio::select! {
                biased;
                _ = stop.wait_for(|stopping| *stopping) => return Interruption::Stopping,
                signal = self.signal(direction.unwrap_or(StepDirection::Undo)) => signal,
                () = &mut over => return Interruption::None,
            };
            match self.heed(signal).await {
                Interruption::None => {}
                changed => return changed,
            }
        }
    }

    /// Waits for what may change the course of the saga: its deadline, or an operator. Nothing is lost if it is
    /// dropped.
    pub(super) async fn signal(&mut self, direction: StepDirection) -> SagaSignal {
        let deadline =
            self.live.run(|run| (direction == StepDirection::Action && run.may_turn(false)).then(|| run.deadline()));
        let late = async {
            match deadline {
                Some(deadline) => sleep(Duration::from_millis(deadline.saturating_sub(unix_ms()))).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            order = self.orders.recv() => order.map_or(SagaSignal::Stop, SagaSignal::Order),
            () = late => SagaSignal::Late,
        }
    }

    pub(super) async fn heed(&mut self, signal: SagaSignal) -> Interruption {
        match signal {
            SagaSignal::Stop => Interruption::Stopping,
            SagaSignal::Order(order) => self.obey(order).await,
            SagaSignal::Late if self.write(vec![JournalEntry::turned("its deadline has passed")]).await => {
                Interruption::Changed
            }
            SagaSignal::Late => Interruption::Stopping,
        }
    }

    /// Carries out an order.
    async fn obey(&mut self, WaitingOrder { order, answer }: WaitingOrder) -> Interruption {
        let entry = self.live.run(|run| match order {
            SagaOrder::Retry => run.retry(unix_ms()),
            SagaOrder::Skip => run.skip(),
            SagaOrder::Compensate => run.compensate(),
        });
        let (outcome, interruption) = match entry {
            Ok(entry) => match self.write(vec![entry]).await {
                true => (Ok(()), Interruption::Changed),
                false => (Err(SagaError::Stopping), Interruption::Stopping),
            },
            Err(refused) => (Err(refused.into()), Interruption::None),
        };
        // An operator who has gone away needs no answer.
        let _ = answer.send(outcome);
        interruption
    }

    /// Writes entries, and the beginning of the step that follows from them, and takes them when they are on disk.
    /// `false`: the host is stopping.
    pub(super) async fn write(&mut self, mut entries: Vec<JournalEntry>) -> bool {
        let begun = self.live.run(|run| {
            let mut run = run.clone();
            entries.iter().all(|entry| run.apply(entry)).then(|| next_begun(&run, unix_ms())).flatten()
        });
        entries.extend(begun);
        loop {
            let length = self.live.length();
            match self.shared.journal.append(&self.live.id, length, &entries).await {
                Ok(()) => {
                    self.live.take(&entries);
                    return true;
                }
                Err(error) => {
                    tracing::warn!(target: "saga", id = %self.live.id, %error, "a journal is not written: again");
                }
            }
            let mut stop = self.stop.clone();
            tokio::select! {
                _ = stop.wait_for(|stopping| *stopping) => return false,
                () = sleep(AFTER_REFUSED_COMMIT) => {}
            }
        }
    }

    /// Writes the end.
    async fn end(&mut self, outcome: SagaOutcome) {
        let now = unix_ms();
        let status = self.live.run(|run| SagaStatus::at_end(&self.live.id, run, outcome, now));
        let kept = u64::try_from(self.shared.settings.kept.as_millis()).unwrap_or(u64::MAX);
        while let Err(error) = self.shared.journal.end(&status, self.live.length(), now.saturating_add(kept)).await {
            tracing::warn!(target: "saga", id = %self.live.id, %error, "the end of a saga is not written: again");
            let mut stop = self.stop.clone();
            tokio::select! {
                _ = stop.wait_for(|stopping| *stopping) => return,
                () = sleep(AFTER_REFUSED_COMMIT) => {}
            }
        }
        self.shared.ended(&self.live, outcome);
    }
}
