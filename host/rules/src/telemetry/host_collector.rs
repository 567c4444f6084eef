//! The metrics of the host's own process.

use super::code_metrics::code_metrics;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use rustix::time::{ClockId, clock_gettime};
use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

/// Writes the metrics of this process at each scrape.
#[derive(Debug)]
pub(super) struct HostCollector {
    /// When the host was built.
    pub(super) since: Instant,
}

impl Collector for HostCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let help = "Processor seconds of the host's process, guests and all";
        let cpu = ConstCounter::new(processor_time().as_secs_f64());
        cpu.encode(encoder.encode_descriptor("host_cpu_seconds", help, None, MetricType::Counter)?)?;
        if let Some(bytes) = resident() {
            let help = "Bytes of memory that the host's process has, guests and all";
            let bytes = ConstGauge::new(i64::try_from(bytes).unwrap_or(i64::MAX));
            bytes.encode(encoder.encode_descriptor("host_memory_bytes", help, None, MetricType::Gauge)?)?;
        }
        code_metrics().encode(&mut encoder)?;
        let uptime = ConstGauge::new(self.since.elapsed().as_secs_f64());
        let help = "Seconds since the host was started";
        uptime.encode(encoder.encode_descriptor("host_uptime_seconds", help, None, MetricType::Gauge)?)?;
        let help = "The version of the host";
        let mut family = encoder.encode_descriptor("build", help, None, MetricType::Info)?;
        family.encode_info(&[("version", env!("CARGO_PKG_VERSION"))])
    }
}

/// The processor time of this process so far.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or(0), nanos.unwrap_or(0))
}

/// The memory of this process in bytes; `None` where the system does not say, as other systems than Linux do not.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_has_used_time_and_memory() {
        assert!(processor_time() > Duration::ZERO);
        assert!(resident().is_none_or(|bytes| bytes > 1 << 20));
    }
}
