//! Labels in OpenMetrics' text format, where the host writes it itself.

/// The value of a label, with what the format gives a meaning escaped.
pub(super) fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
