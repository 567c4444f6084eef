//! The verbs that change circuits and faults on purpose.

use super::client::Client;
use super::output::Output;
use super::table;
use crate::admin::{BreakerAction, BreakerRequest, FaultRequest, FaultView};
use crate::base::ServiceName;
use crate::config;
use crate::fault::Share;
use clap::{Args, Subcommand};
use std::time::Duration;

/// The changes of circuits.
#[derive(Debug, Subcommand)]
pub(super) enum BreakerVerb {
    /// Let no call pass until a reset
    ///
    /// Calls in flight finish. If every circuit of a service is open, its callers get
    /// 503 at once.
    #[command(verbatim_doc_comment)]
    Open(Circuits),
    /// Let every call pass until a reset, even if calls fail
    Close(Circuits),
    /// Close circuits, reset their counts, and let them open by themselves again
    Reset(Circuits),
}

/// Which circuits.
#[derive(Debug, Args)]
pub(super) struct Circuits {
    /// The service
    #[arg(value_parser = ServiceName::new)]
    service: ServiceName,
    /// One of its endpoints, as `atoll ps` names it [default: all of them]
    endpoint: Option<String>,
}

/// The changes of faults on purpose.
#[derive(Debug, Subcommand)]
pub(super) enum FaultVerb {
    /// Make calls of a service slow or make them fail, on purpose
    ///
    /// At least one of --latency, --error and --trap. Faults of a service add up.
    #[command(verbatim_doc_comment, after_long_help = FAULT_EXAMPLES)]
    Add {
        /// The service
        #[arg(value_parser = ServiceName::new)]
        service: ServiceName,
        #[command(flatten)]
        effect: FaultEffect,
        /// The time after which it ends by itself: `5m` [default: it ends when it is
        /// cleared or the host restarts]
        #[arg(long = "for", value_name = "DURATION", value_parser = duration, verbatim_doc_comment)]
        lasts: Option<Duration>,
    },
    /// List the active faults
    List {
        #[command(flatten)]
        output: Output,
    },
    /// End faults: all of them, those of a service, or one
    Clear {
        /// The service [default: all of them]
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
  atoll fault add products --latency 2s --latency-share 30%   Three of ten calls take 2 s longer
  atoll fault add products --error 10% --trap 0.5%     Of 200 calls, 20 get an error and one a trap
  atoll fault clear products                           End all faults of `products`";

/// What a fault does to calls.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct FaultEffect {
    /// How much longer each call takes: `200ms`, `2s`
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    latency: Option<Duration>,
    /// The share of calls that take longer: `30%` [default: all of them]
    #[arg(long, value_name = "SHARE", value_parser = share, requires = "latency")]
    latency_share: Option<Share>,
    /// The share of calls that fail like an error of the service: `10%`
    #[arg(long, value_name = "SHARE", value_parser = share)]
    error: Option<Share>,
    /// The share of calls that fail like a trap of the service: `1%`
    #[arg(long, value_name = "SHARE", value_parser = share)]
    trap: Option<Share>,
}

/// Parses a share in the manifest's form.
fn share(text: &str) -> Result<Share, String> {
    Share::parse(text).map_err(|error| format!("{error}: {}", error.help()))
}

/// Parses a duration in the manifest's form.
fn duration(text: &str) -> Result<Duration, String> {
    config::duration(text).ok_or_else(|| "write a whole number with its unit: 250ms, 5s, 1m or 2h".into())
}

/// Changes circuits, and returns the table of the service as it is then.
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

/// Changes faults, and returns what was added or cleared, or the list.
pub(super) async fn fault(client: &Client, fault: FaultVerb) -> anyhow::Result<String> {
    match fault {
        FaultVerb::Add { service, effect, lasts } => {
            let fault = client.add_fault(&service, &request(&effect, lasts)).await?;
            Ok(added(&fault))
        }
        FaultVerb::List { output } => client.list("/v1/faults", output, table::faults).await,
        FaultVerb::Clear { service, id } => Ok(cleared(client.clear_faults(service.as_ref(), id).await?)),
    }
}

/// The request for a new fault, with its time rounded up to whole seconds.
fn request(effect: &FaultEffect, lasts: Option<Duration>) -> FaultRequest {
    let whole_seconds = |lasts: Duration| lasts.as_secs() + u64::from(lasts.subsec_nanos() > 0);
    FaultRequest {
        // The admin refuses a latency of centuries, so a number that does not fit may be cut.
        latency_ms: effect.latency.map(|latency| u64::try_from(latency.as_millis()).unwrap_or(u64::MAX)),
        latency_share: effect.latency_share.map(|share| share.to_string()),
        error: effect.error.map(|share| share.to_string()),
        trap: effect.trap.map(|share| share.to_string()),
        for_seconds: lasts.map(whole_seconds),
    }
}

fn added(fault: &FaultView) -> String {
    let FaultView { id, service, .. } = fault;
    format!("{}; `atoll fault clear {service} --id {id}` ends it", table::fault(fault))
}

fn cleared(count: usize) -> String {
    match count {
        0 => "there was no fault".into(),
        1 => "1 fault cleared".into(),
        more => format!("{more} faults cleared"),
    }
}
