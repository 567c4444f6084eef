//! The variables of the environment that OpenTelemetry defines, as far as they concern traces.
//!
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/> and
//! <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>. The manifest goes before them.

use super::reader::finding::ValueOrigin;
use super::reader::report::Report;
use http::{HeaderName, HeaderValue, Uri};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long an export may take, and how long spans are gathered for one.
const USUAL: Duration = Duration::from_secs(5);
/// The most spans of one export, and those that wait for one: the defaults of the specification.
const BATCH: usize = 512;
const QUEUE: usize = 2048;

/// What the variables say.
pub(super) struct OtelVariables {
    /// The whole address that traces are sent to.
    pub(super) endpoint: Option<Uri>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) timeout: Duration,
    pub(super) ca: Option<PathBuf>,
    pub(super) sample: Option<f64>,
    pub(super) service_name: Option<String>,
    pub(super) resource: Vec<(String, String)>,
    pub(super) batch: usize,
    pub(super) queue: usize,
    pub(super) delay: Duration,
}

/// Reads variables, and reports those that are wrong.
struct VariableReader<'a> {
    env: &'a dyn Fn(&str) -> Option<String>,
    report: &'a Report,
}

impl OtelVariables {
    /// Reads the variables. One that is empty is as if it were not set.
    pub(super) fn read(env: &dyn Fn(&str) -> Option<String>, report: &Report, folder: &Path) -> Self {
        let reader = VariableReader { env, report };
        let off = reader.text("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let nothing = |_: &str| None;
        let reader = if off { VariableReader { env: &nothing, report } } else { reader };
        let exports = reader.text("OTEL_TRACES_EXPORTER").is_none_or(|text| text != "none");
        let endpoint = reader.endpoint().filter(|_| exports);
        if endpoint.is_some() {
            reader.check_protocol();
        }
        let mut resource = reader.pairs("OTEL_RESOURCE_ATTRIBUTES");
        let named = resource.iter().position(|(name, _)| name == "service.name").map(|at| resource.remove(at).1);
        Self {
            endpoint,
            headers: reader.headers(),
            timeout: reader.millis("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"),
            ca: reader
                .first("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE")
                .map(|(_, path)| folder.join(path)),
            sample: reader.sample(),
            service_name: reader.text("OTEL_SERVICE_NAME").or(named),
            resource,
            batch: reader.count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", BATCH),
            queue: reader.count("OTEL_BSP_MAX_QUEUE_SIZE", QUEUE),
            delay: reader.millis("OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_SCHEDULE_DELAY"),
        }
    }
}

impl VariableReader<'_> {
    fn text(&self, name: &str) -> Option<String> {
        (self.env)(name).filter(|text| !text.is_empty())
    }

    /// The variable for traces alone, or else that for all signals.
    fn first(&self, own: &'static str, general: &'static str) -> Option<(&'static str, String)> {
        let of = |name: &'static str| self.text(name).map(|text| (name, text));
        of(own).or_else(|| of(general))
    }

    fn wrong(&self, name: &'static str, message: &str, help: &str) {
        self.report.push(ValueOrigin::Variable(name), message.to_owned(), help);
    }

    fn endpoint(&self) -> Option<Uri> {
        let (name, text) = self.first("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")?;
        let Some(uri) = collector(&text) else {
            self.wrong(name, "is no http:// or https:// address", "write scheme, host and port: http://127.0.0.1:4318");
            return None;
        };
        Some(if name == "OTEL_EXPORTER_OTLP_ENDPOINT" { below(&uri, "/v1/traces") } else { uri })
    }

    fn check_protocol(&self) {
        let found = self.first("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL");
        if let Some((name, protocol)) = found.filter(|(_, protocol)| protocol != "http/protobuf") {
            let message = format!("asks for {protocol:?}, and this host speaks \"http/protobuf\"");
            self.wrong(name, &message, "set it to http/protobuf, and name the collector's port for that (4318)");
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

    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let Some((variable, _)) = self.first("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS") else {
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

    fn millis(&self, own: &'static str, general: &'static str) -> Duration {
        const MOST: u64 = 60_000;
        let Some((name, text)) = self.first(own, general) else { return USUAL };
        let millis = text.parse().ok().filter(|millis| (1..=MOST).contains(millis));
        millis.map_or_else(
            || {
                self.wrong(name, "is no number of milliseconds from 1 to 60000", "write digits alone: 5000");
                USUAL
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
