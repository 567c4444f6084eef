//! The wire types of recordings and of shadows.

use serde::{Deserialize, Serialize};

/// One recording in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingView {
    /// Its number, from 1.
    pub number: u64,
    /// The id of the request at the gateway.
    pub request: String,
    /// The service.
    pub service: String,
    /// The revision: 12 hex digits.
    pub revision: String,
    /// What was asked: `POST /users`, `shop:users/users@1.0.0#get`.
    pub call: String,
    /// What came of it: `200`, `trap: wasm trap: …`.
    pub outcome: String,
    /// Whether the service failed.
    pub failed: bool,
    /// When it began, in milliseconds since 1970.
    pub began: u64,
    /// The bytes that it takes.
    pub bytes: usize,
}

/// What a shadow has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowView {
    /// Whether it goes on.
    pub under_way: bool,
    /// How long it lasts at least, in seconds.
    pub seconds: u64,
    /// The calls that were compared.
    pub compared: u64,
    /// Of these: those that differ.
    pub differing: u64,
    /// Of these: those in which the candidate asked for something that was not recorded.
    pub stopped: u64,
    /// The calls that were not compared.
    pub skipped: u64,
    /// Where they differ, in the order in which that was found; at most 64.
    pub differences: Vec<DifferenceView>,
}

/// One place where calls differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferenceView {
    /// The place: `status`, `body /total`, `write user/* /name`.
    pub place: String,
    /// How many calls differ there.
    pub calls: u64,
    /// What the old revision gave in the first of them, masked by rule.
    pub was: String,
    /// What the new one gives.
    pub is: String,
    /// The request of the first one.
    pub request: String,
    /// The number of its recording. None: it is not kept.
    pub recording: Option<u64>,
}
