//! The families of the gateway, but for its durations: those have exemplars, and are written apart.

use crate::telemetry::gateway_metrics::GatewayMetrics;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use std::fmt;

/// What the gateway counts by route.
pub(super) fn encode_gateway(encoder: &mut DescriptorEncoder<'_>, gateway: &GatewayMetrics) -> Result<(), fmt::Error> {
    let failed: Vec<_> = gateway.failed_samples().collect();
    if !failed.is_empty() {
        let help = "Requests that have ended with a 5xx, by route";
        let mut family = encoder.encode_descriptor("gateway_failures", help, None, MetricType::Counter)?;
        for sample in failed {
            let labels = [("route", sample.scope.route.as_str()), ("service", sample.scope.service.as_str())];
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&sample.count, None)?;
        }
    }
    let ended: Vec<_> = gateway.ended_samples().collect();
    if ended.is_empty() {
        return Ok(());
    }
    let help = "Requests that have ended, by route, status and kind of end";
    let mut family = encoder.encode_descriptor("gateway_requests", help, None, MetricType::Counter)?;
    for sample in ended {
        let labels = [
            ("route", sample.scope.route.as_str()),
            ("service", sample.scope.service.as_str()),
            ("status", sample.status.as_str()),
            ("kind", sample.kind),
        ];
        family.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&sample.count, None)?;
    }
    let sockets = gateway.socket_samples();
    if !sockets.is_empty() {
        let help = "WebSockets that are open now, by route";
        let mut family = encoder.encode_descriptor("gateway_websockets", help, None, MetricType::Gauge)?;
        for (scope, count) in sockets {
            let labels = [("route", scope.route.as_str()), ("service", scope.service.as_str())];
            family.encode_family(&labels)?.encode_gauge(&count)?;
        }
    }
    Ok(())
}
