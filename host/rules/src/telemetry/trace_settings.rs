//! Which traces are kept.

/// Which traces are kept, and the bounds of their memory.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceSettings {
    /// The share that is kept of those that neither failed nor were slow: 0 to 1.
    pub sample: f64,
    /// The bytes of the traces that are kept: at least 64 KiB.
    pub keep: usize,
    /// The most spans of one trace: at least 1.
    pub spans: u32,
}
