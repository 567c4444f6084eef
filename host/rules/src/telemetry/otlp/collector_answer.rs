//! The answer of a collector (`collector/trace/v1/trace_service.proto` and its cousins, which have the same numbers).

use super::protobuf::{ProtobufReader, ProtobufValue};

/// What a collector says of spans, lines or points that it did not take, in its answer with status 200.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialSuccess {
    /// How many it refused; 0 with a message is a warning.
    pub rejected: u64,
    /// Why.
    pub message: String,
}

/// Reads a collector's answer. `None` if it took everything without a word, or if the answer is no such message.
pub fn partial_success(answer: &[u8]) -> Option<PartialSuccess> {
    let partial = ProtobufReader(answer).find_map(|field| match field {
        (1, ProtobufValue::Bytes(partial)) => Some(partial),
        _ => None,
    })?;
    let mut found = PartialSuccess { rejected: 0, message: String::new() };
    for field in ProtobufReader(partial) {
        match field {
            (1, ProtobufValue::Number(rejected)) => found.rejected = rejected,
            (2, ProtobufValue::Bytes(message)) => found.message = String::from_utf8_lossy(message).into_owned(),
            _ => {}
        }
    }
    (found.rejected > 0 || !found.message.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_success_is_read_and_a_whole_one_is_none() {
        assert_eq!(partial_success(b""), None);
        assert_eq!(partial_success(b"\x0a\x00"), None);
        assert_eq!(partial_success(b"not protobuf"), None);
        let partial = partial_success(b"\x0a\x08\x08\x03\x12\x04full");
        assert_eq!(partial, Some(PartialSuccess { rejected: 3, message: "full".into() }));
    }
}
