//! `[telemetry]`: the traces of requests, and where they are sent.

use super::otel_variables::{OtelVariables, below, collector};
use super::reader::decimal::DecimalKind;
use super::reader::finding::ValueOrigin;
use super::reader::key::{ManifestKey, Sourced};
use super::reader::kind::{CountKind, KindError, TextKind, ValueKind, refused};
use super::reader::measure::{GIB, KIB, SizeKind, in_memory};
use super::reader::section::Section;
use super::telemetry_logs;
use crate::telemetry::{ExportSettings, LogSettings, TraceSettings};
use http::Uri;
use std::path::Path;
use toml::Spanned;
use toml::de::DeValue;

static OTLP: ManifestKey<CollectorKind> = ManifestKey::without_default(
    "otlp",
    CollectorKind,
    "The collector that gets the kept traces, by OTLP over HTTP with protobuf: scheme, host and port, and perhaps a \
     path, below which `/v1/traces` is. Absent: that of `OTEL_EXPORTER_OTLP_ENDPOINT`, or none.",
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
const OWN: [&str; 5] = ["otlp", "sample", "service_name", "keep", "spans"];

/// How requests are traced.
#[derive(Debug, Clone)]
pub struct TelemetryConfig {
    /// Which traces are kept.
    pub traces: TraceSettings,
    /// Where they are sent; `None`: nowhere.
    pub export: Option<ExportSettings>,
}

/// The address of a collector.
struct CollectorKind;

impl ValueKind for CollectorKind {
    type Value = Uri;

    fn accepts(&self) -> String {
        "an http:// or https:// address".into()
    }

    fn help(&self) -> String {
        "write scheme, host and port: \"http://127.0.0.1:4318\"; keys of the collector's owner stand in \
         OTEL_EXPORTER_OTLP_HEADERS"
            .into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Uri, Vec<KindError>> {
        let uri = value.get_ref().as_str().and_then(collector);
        uri.ok_or_else(|| refused(self, value))
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
    let log = telemetry_logs::read(&mut section, log);
    (read_traces(section, folder, env), log)
}

fn read_traces(
    mut section: Section<'_>,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<TelemetryConfig> {
    let named = section.first_of(&OWN).is_some();
    let otlp = section.find(&OTLP);
    let (sample, name) = (section.get_sourced(&SAMPLE), section.get_sourced(&SERVICE_NAME));
    let (keep, spans) = (in_memory(section.get(&KEEP)), section.get(&SPANS));
    let report = section.report;
    let variables = OtelVariables::read(env, report, folder);
    let endpoint = otlp.map(|Sourced { value, .. }| below(&value, "/v1/traces")).or(variables.endpoint);
    section.close();
    if !named && endpoint.is_none() {
        return None;
    }
    let written = sample.span().is_some();
    let sample = variables.sample.filter(|_| !written).unwrap_or(sample.value);
    let written = name.span().is_some();
    let service_name = variables.service_name.filter(|_| !written).unwrap_or(name.value);
    let export = endpoint.map(|endpoint| ExportSettings {
        endpoint,
        headers: variables.headers,
        timeout: variables.timeout,
        ca: variables.ca,
        service_name,
        resource: variables.resource,
        batch: variables.batch,
        queue: variables.queue,
        delay: variables.delay,
    });
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
        parse(text, variables).unwrap().and_then(|config| config.export).map(|export| export.endpoint.to_string())
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
        assert_eq!((export.service_name.as_str(), export.timeout), ("shop", Duration::from_millis(1500)));
        assert_eq!(export.resource, [("deployment.environment.name".to_owned(), "test".to_owned())]);
        let headers: Vec<_> = export.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(headers, [("x-key", b"a b".as_slice()), ("x-other", b"c")]);
        assert!(!format!("{:?}", export.headers).contains("a b"), "a key of a collector does not print");
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
    fn a_wrong_value_says_where_it_stands() {
        for (text, variables, expected) in [
            ("[telemetry]\notlp = 'collector:4318'", &[][..], "`otlp` must be an http:// or https:// address"),
            ("[telemetry]\notlp = 'http://key@collector'", &[], "`otlp` must be an http:// or https:// address"),
            ("[telemetry]\notlp = 'https://collector?api-key=hush'", &[], "`otlp` must be"),
            ("[telemetry]\notlp = 'https://u:hush/word@c'", &[], "`otlp` must be"),
            ("[telemetry]\nsample = 1.5", &[], "`sample` must be a number of 0 to 1, not 1.5"),
            ("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", "x")], "OTEL_EXPORTER_OTLP_ENDPOINT"),
            ("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], "grpc"),
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
