//! Which calls of one service are recorded, and where their recordings go.

use crate::recording::{MaskRules, RecordedOutcome, Recording, RecordingStore};
use crate::runtime::lock::lock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

/// Which calls of a service are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordShare {
    /// One of so many calls: 1 to 1,000,000.
    pub every: u64,
    /// Besides, each call that fails. Which one fails is known at its end only, so each call is recorded then.
    pub failed: bool,
}

/// Where the recordings of all services are kept, and by which rules they are shown.
#[derive(Debug, Default)]
pub struct RecordingPlace {
    /// The recordings.
    pub store: RecordingStore,
    /// The rules.
    pub rules: Arc<MaskRules>,
}

/// The recorder of one service.
pub struct Recorder {
    /// Read for each call: whether anybody wants recordings.
    is_on: AtomicBool,
    share: Option<RecordShare>,
    calls: AtomicU64,
    place: Arc<RecordingPlace>,
    shadow: Mutex<Option<ShadowFeed>>,
}

/// Where a shadow gets its recordings.
struct ShadowFeed {
    recordings: mpsc::Sender<Arc<Recording>>,
    /// Recordings that it did not get.
    skipped: Arc<AtomicU64>,
}

/// What becomes of the recording of one call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordingReason {
    /// The call is the one of so many: it is kept.
    drawn: bool,
    /// It is kept if it fails.
    failed: bool,
}

/// The calls that a shadow gets, while this lives.
pub struct ShadowCalls {
    recorder: Arc<Recorder>,
    recordings: mpsc::Receiver<Arc<Recording>>,
    skipped: Arc<AtomicU64>,
}

/// Recordings that may wait for a shadow: it is slower than the service under load, and skips what does not fit.
const MOST_WAITING: usize = 16;

impl Recorder {
    /// A recorder that keeps this share; `None`: nothing, unless a shadow asks.
    pub fn new(share: Option<RecordShare>, place: Arc<RecordingPlace>) -> Self {
        let is_on = AtomicBool::new(share.is_some());
        Self { is_on, share, calls: AtomicU64::new(0), place, shadow: Mutex::default() }
    }

    /// The rules by which its recordings are shown.
    pub fn rules(&self) -> &Arc<MaskRules> {
        &self.place.rules
    }

    /// The most bytes of one recording.
    pub(crate) fn room(&self) -> usize {
        self.place.store.bounds().entry
    }

    /// Whether anybody wants recordings.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on.load(Relaxed)
    }

    /// Why the call that begins now is recorded; `None`: it is not.
    pub(crate) fn reason(&self) -> Option<RecordingReason> {
        if !self.is_on() {
            return None;
        }
        let Some(RecordShare { every, failed }) = self.share else {
            return Some(RecordingReason { drawn: false, failed: false });
        };
        let drawn = self.calls.fetch_add(1, Relaxed).is_multiple_of(every);
        let shadowed = || lock(&self.shadow).is_some();
        (drawn || failed || shadowed()).then_some(RecordingReason { drawn, failed })
    }

    /// Whether a recording that ends so is of use for anybody.
    pub(crate) fn wants(&self, reason: RecordingReason, outcome: &RecordedOutcome) -> bool {
        reason.drawn || (reason.failed && outcome.has_failed()) || lock(&self.shadow).is_some()
    }

    /// Takes a recording that is whole.
    pub(crate) fn take(&self, reason: RecordingReason, recording: Recording) {
        let is_kept = reason.drawn || (reason.failed && recording.has_failed());
        let recording = match is_kept {
            true => match self.place.store.keep(recording) {
                Some(kept) => kept,
                None => return self.lose(),
            },
            false => Arc::new(recording),
        };
        if let Some(shadow) = &*lock(&self.shadow)
            && shadow.recordings.try_send(recording).is_err()
        {
            shadow.skipped.fetch_add(1, Relaxed);
        }
    }

    /// A call was too large to be recorded, or has something that cannot be.
    pub(crate) fn lose(&self) {
        if let Some(shadow) = &*lock(&self.shadow) {
            shadow.skipped.fetch_add(1, Relaxed);
        }
    }

    /// The recordings of all calls from now on, as long as the shadow keeps up. A shadow before it gets no more.
    pub fn shadow(self: &Arc<Self>) -> ShadowCalls {
        let (sender, recordings) = mpsc::channel(MOST_WAITING);
        let skipped = Arc::<AtomicU64>::default();
        *lock(&self.shadow) = Some(ShadowFeed { recordings: sender, skipped: Arc::clone(&skipped) });
        self.is_on.store(true, Relaxed);
        ShadowCalls { recorder: Arc::clone(self), recordings, skipped }
    }
}

impl ShadowCalls {
    /// The next call; `None` when another shadow gets them.
    pub async fn next(&mut self) -> Option<Arc<Recording>> {
        self.recordings.recv().await
    }

    /// How many calls it did not get: it was busy, or they could not be recorded.
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Relaxed)
    }
}

impl Drop for ShadowCalls {
    fn drop(&mut self) {
        let mut shadow = lock(&self.recorder.shadow);
        if shadow.as_ref().is_some_and(|own| Arc::ptr_eq(&own.skipped, &self.skipped)) {
            *shadow = None;
            self.recorder.is_on.store(self.recorder.share.is_some(), Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::testing::recording;
    use crate::recording::{Blob, RecordingBounds};

    fn recorder(share: Option<RecordShare>) -> Arc<Recorder> {
        Arc::new(Recorder::new(share, Arc::default()))
    }

    /// A call that ends with this status, from its beginning to the store. Returns whether it was on tape.
    fn call(recorder: &Recorder, status: u16) -> bool {
        let Some(reason) = recorder.reason() else { return false };
        let outcome = RecordedOutcome::Http { status, headers: Vec::new(), body: Blob::default() };
        if recorder.wants(reason, &outcome) {
            recorder.take(reason, Recording { outcome, ..recording() });
        }
        true
    }

    fn kept(recorder: &Recorder) -> usize {
        recorder.place.store.list().len()
    }

    #[test]
    fn one_call_in_n_is_kept_and_each_that_fails_and_without_a_share_none_is_on_tape() {
        let statuses = [200, 500, 200, 200, 200, 503, 200, 200];
        for (share, on_tape, expected) in [
            (None, 0, 0),
            (Some(RecordShare { every: 4, failed: true }), 8, 4),
            (Some(RecordShare { every: 4, failed: false }), 2, 2),
            (Some(RecordShare { every: 1, failed: false }), 8, 8),
        ] {
            let recorder = recorder(share);
            assert_eq!(statuses.into_iter().filter(|status| call(&recorder, *status)).count(), on_tape, "{share:?}");
            assert_eq!(kept(&recorder), expected, "{share:?}");
        }
    }

    #[tokio::test]
    async fn a_shadow_gets_every_call_as_far_as_it_keeps_up_and_none_after_its_end() {
        let recorder = recorder(None);
        let mut shadow = recorder.shadow();
        for _ in 0..MOST_WAITING + 3 {
            assert!(call(&recorder, 200));
        }
        assert_eq!((shadow.skipped(), kept(&recorder)), (3, 0));
        for _ in 0..MOST_WAITING {
            assert!(shadow.next().await.is_some());
        }
        let next = recorder.shadow();
        assert!(shadow.next().await.is_none(), "another shadow gets them");
        drop(shadow);
        assert!(call(&recorder, 200), "the end of the one before ends nothing of the other");
        drop(next);
        assert!(!call(&recorder, 200) && !recorder.is_on());
    }

    #[test]
    fn what_is_larger_than_an_entry_is_not_kept_and_a_shadow_counts_it() {
        let store = RecordingStore::new(RecordingBounds { entry: 1, total: 1 });
        let place = Arc::new(RecordingPlace { store, ..RecordingPlace::default() });
        let recorder = Arc::new(Recorder::new(Some(RecordShare { every: 1, failed: false }), place));
        let shadow = recorder.shadow();
        assert!(call(&recorder, 200));
        assert_eq!((kept(&recorder), shadow.skipped()), (0, 1));
    }
}
