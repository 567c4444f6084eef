//! Removes the events that a topic need not keep.

use super::event_log::{EventLog, LogError, LoggedEvent};
use super::status::Settled;
use crate::events::Topic;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Mutex;
use tokio::time::sleep;

/// The time between two looks at a topic that is within its size.
const EVERY: Duration = Duration::from_secs(10);
/// The time between two looks at a topic that is not.
const HURRY: Duration = Duration::from_millis(250);
/// The most events that go in one commit.
const STEP: usize = 256;

/// Whose turn it is: that of the retention, which removes events, or that of an order that needs them. Who holds the
/// lock has it.
pub(super) type RetentionTurn = Arc<Mutex<()>>;

/// Keeps a topic within its retention. It never returns.
pub(super) async fn keep(topic: Arc<Topic>, log: EventLog, settled: Vec<Settled>, turn: RetentionTurn) {
    loop {
        loop {
            // From the look at what is settled to the commit.
            let _turn = turn.lock().await;
            match drop_some(&topic, &log, &settled).await {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.is_away() => break,
                Err(error) => {
                    let error = error.with_causes();
                    tracing::warn!(target: "delivery", topic = %topic.name, error, "old events could not be removed");
                    break;
                }
            }
        }
        let full = topic.bytes() > topic.retention.size;
        sleep(if full { HURRY } else { EVERY }).await;
    }
}

/// Removes the oldest events that may go, at most [`STEP`]. Returns their number.
pub(super) async fn drop_some(topic: &Topic, log: &EventLog, settled: &[Settled]) -> Result<usize, LogError> {
    // Without a subscription nobody waits for an event, except for sagas.
    let floor = settled.iter().map(Settled::get).min().unwrap_or(u64::MAX).min(topic.needed());
    if floor == 0 {
        return Ok(0);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let oldest = u64::try_from(now.saturating_sub(topic.retention.age).as_millis()).unwrap_or(u64::MAX);
    let mut over = topic.bytes().saturating_sub(topic.retention.size);
    // A damaged event has no time that can be trusted: it goes for want of room, or with a later one that is old.
    let (mut gone, mut waiting, mut bytes, mut after) = (Vec::new(), Vec::new(), 0, 0);
    let mut more = true;
    while more && gone.is_empty() {
        let page = log.after(after, STEP).await?;
        more = page.more && !page.events.is_empty();
        for LoggedEvent { number, record, bytes: size } in page.events {
            let old = record.as_ref().is_ok_and(|record| record.time < oldest);
            if number > floor || (record.is_ok() && !old && over == 0) {
                more = false;
                break;
            }
            after = number;
            waiting.push((number, size));
            if old || over > 0 {
                let size: u64 = waiting.iter().map(|(_, size)| size).sum();
                gone.extend(waiting.drain(..).map(|(number, _)| number));
                over = over.saturating_sub(size);
                bytes += size;
            }
        }
    }
    if !gone.is_empty() {
        log.remove(&gone, bytes).await?;
        topic.dropped(bytes);
    }
    Ok(gone.len())
}
