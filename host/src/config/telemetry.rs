//! `[telemetry]`: the traces of requests, and what a collector gets.

use super::otel_variables::{OtelVariables, SignalVariables, collector};
use super::reader::decimal::DecimalKind;
use super::reader::finding::ValueOrigin;
use super::reader::key::{ManifestKey, Sourced};
use super::reader::kind::{ChoiceKind, CountKind, KindError, ListKind, TextKind, ValueKind, refused};
use super::reader::measure::{GIB, KIB, SizeKind, in_memory};
use super::reader::section::Section;
use super::telemetry_logs;
use crate::telemetry::{ExportSettings, LogSettings, OtlpProtocol, OtlpSignal, TraceSettings};
use http::Uri;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::DeValue;

static OTLP: ManifestKey<CollectorKind> = ManifestKey::without_default(
    "otlp",
    CollectorKind,
    "The collector that gets what `export` names, by OTLP over HTTP with protobuf: scheme, host and port, and perhaps \
     a path, below which `/v1/traces` and its like are. Or, as a table, `endpoint` and `protocol`: \
     `\"http/protobuf\"` or `\"grpc\"`. Absent: that of `OTEL_EXPORTER_OTLP_ENDPOINT`, or none.",
);
static EXPORT: ManifestKey<ListKind<ChoiceKind<OtlpSignal>>> = ManifestKey::new(
    "export",
    ListKind {
        of: ChoiceKind(&[("traces", OtlpSignal::Traces), ("logs", OtlpSignal::Logs), ("metrics", OtlpSignal::Metrics)]),
        max: 3,
    },
    r#"["traces"]"#,
    "What the collector gets: kept traces, the lines of the log, all metrics of `/metrics`. With `logs` the memory of \
     `[telemetry.logs]` is at least 1 MiB, since lines are sent out of it.",
);
static SAMPLE: ManifestKey<DecimalKind> = ManifestKey::new(
    "sample",
    DecimalKind { min: 0.0, max: 1.0 },
    "0.01",
    "The share of the traces that is kept of requests which neither failed nor were slow. Those that failed, trapped, \
     met an open circuit or were slower than the p99 of their route are all kept.",
);
static SERVICE_NAME: ManifestKey<TextKind> = ManifestKey::new(
    "service_name",
    TextKind { min: 1 },
    r#""atoll""#,
    "The name of this system in traces: `service.name` of the gateway's spans, `service.namespace` of the services'.",
);
static KEEP: ManifestKey<SizeKind> = ManifestKey::new(
    "keep",
    SizeKind { min: 64 * KIB, max: GIB },
    r#""16MiB""#,
    "The memory of the traces that `atoll trace` shows. The oldest ones make room; half of it is for failed requests, \
     a quarter each for slow ones and for the sample, and what one does not need another may use.",
);
static SPANS: ManifestKey<CountKind<u32>> = ManifestKey::new(
    "spans",
    CountKind { min: 1, max: 10_000 },
    "256",
    "The most spans of one trace. Further ones are counted in the trace.",
);

/// The keys of which any one begins to record traces.
const OWN: [&str; 6] = ["otlp", "export", "sample", "service_name", "keep", "spans"];

/// The least memory of the log whose lines are sent, in bytes.
const SENT_LINES: usize = 1 << 20;

/// How requests are traced, and what is sent to a collector.
#[derive(Debug, Clone)]
pub struct TelemetryConfig {
    /// Which traces are kept.
    pub traces: TraceSettings,
    /// What is sent to a collector; `None`: nothing.
    pub export: Option<ExportSettings>,
}

/// The address of a collector, and how it is spoken to.
struct CollectorKind;

const PROTOCOLS: ChoiceKind<OtlpProtocol> =
    ChoiceKind(&[("http/protobuf", OtlpProtocol::Http), ("grpc", OtlpProtocol::Grpc)]);

impl ValueKind for CollectorKind {
    type Value = (Uri, OtlpProtocol);

    fn accepts(&self) -> String {
        "an http:// or https:// address, or a table of `endpoint` and `protocol`".into()
    }

    fn help(&self) -> String {
        "write scheme, host and port: \"http://127.0.0.1:4318\", or { endpoint = \"http://127.0.0.1:4317\", protocol = \
         \"grpc\" }; keys of the collector's owner stand in OTEL_EXPORTER_OTLP_HEADERS"
            .into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<(Uri, OtlpProtocol), Vec<KindError>> {
        let Some(table) = value.get_ref().as_table() else {
            let uri = value.get_ref().as_str().and_then(collector);
            return uri.map(|uri| (uri, OtlpProtocol::Http)).ok_or_else(|| refused(self, value));
        };
        let wrong = |span: Range<usize>, message: String| vec![KindError { span, message, help: self.help() }];
        let (mut endpoint, mut protocol) = (None, OtlpProtocol::Http);
        for (name, entry) in table {
            match name.get_ref().as_ref() {
                "endpoint" => {
                    let uri = entry.get_ref().as_str().and_then(collector);
                    // It is not shown: it may hold a key.
                    let message = || "must have an http:// or https:// address as its `endpoint`".to_owned();
                    endpoint = Some(uri.ok_or_else(|| wrong(entry.span(), message()))?);
                }
                "protocol" => {
                    let nested = |mut error: KindError| {
                        error.message = error.message.replacen("must be", "must have as its `protocol`", 1);
                        error
                    };
                    let read = PROTOCOLS.read(entry);
                    protocol = read.map_err(|errors| errors.into_iter().map(nested).collect::<Vec<_>>())?;
                }
                other => {
                    let message = format!("has no key `{other}`: it has `endpoint` and `protocol`");
                    return Err(wrong(name.span(), message));
                }
            }
        }
        let lacks = || wrong(value.span(), "must have an `endpoint`".to_owned());
        endpoint.map(|endpoint| (endpoint, protocol)).ok_or_else(lacks)
    }
}

/// Reads `[telemetry]`, and its `logs` into the settings of the log; `None` if neither the section nor the environment
/// asks for traces.
pub(super) fn read(
    root: &mut Section<'_>,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    log: LogSettings,
) -> (Option<TelemetryConfig>, LogSettings) {
    let mut section = root.section("telemetry");
    let mut log = telemetry_logs::read(&mut section, log);
    let config = read_signals(section, folder, env);
    if config.as_ref().and_then(|config| config.export.as_ref()).is_some_and(|export| export.logs.is_some()) {
        log.keep = log.keep.max(SENT_LINES);
    }
    (config, log)
}

fn read_signals(
    mut section: Section<'_>,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<TelemetryConfig> {
    let named = section.first_of(&OWN).is_some();
    let otlp = section.find(&OTLP).map(|Sourced { value, .. }| value);
    let export = section.get_sourced(&EXPORT);
    let (sample, name) = (section.get_sourced(&SAMPLE), section.get_sourced(&SERVICE_NAME));
    let (keep, spans) = (in_memory(section.get(&KEEP)), section.get(&SPANS));
    let report = section.report;
    let written = otlp.is_some() || export.span().is_some();
    let signals: Vec<OtlpSignal> = export.value.into_iter().map(Spanned::into_inner).collect();
    let variables = OtelVariables::read(env, report, folder, written.then_some(&signals[..]));
    section.close();
    let target = |signal: Option<SignalVariables>| signal.and_then(|signal| signal.target(otlp.as_ref()));
    let [traces, logs, metrics] = [variables.traces, variables.logs, variables.metrics].map(target);
    let sends = traces.is_some() || logs.is_some() || metrics.is_some();
    if !named && !sends {
        return None;
    }
    let written = sample.span().is_some();
    let sample = variables.sample.filter(|_| !written).unwrap_or(sample.value);
    let written = name.span().is_some();
    let service_name = variables.service_name.filter(|_| !written).unwrap_or(name.value);
    let OtelVariables { resource, batch, queue, delay, interval, .. } = variables;
    let export = ExportSettings { traces, logs, metrics, service_name, resource, batch, queue, delay, interval };
    let export = sends.then_some(export);
    if let Some(export) = &export
        && export.batch > export.queue
    {
        let help = "make OTEL_BSP_MAX_EXPORT_BATCH_SIZE smaller, or OTEL_BSP_MAX_QUEUE_SIZE larger";
        let message = "a batch of spans does not fit into their queue";
        report.push(ValueOrigin::Variable("OTEL_BSP_MAX_EXPORT_BATCH_SIZE"), message, help);
    }
    Some(TelemetryConfig { traces: TraceSettings { sample, keep, spans }, export })
}

#[cfg(test)]
mod tests {
    use crate::config::{Manifest, TelemetryConfig};
    use std::path::Path;
    use std::time::Duration;

    fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Option<TelemetryConfig>, String> {
        let env = |name: &str| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned());
        let parsed = Manifest::parse("atoll.toml", text.into(), Path::new("/base"), &env);
        parsed.map(|manifest| manifest.telemetry).map_err(|errors| errors.to_string())
    }

    fn endpoint(text: &str, variables: &[(&str, &str)]) -> Option<String> {
        parse(text, variables)
            .unwrap()
            .and_then(|config| config.export?.traces)
            .map(|target| target.endpoint.to_string())
    }

    #[test]
    fn without_a_key_nothing_is_traced() {
        for text in ["", "[telemetry]"] {
            assert!(parse(text, &[]).unwrap().is_none(), "{text}");
        }
        let config = parse("[telemetry]\nsample = 1", &[]).unwrap().unwrap();
        assert!(config.export.is_none());
        assert!((config.traces.sample - 1.0).abs() < f64::EPSILON);
        assert_eq!((config.traces.keep, config.traces.spans), (16 << 20, 256));
    }

    #[test]
    fn the_manifest_goes_before_the_variables() {
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/otlp/"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20b, x-other=c"),
            ("OTEL_SERVICE_NAME", "shop"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.name=other"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
        ];
        assert_eq!(endpoint("", &variables).as_deref(), Some("http://collector:4318/otlp/v1/traces"));
        let own = "[telemetry]\notlp = 'http://127.0.0.1:1'\nsample = 0.5\nservice_name = 'mine'";
        assert_eq!(endpoint(own, &variables).as_deref(), Some("http://127.0.0.1:1/v1/traces"));
        let all = [&variables[..], &[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:1/there")]].concat();
        assert_eq!(endpoint("", &all).as_deref(), Some("http://traces:1/there"));

        let config = parse("", &variables).unwrap().unwrap();
        let export = config.export.unwrap();
        assert!((config.traces.sample - 0.25).abs() < 1e-9);
        let traces = export.traces.unwrap();
        assert_eq!((export.service_name.as_str(), traces.timeout), ("shop", Duration::from_millis(1500)));
        assert_eq!(export.resource, [("deployment.environment.name".to_owned(), "test".to_owned())]);
        let headers: Vec<_> = traces.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(headers, [("x-key", b"a b".as_slice()), ("x-other", b"c")]);
        assert!(!format!("{:?}", traces.headers).contains("a b"), "a key of a collector does not print");
        let own = parse(own, &variables).unwrap().unwrap();
        assert!((own.traces.sample - 0.5).abs() < 1e-9);
        assert_eq!(own.export.unwrap().service_name, "mine");
    }

    #[test]
    fn an_operator_can_switch_the_variables_off() {
        let endpoint_set = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
        for off in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")] {
            assert_eq!(endpoint("", &[endpoint_set, off]), None, "{off:?}");
        }
    }

    #[test]
    fn each_signal_has_a_target_of_its_own() {
        let targets = |text: &str, variables: &[(&str, &str)]| {
            let export = parse(text, variables).unwrap().and_then(|config| config.export).unwrap();
            [export.traces, export.logs, export.metrics].map(|target| target.map(|target| target.endpoint.to_string()))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            targets("[telemetry]\notlp = 'http://c:1'\nexport = ['logs', 'metrics']", &[]),
            [None, some("http://c:1/v1/logs"), some("http://c:1/v1/metrics")]
        );
        let grpc = "[telemetry]\notlp = { endpoint = 'http://c:2', protocol = 'grpc' }";
        assert_eq!(
            targets(grpc, &[]),
            [some("http://c:2/opentelemetry.proto.collector.trace.v1.TraceService/Export"), None, None]
        );
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:3"),
            ("OTEL_TRACES_EXPORTER", "none"),
            ("OTEL_LOGS_EXPORTER", "console,otlp"),
            ("OTEL_METRICS_EXPORTER", "otlp"),
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://m:4"),
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc"),
        ];
        assert_eq!(
            targets("", &variables),
            [
                None,
                some("http://c:3/v1/logs"),
                some("http://m:4/opentelemetry.proto.collector.metrics.v1.MetricsService/Export")
            ]
        );
    }

    #[test]
    fn a_wrong_value_says_where_it_stands() {
        for (text, variables, expected) in [
            ("[telemetry]\notlp = 'collector:4318'", &[][..], "`otlp` must be an http:// or https:// address"),
            ("[telemetry]\notlp = 'http://key@collector'", &[], "`otlp` must be an http:// or https:// address"),
            ("[telemetry]\notlp = 'https://collector?api-key=hush'", &[], "`otlp` must be"),
            ("[telemetry]\notlp = 'https://u:hush/word@c'", &[], "`otlp` must be"),
            ("[telemetry]\nsample = 1.5", &[], "`sample` must be a number of 0 to 1, not 1.5"),
            ("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", "x")], "OTEL_EXPORTER_OTLP_ENDPOINT"),
            (
                "",
                &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")],
                "http/json",
            ),
            (
                "[telemetry]\notlp = { endpoint = 'http://c', protocol = 'json' }",
                &[],
                "`otlp` must have as its `protocol`",
            ),
            ("[telemetry]\notlp = { protocol = 'grpc' }", &[], "`otlp` must have an `endpoint`"),
            ("[telemetry]\notlp = { endpoint = 'u:hush@c', protocol = 'grpc' }", &[], "as its `endpoint`"),
            ("[telemetry]\notlp = { endpoint = 'http://c', protocoll = 'grpc' }", &[], "has no key `protocoll`"),
            ("[telemetry]\nexport = ['spans']", &[], "`export`"),
            ("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"), ("OTEL_EXPORTER_OTLP_HEADERS", "a b=c")], "HEADERS"),
            ("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "5s")], "TIMEOUT"),
        ] {
            let error = parse(text, variables).unwrap_err();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("a b=c"), "a header may be a secret: {error}");
            assert!(!error.contains("key@") && !error.contains("hush"), "an address may hold one: {error}");
        }
    }
}
