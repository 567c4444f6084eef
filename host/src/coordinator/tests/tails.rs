//! The reader of one topic, on a paused clock.

use super::super::WaitedTopic;
use super::super::topic_tail::TopicTail;
use super::waits::MemoryLog;
use crate::events::PayloadType;
use crate::telemetry::log_of_this_thread;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::sleep;

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

/// Counts the lines of a log.
#[derive(Clone, Default)]
struct LineCount(Arc<AtomicUsize>);

impl std::io::Write for LineCount {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.fetch_add(bytes.iter().filter(|byte| **byte == b'\n').count(), Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn each_time_that_events_cannot_be_read_is_told_once() {
    let (log, lines) = (Arc::<MemoryLog>::default(), LineCount::default());
    let made = Mutex::new(lines.clone());
    let subscriber = tracing_subscriber::fmt().with_writer(move || made.lock().unwrap().clone());
    let _guard = log_of_this_thread(subscriber.finish());
    let reading = tokio::spawn(tail(&log).run(|| None));
    for told in 1..=2 {
        log.is_away.store(true, Ordering::Relaxed);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(lines.0.load(Ordering::Relaxed), told);
        // It is back, and has nothing new.
        log.is_away.store(false, Ordering::Relaxed);
        sleep(Duration::from_secs(5)).await;
    }
    reading.abort();
}
