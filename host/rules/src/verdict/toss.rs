//! What a coin is thrown for, and how it fell.

/// What one coin is thrown for. The number is a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CoinKey {
    /// A request: its calls get one answer.
    Request(u64),
    /// A client, a session or whatever else sticks to one revision.
    Sticky(u64),
}

/// How the coin fell for one call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Toss {
    /// Whether the call goes to the canary.
    pub canary: bool,
    /// The canary's share when the coin was thrown: 0 to 1.
    pub share: f64,
    /// The hash of the key, by which failures of one key are known.
    pub key: u64,
}
