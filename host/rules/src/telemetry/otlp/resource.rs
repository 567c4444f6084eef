//! What every message of OTLP has: resources, the scope, and attributes.

use super::protobuf::ProtobufWriter;
use crate::base::SpanValue;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// What all signals of this host have in common.
#[derive(Debug, Clone)]
pub struct HostResource {
    /// The name of the system.
    pub service_name: String,
    /// The name of this process among those of the system.
    pub instance: String,
    /// What else each resource says.
    pub attributes: Vec<(String, String)>,
}

/// Whose signals a resource has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Resource<'a> {
    /// The host's own.
    Host,
    /// A service's, with the short digest of its revision; empty: it is not known.
    Service { name: &'a str, revision: &'a str },
}

impl Resource<'_> {
    /// Writes the resource of these signals as the field 1 of `message`.
    pub(super) fn write(&self, message: &mut ProtobufWriter, host: &HostResource) {
        message.message(1, |resource| self.write_attributes(resource, host));
    }

    fn write_attributes(&self, resource: &mut ProtobufWriter, host: &HostResource) {
        let mut attribute = |name: &str, value: &str| write_attribute(resource, 1, name, &text(value));
        match self {
            Resource::Host => {
                attribute("service.name", &host.service_name);
                attribute("service.version", env!("CARGO_PKG_VERSION"));
            }
            Resource::Service { name, revision } => {
                attribute("service.name", name);
                attribute("service.namespace", &host.service_name);
                if !revision.is_empty() {
                    attribute("service.version", revision);
                }
            }
        }
        attribute("service.instance.id", &host.instance);
        attribute("telemetry.sdk.name", "atoll");
        attribute("telemetry.sdk.language", "rust");
        attribute("telemetry.sdk.version", env!("CARGO_PKG_VERSION"));
        for (name, value) in &host.attributes {
            attribute(name, value);
        }
    }
}

/// Writes the scope of all signals as the field 1 of `message`.
pub(super) fn write_scope(message: &mut ProtobufWriter) {
    message.message(1, |scope| {
        scope.text(1, "atoll");
        scope.text(2, env!("CARGO_PKG_VERSION"));
    });
}

/// A text, as the value of an attribute.
pub(super) fn text(text: &str) -> SpanValue {
    SpanValue::Text(text.to_owned().into())
}

/// Writes an attribute as `field` of `message`.
pub(super) fn write_attribute(message: &mut ProtobufWriter, field: u32, name: &str, value: &SpanValue) {
    message.message(field, |pair| {
        pair.text(1, name);
        pair.message(2, |any| match value {
            SpanValue::Text(text) => any.text_or_empty(1, text),
            SpanValue::Flag(flag) => any.varint(2, u64::from(*flag)),
            SpanValue::Whole(number) => any.varint(3, number.cast_unsigned()),
            SpanValue::Decimal(number) => any.fixed64(4, number.to_bits()),
            SpanValue::Json(json) => match serde_json::from_str(json) {
                Ok(value) => write_any(any, &value),
                Err(_) => any.text_or_empty(1, json),
            },
        });
    });
}

/// What stands before the Base64 of bytes in a string of JSON.
const BYTES: &str = "data:application/octet-stream;base64,";

/// Writes a value of JSON as a value of OTLP (`AnyValue`).
fn write_any(any: &mut ProtobufWriter, value: &Value) {
    match value {
        Value::Null => {}
        Value::Bool(flag) => any.varint(2, u64::from(*flag)),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => any.varint(3, whole.cast_unsigned()),
            None => any.fixed64(4, number.as_f64().unwrap_or(f64::NAN).to_bits()),
        },
        Value::String(text) => match text.strip_prefix(BYTES).and_then(|text| STANDARD.decode(text).ok()) {
            Some(bytes) => any.bytes_or_empty(7, &bytes),
            None => any.text_or_empty(1, text),
        },
        Value::Array(items) => any.message(5, |list| {
            for item in items {
                list.message(1, |any| write_any(any, item));
            }
        }),
        Value::Object(members) => any.message(6, |list| {
            for (name, value) in members {
                list.message(1, |pair| {
                    pair.text(1, name);
                    pair.message(2, |any| write_any(any, value));
                });
            }
        }),
    }
}

/// Nanoseconds since 1970.
pub(super) fn nanos(began: SystemTime, after: Duration) -> u64 {
    let since = began.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default() + after;
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
