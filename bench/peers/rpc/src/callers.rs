//! Callers that each make one call after the other.

use std::time::{Duration, Instant};

/// Calls between two readings of the clock, as those of the guest that Atoll's calls are timed in.
const BATCH: u32 = 100;

/// How many callers, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    pub callers: u32,
    pub seconds: u64,
}

/// What the callers saw: calls a second, and the median of the batches' microseconds for a call.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    pub rate: f64,
    pub p50: f64,
}

/// Calls by all callers at a time.
pub async fn all<C, F>(extent: Extent, call: C) -> anyhow::Result<Seen>
where
    C: Fn() -> F + Clone + Send + 'static,
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let start = Instant::now();
    let end = start + Duration::from_secs(extent.seconds);
    let tasks: Vec<_> = (0..extent.callers).map(|_| tokio::spawn(one(end, call.clone()))).collect();
    let mut batches = Vec::new();
    for task in tasks {
        batches.extend(task.await??);
    }
    let seconds = start.elapsed().as_secs_f64();
    batches.sort_by(f64::total_cmp);
    let calls = batches.len() as f64 * f64::from(BATCH);
    Ok(Seen { rate: calls / seconds, p50: batches[batches.len() / 2] })
}

/// The microseconds for a call in each batch.
async fn one<C, F>(end: Instant, call: C) -> anyhow::Result<Vec<f64>>
where
    C: Fn() -> F + Send,
    F: Future<Output = anyhow::Result<()>> + Send,
{
    let mut batches = Vec::new();
    loop {
        let start = Instant::now();
        if start >= end && !batches.is_empty() {
            return Ok(batches);
        }
        for _ in 0..BATCH {
            call().await?;
        }
        batches.push(start.elapsed().as_secs_f64() * 1e6 / f64::from(BATCH));
    }
}
