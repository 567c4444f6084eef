//! The recordings that a host keeps.

use super::recording::Recording;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The bounds of what is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingBounds {
    /// The most bytes of one recording. Default: 1 MiB.
    pub entry: usize,
    /// The most bytes of all recordings together. Default: 64 MiB.
    pub total: usize,
}

impl Default for RecordingBounds {
    fn default() -> Self {
        Self { entry: 1 << 20, total: 64 << 20 }
    }
}

/// Recordings in memory, within a bound for all together. Where there is no room for a new one the oldest go, those of
/// calls that did not fail before those that did.
#[derive(Debug, Default)]
pub struct RecordingStore {
    bounds: RecordingBounds,
    kept: Mutex<KeptRecordings>,
}

#[derive(Debug, Default)]
struct KeptRecordings {
    /// In the order of their numbers, each with its bytes.
    all: VecDeque<(Arc<Recording>, usize)>,
    bytes: usize,
    last: u64,
}

impl RecordingStore {
    /// A store without recordings.
    pub fn new(bounds: RecordingBounds) -> Self {
        Self { bounds, kept: Mutex::default() }
    }

    /// Its bounds.
    pub fn bounds(&self) -> &RecordingBounds {
        &self.bounds
    }

    /// Keeps a recording under the next number. One that is larger than an entry may be is not kept.
    pub fn keep(&self, mut recording: Recording) -> Option<Arc<Recording>> {
        let size = recording.size();
        if size > self.bounds.entry.min(self.bounds.total) {
            return None;
        }
        let mut kept = self.kept();
        kept.last += 1;
        recording.number = kept.last;
        while kept.bytes + size > self.bounds.total {
            let oldest = kept.all.iter().position(|(recording, _)| !recording.has_failed()).unwrap_or(0);
            let Some((_, freed)) = kept.all.remove(oldest) else { break };
            kept.bytes -= freed;
        }
        let recording = Arc::new(recording);
        kept.bytes += size;
        kept.all.push_back((Arc::clone(&recording), size));
        Some(recording)
    }

    /// All recordings, the last one first, each with its bytes.
    pub fn list(&self) -> Vec<(Arc<Recording>, usize)> {
        self.kept().all.iter().rev().cloned().collect()
    }

    /// The recording that `id` names: its number, or the id of a request. Of several of one request it is one that
    /// failed, the deepest of these; otherwise the one of the gateway's own call. `service`: of this service alone.
    pub fn find(&self, id: &str, service: Option<&str>) -> Option<Arc<Recording>> {
        let kept = self.kept();
        let all = || kept.all.iter().map(|(recording, _)| recording);
        let of_service = |recording: &&Arc<Recording>| service.is_none_or(|service| recording.service == service);
        let of_request = || all().filter(of_service).filter(|recording| recording.request == id);
        let failed = of_request().filter(|recording| recording.has_failed()).max_by_key(|recording| recording.depth);
        let found = failed.or_else(|| of_request().min_by_key(|recording| recording.depth));
        let number = id.parse::<u64>().ok();
        found.or_else(|| all().filter(of_service).find(|recording| Some(recording.number) == number)).cloned()
    }

    fn kept(&self) -> MutexGuard<'_, KeptRecordings> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
