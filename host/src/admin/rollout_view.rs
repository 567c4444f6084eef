//! The wire types of rollouts and of a service's history.

use super::recording_view::ShadowView;
use serde::{Deserialize, Serialize};

/// A rollout: a canary under way, or one that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RolloutView {
    /// The service.
    pub service: String,
    /// Its number, from 1 for each service.
    pub id: u64,
    /// The new revision: the first 12 hex digits of its digest.
    pub revision: String,
    /// The whole digest, 64 hex digits.
    pub digest: String,
    /// `shadow` and `canary` while it is under way; then `promoted`, `rolled-back`, `aborted` or `superseded`.
    pub phase: String,
    /// Who ordered it.
    pub who: String,
    /// Why, in the operator's words.
    pub why: Option<String>,
    /// When it began, in seconds since 1970.
    pub began: u64,
    /// When it ended, in seconds since 1970. None: it is under way.
    pub ended: Option<u64>,
    /// How it stands, or the verdict, in one sentence with numbers.
    pub sentence: String,
    /// The canary under way. None: it has ended.
    pub canary: Option<CanaryView>,
    /// What was compared in the shadow. None: nothing, or the rollout has ended.
    #[serde(default)]
    pub shadow: Option<ShadowView>,
}

/// How far a canary has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CanaryView {
    /// The share of the calls that it gets, in percent.
    pub share: u8,
    /// The step, from 1.
    pub step: usize,
    /// How many steps there are.
    pub steps: usize,
    /// How long the step has lasted, in seconds.
    pub seconds_in_step: u64,
    /// How long it lasts at least, in seconds.
    pub step_seconds: u64,
    /// The calls of this step that were judged, and how many it needs.
    pub calls_in_step: u64,
    /// See `calls_in_step`.
    pub calls_needed: u64,
    /// Whether it stays at this step until an operator decides.
    pub hold: bool,
    /// Whether it waits for an operator, since it has had too few calls for long.
    pub asks: bool,
    /// What the canary had.
    pub of_canary: SideView,
    /// What the stable revision had meanwhile.
    pub of_stable: SideView,
    /// The evidence of each signal, and of all together: it is rolled back at 100.
    pub evidence: EvidenceView,
    /// Above how many milliseconds a call is slow. None: not known before 2,000 calls of the stable revision.
    pub slow_above_ms: Option<f64>,
    /// Above how many bytes a call needs much memory. None: not known, as for slow calls,
    /// or instances are kept, whose growth is compared at the same age.
    #[serde(default)]
    pub heavy_above_bytes: Option<u64>,
}

/// The calls of one revision that were judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideView {
    /// Calls.
    pub calls: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Calls that were slow.
    pub slow: u64,
    /// Calls that needed much memory.
    #[serde(default)]
    pub heavy: u64,
}

/// Evidence against a canary.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EvidenceView {
    /// Of failed calls.
    pub failures: f64,
    /// Of crashes of a new kind.
    pub new_traps: f64,
    /// Of slow calls.
    pub slow_calls: f64,
    /// Of calls that need much memory.
    pub memory: f64,
    /// Of all together.
    pub whole: f64,
}

/// The history of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryView {
    /// The service.
    pub service: String,
    /// The digest of the revision that serves. None: it has only addresses.
    pub serving: Option<String>,
    /// The digest of the manifest's component.
    pub manifest: Option<String>,
    /// The rollouts, the last one first.
    pub rollouts: Vec<RolloutView>,
}

/// What an order has led to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BegunView {
    /// The service.
    pub service: String,
    /// The revision that serves now: 12 hex digits.
    pub revision: String,
    /// The revision to which a rollback returns.
    pub previous: Option<String>,
    /// The canary that gets its first calls. None: all calls go to the new revision at once.
    pub rollout: Option<RolloutView>,
    /// Whether the nodes of the cluster that have instances serve it, and this one has none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub elsewhere: bool,
    /// The nodes of the cluster that do not serve it yet, each with what is known of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<String>,
}

/// The manifest's component was replaced by what serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdoptedView {
    /// The service.
    pub service: String,
    /// The revision: 12 hex digits.
    pub revision: String,
    /// The file that was written.
    pub path: String,
}
