//! A topic whose log moves: from this host to a broker, or back. Numbers of one log mean nothing in the other.

use super::error::DeliveryError;
use super::event_log::{counted, page};
use super::notes::Notes;
use super::outbox::Outbox;
use super::subscription::Subscription;
use crate::events::Topic;
use crate::state::{Change, Store, Transaction, sequence_key};

/// The most events that go in one commit.
const STEP: usize = 256;

/// Makes the bucket of a topic what the manifest wants: the outbox of a broker, or the log. Nothing that a subscription
/// has not settled may be there, and no dead letter. `absent`: the topic has a subscriber that cannot be asked.
///
/// It is done in steps that a crash may cut off: each start goes on.
pub(super) async fn change_log(
    store: &Store,
    topic: &Topic,
    subscriptions: &[&Subscription],
    absent: bool,
) -> Result<(), DeliveryError> {
    let (outbox, name) = (Outbox::new(store, topic), &topic.name);
    let to_broker = topic.outbox().is_some();
    if outbox.text(Outbox::ORIGIN).await?.is_some() == to_broker {
        return Ok(());
    }
    let (last, bytes) = counted(outbox.bucket()).await?;
    let refuse = |text: String| Err(DeliveryError::LogStays(text));
    if !to_broker && bytes > 0 {
        return refuse(format!("events of `{name}` wait for the broker: start with `broker` until they are there"));
    }
    if absent && last > 0 {
        return refuse(format!("a subscriber of `{name}` is left out, and nobody knows what it has not settled"));
    }
    for subscription in subscriptions {
        let (service, notes) = (&subscription.service, Notes::new(store, subscription).load().await?);
        let settled = notes.progress.map_or(0, |progress| progress.floor());
        if notes.dead > 0 {
            return refuse(format!("`{service}` has dead letters of `{name}`: send them again or erase them first"));
        }
        if to_broker && bytes > 0 && settled < last {
            let open = last - settled;
            return refuse(format!(
                "`{service}` has not settled {open} events of `{name}` in the embedded log, whose numbers no broker \
                 can keep: start without `broker` until its lag is 0"
            ));
        }
    }
    loop {
        let events = page(outbox.bucket(), 0, STEP).await?.events;
        if events.is_empty() {
            break;
        }
        let gone = events.iter().map(|event| event.bytes).sum();
        let mut writes: Vec<_> =
            events.iter().map(|event| (sequence_key(Topic::COUNTER, event.number), Change::Delete)).collect();
        writes.push((Topic::GONE.to_vec(), Change::Add(gone)));
        outbox.bucket().commit(Transaction { writes, ..Transaction::default() }).await?;
    }
    for subscription in subscriptions {
        store.erase(&subscription.notes()).await?;
    }
    let origin = if to_broker { Change::Put(format!("{:016x}", rand::random::<u64>()).into()) } else { Change::Delete };
    let writes = vec![(Outbox::ORIGIN.to_vec(), origin), (Outbox::MARK.to_vec(), Change::Delete)];
    outbox.bucket().commit(Transaction { writes, ..Transaction::default() }).await?;
    tracing::info!(target: "delivery", topic = %name, to_broker, "the log of a topic has moved");
    Ok(())
}
