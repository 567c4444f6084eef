//! Rollouts, as the admin shows them.

use super::recording_views::shadow;
use crate::admin::{CanaryView, EvidenceView, RolloutView, SideView, SwapView};
use crate::archive::{HistoryEntry, RolloutOutcome};
use crate::base::Digest;
use crate::rollout::{RolloutState, Swapped};
use crate::verdict::SideCounts;
use std::time::UNIX_EPOCH;

/// A swap of this host's own, which no other node has to follow.
pub(super) fn swap_view(name: &str, swapped: &Swapped) -> SwapView {
    SwapView {
        service: name.to_owned(),
        revision: swapped.revision.short(),
        previous: swapped.previous.map(|digest| digest.short()),
        elsewhere: false,
        late: Vec::new(),
    }
}

/// The canary under way, for `atoll ps`.
pub(super) fn open_view(name: &str, state: &RolloutState) -> RolloutView {
    let RolloutState { id, digest, who, why, began, report, .. } = state;
    let asks = if state.asks { "; it has too few calls for a verdict: promote it or roll it back" } else { "" };
    let in_shadow = state.shadow.as_ref().is_some_and(|shadow| shadow.is_under_way);
    let found = state.shadow.as_ref().map(|shadow| shadow.tally.in_words());
    let step = format!(
        "step {} of {}: {} % of the calls; {report}; evidence {:.2} of 100{asks}",
        state.step, state.steps, state.share, report.whole
    );
    let sentence = match found {
        Some(found) if in_shadow => format!("{found}{asks}"),
        Some(found) => format!("{step}; {found}"),
        None => step,
    };
    let [failures, new_traps, slow_calls, memory] = report.evidence;
    let canary = CanaryView {
        share: state.share,
        step: state.step,
        steps: state.steps,
        seconds_in_step: state.in_step.as_secs(),
        step_seconds: state.step_lasts.as_secs(),
        calls_in_step: report.in_step,
        calls_needed: state.calls_needed,
        hold: state.hold,
        asks: state.asks,
        of_canary: side(report.canary),
        of_stable: side(report.stable),
        evidence: EvidenceView { failures, new_traps, slow_calls, memory, whole: report.whole },
        slow_above_ms: report.slow_above.map(|micros| micros as f64 / 1000.0),
        heavy_above_bytes: report.heavy_above,
    };
    RolloutView {
        service: name.to_owned(),
        id: *id,
        revision: digest.short(),
        digest: digest.to_string(),
        phase: if in_shadow { "shadow" } else { "canary" }.into(),
        who: who.clone(),
        why: why.clone(),
        began: began.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        ended: None,
        sentence,
        canary: Some(canary),
        shadow: state.shadow.as_ref().map(shadow),
    }
}

fn side(SideCounts { calls, failed, slow, heavy }: SideCounts) -> SideView {
    SideView { calls, failed, slow, heavy }
}

/// A rollout that has ended.
pub(super) fn ended_view(name: &str, entry: &HistoryEntry) -> RolloutView {
    let phase = match entry.outcome {
        RolloutOutcome::Promoted => "promoted",
        RolloutOutcome::RolledBack => "rolled-back",
        RolloutOutcome::Aborted => "aborted",
        RolloutOutcome::Superseded => "superseded",
    };
    RolloutView {
        service: name.to_owned(),
        id: entry.id,
        revision: Digest::parse(&entry.digest).map(|digest| digest.short()).unwrap_or_default(),
        digest: entry.digest.clone(),
        phase: phase.into(),
        who: entry.who.clone(),
        why: entry.why.clone(),
        began: entry.began,
        ended: Some(entry.ended),
        sentence: entry.verdict.clone(),
        canary: None,
        shadow: None,
    }
}
