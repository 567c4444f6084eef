//! What a saga waits for before it goes on: its lock, and the events of its steps.

use super::driver::{Driver, Interruption};
use super::live_saga::lock_holder;
use super::performer::{CallEnd, Perform};
use super::topic_tail::{FoundEvent, SoughtEvent, TopicTail};
use super::unix_time::unix_ms;
use crate::saga::{JournalEntry, StepDirection};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// The end of a wait.
enum WaitEnd<T> {
    /// What it waited for is there.
    Come(T),
    /// Its time is over.
    Late,
    /// Something else is next.
    Changed,
    /// The host is stopping.
    Stopping,
}

impl<P: Perform> Driver<P> {
    /// Waits for the saga's lock, and writes that it has it. `true`: the host is stopping.
    pub(super) async fn lock(&mut self) -> bool {
        let id = self.live.id.clone();
        let wanted = self.live.run(|run| Some((lock_holder(&id, run, 0)?, run.definition().lock.as_ref()?.expires)));
        let (Some((holder, expires)), Some(thing)) = (wanted, self.live.locked_thing()) else {
            // The move is that of a saga with a lock alone.
            return true;
        };
        let shared = Arc::clone(&self.shared);
        match self.wait_for(shared.locks.wait(&thing, holder, expires), None).await {
            WaitEnd::Come(at) => !self.write(vec![JournalEntry::Locked { at }]).await,
            WaitEnd::Late | WaitEnd::Changed => false,
            WaitEnd::Stopping => true,
        }
    }

    /// Waits for the event of a step until `due`, and writes what has come. `true`: the host is stopping.
    pub(super) async fn await_event(&mut self, step: usize, due: Option<u64>) -> bool {
        let (tail, sought) = match self.sought(step) {
            Ok(sought) => sought,
            Err(reason) => return self.settle(step, StepDirection::Action, CallEnd::Refused(reason), &mut 0).await,
        };
        // What was there already counts, however late it is now: the host may have been down.
        let there = async {
            tail.live().await;
            tail.look(sought).await
        };
        let end = match self.wait_for(there, None).await {
            WaitEnd::Come(Some(found)) => WaitEnd::Come(found),
            WaitEnd::Come(None) => {
                self.live.watches(step);
                self.wait_for(tail.find(sought), due).await
            }
            WaitEnd::Late | WaitEnd::Changed => WaitEnd::Changed,
            WaitEnd::Stopping => WaitEnd::Stopping,
        };
        match end {
            WaitEnd::Come(FoundEvent { number, payload }) => {
                if !self.live.has_room(self.shared.settings.journal, payload.len()) {
                    let reason = "the event's payload is longer than the rest of the saga's journal".to_owned();
                    return self.settle(step, StepDirection::Action, CallEnd::Refused(reason), &mut 0).await;
                }
                !self.write(vec![JournalEntry::Received { step, event: number, result: payload }]).await
            }
            WaitEnd::Late => {
                let topic = self.live.plan.definition.wait(step).map(|wait| Arc::clone(&wait.topic));
                let reason = format!("no event of `{}` has come in time", topic.as_deref().unwrap_or_default());
                self.settle(step, StepDirection::Action, CallEnd::Refused(reason), &mut 0).await
            }
            WaitEnd::Changed => false,
            WaitEnd::Stopping => true,
        }
    }

    /// What a step waits for, and the reader of its topic. `Err`: why no event can be the one.
    fn sought(&self, step: usize) -> Result<(Arc<TopicTail>, SoughtEvent), String> {
        let plan = &self.live.plan;
        let wait = plan.definition.wait(step).ok_or("the step waits for no event")?;
        let tail = self.shared.tails.get(&wait.topic).ok_or("the host does not read the topic of this step")?;
        let form = tail.form(&wait.form()).ok_or("the host does not look for such events")?;
        let (values, after) = self.live.run(|run| (run.awaited(step), run.follows(&wait.topic)));
        let mark = plan.mark(step, &values)?.ok_or("what the event must have is absent")?;
        Ok((Arc::clone(tail), SoughtEvent { form, mark, after: after.unwrap_or(0) }))
    }

    /// Waits for `what`, until `due`. An operator or the deadline of the saga may come first. It must lose nothing when
    /// it is dropped.
    async fn wait_for<T>(&mut self, what: impl Future<Output = T>, due: Option<u64>) -> WaitEnd<T> {
        let (mut what, mut stop) = (pin!(what), self.stop.clone());
        let mut late = pin!(async {
            match due {
                Some(due) => sleep(Duration::from_millis(due.saturating_sub(unix_ms()))).await,
                None => std::future::pending().await,
            }
        });
        loop {
            let signal = tokio::select! {
                biased;
                _ = stop.wait_for(|stopping| *stopping) => return WaitEnd::Stopping,
                come = &mut what => return WaitEnd::Come(come),
                signal = self.signal(StepDirection::Action) => signal,
                () = &mut late => return WaitEnd::Late,
            };
            match self.heed(signal).await {
                Interruption::None => {}
                Interruption::Changed => return WaitEnd::Changed,
                Interruption::Stopping => return WaitEnd::Stopping,
            }
        }
    }
}
