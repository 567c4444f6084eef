//! Whether the host's counters are what its clients and its operator saw.

use super::samples::Samples;
use super::scene::{MISFIT, SERVICES, Scene};
use super::tally::{OPEN_END, Tally};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long the host may take to see that clients have gone.
const SEEN: Duration = Duration::from_secs(15);
const AGAIN: Duration = Duration::from_millis(200);

/// Where the counters differ from what was seen, once all requests have ended.
///
/// # Errors
/// If the admin does not answer.
pub(super) async fn differences(scene: &Scene) -> anyhow::Result<Vec<String>> {
    let until = Instant::now() + SEEN;
    let samples = loop {
        let samples = Samples::scrape(&scene.admin).await?;
        if Tally::counted(&samples).total() >= scene.seen.total() || Instant::now() >= until {
            break samples;
        }
        sleep(AGAIN).await;
    };
    let counted = Tally::counted(&samples);
    let mut differences = scene.seen.differences(&counted);
    differences.extend(SERVICES.iter().filter_map(|service| of_service(service, &scene.seen, &samples)));
    let label = format!("service=\"{MISFIT}\"");
    let counters = ["atoll_swap_refusals_total", "atoll_swaps_total", "atoll_rollbacks_total"];
    for (name, told) in counters.into_iter().zip(scene.changes.counts()) {
        let counted = samples.count(name, &label);
        if counted != told {
            differences.push(format!("{name} of {MISFIT}: {told} were answered, {counted} counted"));
        }
    }
    Ok(differences)
}

/// Each call of a service is a try or a refusal, and each retry is one try more. A try that waits in vain for an
/// instance is a refusal as `overloaded` too. A call whose client goes away while it waits is neither, so the service
/// with such clients is left out.
fn of_service(service: &str, seen: &Tally, samples: &Samples) -> Option<String> {
    if service == OPEN_END {
        return None;
    }
    let label = format!("service=\"{service}\"");
    let count = |name: &str| samples.count(name, &label);
    let hurried = if service == "hasty" { seen.of_route("/hurried/*") } else { 0 };
    let sent = seen.of_route(&format!("/{service}/*")) + hurried;
    let (tries, retries) = (count("atoll_requests_total"), count("atoll_retries_total"));
    let refused = count("atoll_refused_total");
    let either = samples.count("atoll_refused_total", &format!("{label},kind=\"overloaded\""));
    let within = (tries + refused - either..=tries + refused).contains(&(sent + retries));
    (!within).then(|| {
        format!("{service}: {sent} requests and {retries} retries are not {tries} tries and {refused} refusals")
    })
}
