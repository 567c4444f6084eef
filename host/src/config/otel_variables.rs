//! The variables of the environment that OpenTelemetry defines, as far as they concern this host.
//!
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/> and
//! <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>. The manifest goes before them.

use super::reader::finding::ValueOrigin;
use super::reader::report::Report;
use crate::telemetry::{OtlpProtocol, OtlpSignal, SignalTarget};
use http::{HeaderName, HeaderValue, Uri};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long an export may take, and how long spans are gathered for one.
const USUAL: Duration = Duration::from_secs(5);
/// The most spans of one export, and those that wait for one: the defaults of the specification.
const BATCH: usize = 512;
const QUEUE: usize = 2048;

/// How long metrics are gathered for an export: the default of the specification.
const INTERVAL: Duration = Duration::from_secs(60);

/// What the variables say.
pub(super) struct OtelVariables {
    /// `None`: the signal is not sent, whatever the other variables say.
    pub(super) traces: Option<SignalVariables>,
    pub(super) logs: Option<SignalVariables>,
    pub(super) metrics: Option<SignalVariables>,
    pub(super) sample: Option<f64>,
    pub(super) service_name: Option<String>,
    pub(super) resource: Vec<(String, String)>,
    pub(super) batch: usize,
    pub(super) queue: usize,
    pub(super) delay: Duration,
    pub(super) interval: Duration,
}

/// What they say of one signal.
pub(super) struct SignalVariables {
    signal: OtlpSignal,
    /// The whole address that it is sent to.
    endpoint: Option<Uri>,
    protocol: OtlpProtocol,
    headers: Vec<(HeaderName, HeaderValue)>,
    timeout: Duration,
    ca: Option<PathBuf>,
}

/// The variables of one signal; the one for all signals stands second in a pair.
struct SignalNames {
    exporter: &'static str,
    endpoint: &'static str,
    protocol: &'static str,
    headers: &'static str,
    timeout: &'static str,
    certificate: &'static str,
}

const fn names(signal: OtlpSignal) -> SignalNames {
    match signal {
        OtlpSignal::Traces => SignalNames {
            exporter: "OTEL_TRACES_EXPORTER",
            endpoint: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            protocol: "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            headers: "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            timeout: "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
            certificate: "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
        },
        OtlpSignal::Logs => SignalNames {
            exporter: "OTEL_LOGS_EXPORTER",
            endpoint: "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
            protocol: "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
            headers: "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
            timeout: "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT",
            certificate: "OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE",
        },
        OtlpSignal::Metrics => SignalNames {
            exporter: "OTEL_METRICS_EXPORTER",
            endpoint: "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            protocol: "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
            headers: "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
            timeout: "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
            certificate: "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE",
        },
    }
}

impl SignalVariables {
    /// Where the signal is sent, if anywhere: to the collector that the manifest names as `written`, or to that of the
    /// variables.
    pub(super) fn target(self, written: Option<&(Uri, OtlpProtocol)>) -> Option<SignalTarget> {
        let Self { signal, headers, timeout, ca, .. } = self;
        let (endpoint, protocol) = match written {
            Some((collector, protocol)) => (below(collector, signal.path(*protocol)), *protocol),
            None => (self.endpoint?, self.protocol),
        };
        Some(SignalTarget { endpoint, protocol, headers, timeout, ca })
    }
}

/// Reads variables, and reports those that are wrong.
struct VariableReader<'a> {
    env: &'a dyn Fn(&str) -> Option<String>,
    report: &'a Report,
    /// Those that were reported: a variable for all signals is read for each.
    said: RefCell<BTreeSet<&'static str>>,
}

impl OtelVariables {
    /// Reads the variables of the signals that `export` names. Without it the variables name them: traces are sent
    /// unless their exporter is `none`, the others if theirs is `otlp`. One that is empty is as if it were not set.
    pub(super) fn read(
        env: &dyn Fn(&str) -> Option<String>,
        report: &Report,
        folder: &Path,
        export: Option<&[OtlpSignal]>,
    ) -> Self {
        let reader = VariableReader { env, report, said: RefCell::default() };
        let off = reader.text("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let nothing = |_: &str| None;
        let reader = if off { VariableReader { env: &nothing, report, said: RefCell::default() } } else { reader };
        let signal = |signal: OtlpSignal| {
            let default = signal == OtlpSignal::Traces;
            let wanted = export.map_or_else(
                || reader.exporter(names(signal).exporter).unwrap_or(default),
                |export| export.contains(&signal),
            );
            wanted.then(|| reader.signal(signal, folder))
        };
        let mut resource = reader.pairs("OTEL_RESOURCE_ATTRIBUTES");
        let named = resource.iter().position(|(name, _)| name == "service.name").map(|at| resource.remove(at).1);
        Self {
            traces: signal(OtlpSignal::Traces),
            logs: signal(OtlpSignal::Logs),
            metrics: signal(OtlpSignal::Metrics),
            sample: reader.sample(),
            service_name: reader.text("OTEL_SERVICE_NAME").or(named),
            resource,
            batch: reader.count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", BATCH),
            queue: reader.count("OTEL_BSP_MAX_QUEUE_SIZE", QUEUE),
            delay: reader.millis("OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_SCHEDULE_DELAY", USUAL),
            interval: reader.millis("OTEL_METRIC_EXPORT_INTERVAL", "OTEL_METRIC_EXPORT_INTERVAL", INTERVAL),
        }
    }
}

impl VariableReader<'_> {
    fn text(&self, name: &str) -> Option<String> {
        (self.env)(name).filter(|text| !text.is_empty())
    }

    /// The variable for one signal alone, or else that for all signals.
    fn first(&self, own: &'static str, general: &'static str) -> Option<(&'static str, String)> {
        let of = |name: &'static str| self.text(name).map(|text| (name, text));
        of(own).or_else(|| of(general))
    }

    fn wrong(&self, name: &'static str, message: &str, help: &str) {
        if self.said.borrow_mut().insert(name) {
            self.report.push(ValueOrigin::Variable(name), message.to_owned(), help);
        }
    }

    fn signal(&self, signal: OtlpSignal, folder: &Path) -> SignalVariables {
        let names = names(signal);
        let protocol = self.protocol(names.protocol);
        let endpoint = self.endpoint(signal, names.endpoint, protocol);
        let certificate = self.first(names.certificate, "OTEL_EXPORTER_OTLP_CERTIFICATE");
        SignalVariables {
            signal,
            endpoint,
            protocol,
            headers: self.headers(names.headers),
            timeout: self.millis(names.timeout, "OTEL_EXPORTER_OTLP_TIMEOUT", USUAL),
            ca: certificate.map(|(_, path)| folder.join(path)),
        }
    }

    /// Whether the variable names a collector: `otlp`, alone or in a list. `prometheus`, which `/metrics` is anyway,
    /// and `console`, which the log is, name none.
    fn exporter(&self, name: &str) -> Option<bool> {
        let text = self.text(name)?;
        Some(text.split(',').any(|one| one.trim() == "otlp"))
    }

    fn endpoint(&self, signal: OtlpSignal, own: &'static str, protocol: OtlpProtocol) -> Option<Uri> {
        let (name, text) = self.first(own, "OTEL_EXPORTER_OTLP_ENDPOINT")?;
        let Some(uri) = collector(&text) else {
            self.wrong(name, "is no http:// or https:// address", "write scheme, host and port: http://127.0.0.1:4318");
            return None;
        };
        // Over HTTP the variable of one signal is its whole address; over gRPC the path is always that of the service.
        let is_whole = name == own && protocol == OtlpProtocol::Http;
        Some(if is_whole { uri } else { below(&uri, signal.path(protocol)) })
    }

    fn protocol(&self, own: &'static str) -> OtlpProtocol {
        let found = self.first(own, "OTEL_EXPORTER_OTLP_PROTOCOL");
        let Some((name, text)) = found else { return OtlpProtocol::Http };
        match text.as_str() {
            "http/protobuf" => OtlpProtocol::Http,
            "grpc" => OtlpProtocol::Grpc,
            other => {
                let message = format!("asks for {other:?}, and this host speaks \"http/protobuf\" and \"grpc\"");
                self.wrong(name, &message, "set it to http/protobuf (port 4318) or to grpc (port 4317)");
                OtlpProtocol::Http
            }
        }
    }

    /// `name=value` with commas between, values percent-encoded as in `baggage`. A member without `=` is left out.
    fn pairs(&self, name: &str) -> Vec<(String, String)> {
        let text = self.text(name).unwrap_or_default();
        let pair = |member: &str| {
            let (name, value) = member.split_once('=')?;
            Some((name.trim().to_owned(), percent_decoded(value.trim())))
        };
        text.split(',').filter_map(pair).collect()
    }

    fn headers(&self, own: &'static str) -> Vec<(HeaderName, HeaderValue)> {
        let Some((variable, _)) = self.first(own, "OTEL_EXPORTER_OTLP_HEADERS") else {
            return Vec::new();
        };
        let mut headers = Vec::new();
        for (name, value) in self.pairs(variable) {
            match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                (Ok(name), Ok(mut value)) => {
                    value.set_sensitive(true);
                    headers.push((name, value));
                }
                // Without the text: it may be a secret.
                _ => {
                    self.wrong(variable, "has what is no header", "write name=value, with a comma between two of them")
                }
            }
        }
        headers
    }

    fn sample(&self) -> Option<f64> {
        let sampler = self.text("OTEL_TRACES_SAMPLER")?;
        match sampler.trim_start_matches("parentbased_") {
            "always_on" => Some(1.0),
            "always_off" => Some(0.0),
            "traceidratio" => {
                let text = self.text("OTEL_TRACES_SAMPLER_ARG").unwrap_or_else(|| "1".into());
                let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
                if share.is_none() {
                    self.wrong("OTEL_TRACES_SAMPLER_ARG", "is no number of 0 to 1", "write a share: 0.01");
                }
                share
            }
            _ => {
                let help = "write always_on, always_off or traceidratio";
                self.wrong("OTEL_TRACES_SAMPLER", "names a sampler that this host does not have", help);
                None
            }
        }
    }

    fn count(&self, name: &'static str, default: usize) -> usize {
        const MOST: usize = 65_536;
        let Some(text) = self.text(name) else { return default };
        let count = text.parse().ok().filter(|count| (1..=MOST).contains(count));
        count.unwrap_or_else(|| {
            self.wrong(name, "is no whole number of 1 to 65536", "write digits alone");
            default
        })
    }

    fn millis(&self, own: &'static str, general: &'static str, default: Duration) -> Duration {
        const MOST: u64 = 3_600_000;
        let Some((name, text)) = self.first(own, general) else { return default };
        let millis = text.parse().ok().filter(|millis| (1..=MOST).contains(millis));
        millis.map_or_else(
            || {
                self.wrong(name, "is no number of milliseconds from 1 to 3600000", "write digits alone: 5000");
                default
            },
            Duration::from_millis,
        )
    }
}

/// The text with `%20` and the like as the bytes that they stand for. What is no UTF-8 then has replacement characters.
fn percent_decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, after @ ..] = rest {
        let escaped = after.get(..2).and_then(|two| str::from_utf8(two).ok());
        match escaped.filter(|_| *first == b'%').and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The address of a collector; `None` if `text` is none, or has a user, a query or a port that is no number.
pub(super) fn collector(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let http = matches!(uri.scheme_str(), Some("http" | "https"));
    let bare = uri.query().is_none() && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    // `Uri` accepts a port that is no number, and then reports that there is no port.
    let port = uri.authority().is_some_and(|authority| {
        let port = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
        port.is_empty() || authority.port_u16().is_some_and(|port| port > 0)
    });
    (http && bare && port && uri.host().is_some_and(|host| !host.is_empty())).then_some(uri)
}

/// The address with `path` below its own.
pub(super) fn below(base: &Uri, path: &str) -> Uri {
    let text = base.to_string();
    format!("{}{path}", text.trim_end_matches('/')).parse().expect("an address with a path is one")
}
