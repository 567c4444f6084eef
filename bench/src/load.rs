//! A closed-loop load: each client starts its next operation when it has the answer to the last one.

use anyhow::Context;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long clients work before the measurement, so that connections exist and instances and pages are warm.
const WARM_UP: Duration = Duration::from_millis(300);

/// A client.
pub(crate) trait Client: Send + 'static {
    /// Does one operation and waits for its answer.
    fn act(&mut self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// Runs the clients concurrently for `duration`. Returns their operations per second in all.
///
/// Operations that are answered within the time count. Operations in flight at its end do not.
///
/// # Errors
/// The first error of a client: failures must not count as throughput.
pub(crate) async fn throughput<C: Client>(clients: Vec<C>, duration: Duration) -> anyhow::Result<f64> {
    let start = Instant::now() + WARM_UP;
    let end = start + duration;
    let mut tasks = JoinSet::new();
    for mut client in clients {
        tasks.spawn(async move {
            let mut done = 0_u32;
            loop {
                client.act().await?;
                let now = Instant::now();
                if now >= end {
                    return anyhow::Ok(done);
                }
                done += u32::from(now >= start);
            }
        });
    }
    let mut total = 0.0;
    while let Some(done) = tasks.join_next().await {
        total += f64::from(done.context("a client panicked")??);
    }
    Ok(total / duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sleeper(Duration);

    impl Client for Sleeper {
        async fn act(&mut self) -> anyhow::Result<()> {
            tokio::time::sleep(self.0).await;
            Ok(())
        }
    }

    struct Failing;

    impl Client for Failing {
        async fn act(&mut self) -> anyhow::Result<()> {
            anyhow::bail!("no")
        }
    }

    #[tokio::test]
    async fn concurrent_clients_add_up_to_one_throughput() {
        let clients = vec![Sleeper(Duration::from_millis(20)), Sleeper(Duration::from_millis(20))];
        let rate = throughput(clients, Duration::from_millis(200)).await.unwrap();
        // A timer is never early, so 100 per second is the most. One client alone could make 50.
        assert!(rate > 0.0 && rate <= 110.0, "{rate}");
    }

    #[tokio::test]
    async fn a_failed_operation_is_an_error_and_no_throughput() {
        assert!(throughput(vec![Failing], Duration::from_millis(1)).await.is_err());
    }
}
