//! The verbs that order something of the mesh: circuits and faults on purpose.

use super::client::Client;
use super::{table, verb};
use crate::admin::{BreakerAction, BreakerRequest, FaultRequest, FaultView};
use crate::base::ServiceName;
use crate::config;
use crate::fault::Share;
use clap::{Args, Subcommand};
use std::time::Duration;

/// What can be ordered about circuits.
#[derive(Debug, Subcommand)]
pub(super) enum BreakerVerb {
    /// Let no call pass, until a reset
    ///
    /// Calls in flight finish. With every circuit of a service open, its callers get
    /// 503 at once.
    #[command(verbatim_doc_comment)]
    Open(Circuits),
    /// Let every call pass, whatever fails, until a reset
    Close(Circuits),
    /// Closed, with fresh counts, and by itself again
    Reset(Circuits),
}

/// Whose circuits.
#[derive(Debug, Args)]
pub(super) struct Circuits {
    /// The service
    #[arg(value_parser = ServiceName::new)]
    service: ServiceName,
    /// One of its endpoints, as `atoll ps` names it; all of them unless it is said
    endpoint: Option<String>,
}

/// What can be ordered about faults.
#[derive(Debug, Subcommand)]
pub(super) enum FaultVerb {
    /// Let calls of a service suffer a fault
    ///
    /// At least one of --latency, --error and --trap. Faults of a service add up.
    #[command(verbatim_doc_comment, after_long_help = FAULT_EXAMPLES)]
    Add {
        /// The service
        #[arg(value_parser = ServiceName::new)]
        service: ServiceName,
        #[command(flatten)]
        harm: Harm,
        /// After how long it ends by itself: `5m`; unless it is said, when it is
        /// cleared or the host restarts
        #[arg(long = "for", value_name = "DURATION", value_parser = duration, verbatim_doc_comment)]
        lasts: Option<Duration>,
    },
    /// List the faults that stand
    List {
        /// Print the admin's JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// End faults: all of them, those of a service, or one
    Clear {
        /// The service; all of them unless it is said
        #[arg(value_parser = ServiceName::new)]
        service: Option<ServiceName>,
        /// The fault, as `atoll fault list` names it
        #[arg(long)]
        id: Option<u64>,
    },
}

const FAULT_EXAMPLES: &str = "\
Examples:
  atoll fault add products --latency 200ms --for 5m    Every call takes 200 ms longer, for five minutes
  atoll fault add products --error 10% --trap 0.5%     Of 200 calls, 20 get an error and one a trap
  atoll fault clear products                           As if nothing had been";

/// What calls suffer.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct Harm {
    /// How much longer each call takes: `200ms`, `2s`
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    latency: Option<Duration>,
    /// The share of calls that fail like an error of the service: `10%`
    #[arg(long, value_name = "SHARE", value_parser = Share::parse)]
    error: Option<Share>,
    /// The share of calls that fail like a trap of the service: `1%`
    #[arg(long, value_name = "SHARE", value_parser = Share::parse)]
    trap: Option<Share>,
}

/// A duration as the manifest has it.
fn duration(text: &str) -> Result<Duration, String> {
    config::duration(text).ok_or_else(|| "write a whole number with its unit: 250ms, 5s, 1m or 2h".into())
}

/// Orders `breaker`, and shows the service as it is then.
pub(super) async fn breaker(client: &Client, breaker: BreakerVerb) -> anyhow::Result<String> {
    let (order, circuits) = match breaker {
        BreakerVerb::Open(circuits) => (BreakerAction::Open, circuits),
        BreakerVerb::Close(circuits) => (BreakerAction::Close, circuits),
        BreakerVerb::Reset(circuits) => (BreakerAction::Reset, circuits),
    };
    let Circuits { service, endpoint } = circuits;
    let view = client.breaker(&service, &BreakerRequest { order, endpoint }).await?;
    Ok(table::services(&[view]))
}

/// Orders `fault`, and says what stands, or what is gone.
pub(super) async fn fault(client: &Client, fault: FaultVerb) -> anyhow::Result<String> {
    match fault {
        FaultVerb::Add { service, harm, lasts } => {
            let fault = client.add_fault(&service, &request(&harm, lasts)).await?;
            Ok(stands(&fault))
        }
        FaultVerb::List { json } => verb::list(client, "/v1/faults", json, table::faults).await,
        FaultVerb::Clear { service, id } => Ok(gone(client.clear_faults(service.as_ref(), id).await?)),
    }
}

/// The wire's word for it, with the time rounded up to whole seconds.
fn request(harm: &Harm, lasts: Option<Duration>) -> FaultRequest {
    let whole_seconds = |lasts: Duration| lasts.as_secs() + u64::from(lasts.subsec_nanos() > 0);
    FaultRequest {
        // Centuries are too much for the admin too, which says so.
        latency_ms: harm.latency.map(|latency| u64::try_from(latency.as_millis()).unwrap_or(u64::MAX)),
        error: harm.error.map(|share| share.to_string()),
        trap: harm.trap.map(|share| share.to_string()),
        for_seconds: lasts.map(whole_seconds),
    }
}

fn stands(fault: &FaultView) -> String {
    let FaultView { id, service, .. } = fault;
    format!("{}; `atoll fault clear {service} --id {id}` ends it", table::fault(fault))
}

fn gone(cleared: usize) -> String {
    match cleared {
        0 => "no fault stood".into(),
        1 => "1 fault cleared".into(),
        more => format!("{more} faults cleared"),
    }
}
