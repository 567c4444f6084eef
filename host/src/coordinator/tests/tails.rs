//! The reader of one topic, on a paused clock.

use super::super::WaitedTopic;
use super::super::topic_tail::TopicTail;
use super::waits::MemoryLog;
use crate::events::PayloadType;
use std::collections::BTreeSet;
use std::sync::Arc;

fn tail(log: &Arc<MemoryLog>) -> Arc<TopicTail> {
    let topic = WaitedTopic { name: "paid".into(), payload: PayloadType::Any, log: Arc::clone(log) as _ };
    Arc::new(TopicTail::new(topic, BTreeSet::new(), 0))
}

#[tokio::test(start_paused = true)]
async fn an_end_is_lost_when_the_log_has_said_so_twice() {
    let log = Arc::<MemoryLog>::default();
    log.publish("a", "{}");
    log.publish("b", "{}");
    let tail = tail(&log);
    let reading = tokio::spawn(Arc::clone(&tail).run(|| None));
    assert_eq!(tail.position(None).await, Ok(2));
    reading.abort();
    // One server is behind, and then another one answers.
    *log.left_out.lock().unwrap() = vec![0, 1];
    tail.heed_lost_end().await;
    assert_eq!(tail.position(None).await, Ok(2), "an event from before would count for a saga that begins now");
    *log.left_out.lock().unwrap() = vec![1, 1];
    tail.heed_lost_end().await;
    assert_eq!(tail.position(None).await, Ok(1));
}
