//! A fetch whose answer is too large for the memory: it goes to the disk, where the route's cache has one.

use super::cache_disk::{CacheDisk, StoredFile};
use super::cache_fetch::CacheFetch;
use super::fetch_table::{FetchEnd, FetchLead, FetchRole, SpoolingAnswer};
use super::open_answer::OpenAnswer;
use super::shared_cache::{RefreshPermit, SharedCache, SpoolPermit};
use super::spool::{ROOM_PATIENCE, STEP, Spool, SpoolEndGuard, SpoolOutcome, SpoolPlan};
use crate::base::Body;
use crate::cache::{CacheKey, KeptAnswer, KeptContent, KeyDigest, StoredContent, Unkept};
use crate::telemetry::CacheOutcome;
use http_body::Body as _;
use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

/// An answer that a task brings to the disk.
struct DiskFetch {
    cache: Arc<SharedCache>,
    key: CacheKey,
    digest: KeyDigest,
    scope: usize,
    begun: u64,
    kept: Arc<KeptAnswer>,
    lead: FetchLead,
    spool: Arc<Spool>,
    _permits: (SpoolPermit, Option<RefreshPermit>),
}

impl CacheFetch {
    /// Has a task bring `body` to the disk as the content of `kept`. Whoever asks for it meanwhile reads along, if its
    /// length is known.
    ///
    /// # Errors
    /// Why it is not kept, and the content.
    pub(super) async fn spool(&mut self, kept: KeptAnswer, body: Body) -> Result<OpenAnswer, (Unkept, Body)> {
        let Some(disk) = self.cache.disk().cloned() else { return Err((Unkept::TooLarge, body)) };
        let (hint, most) = (body.size_hint(), self.cache.bounds().disk_object);
        // What rests on the state of services may be over before it is written.
        if kept.basis.is_some() || hint.lower() > most {
            return Err((Unkept::TooLarge, body));
        }
        let Some((lead, permit)) = self.begin_spool() else { return Err((Unkept::DiskBusy, body)) };
        let length = hint.exact();
        let room = length.unwrap_or(STEP).min(most);
        let has_room = self.cache.free_disk(&disk, room);
        let created = if has_room { disk.create(room, ROOM_PATIENCE).await } else { Ok(None) };
        let reason = match created {
            Ok(Some(stored)) => return Ok(self.begin(kept, body, (stored, length), (disk, lead, permit))),
            Ok(None) => Unkept::DiskBusy,
            Err(error) => {
                tracing::warn!(%error, "no file can be made in the folder of the cache");
                Unkept::DiskFailed
            }
        };
        self.part.lead = Some(lead);
        Err((reason, body))
    }

    /// Begins to bring `body` to the disk. Returns the answer for the client.
    fn begin(
        &mut self,
        kept: KeptAnswer,
        body: Body,
        (stored, length): ((Arc<StoredFile>, Arc<File>), Option<u64>),
        (disk, lead, permit): (Arc<CacheDisk>, FetchLead, SpoolPermit),
    ) -> OpenAnswer {
        let most = self.cache.bounds().disk_object;
        let spool = Spool::new(disk, stored, length);
        let reader = spool.join().expect("nobody has given it up yet");
        let kept = Arc::new(kept);
        // Where the length is not known, the answer may yet be too large, and only one client can have the rest then.
        lead.tell(match length {
            Some(_) => FetchEnd::Spooling(SpoolingAnswer {
                kept: Arc::clone(&kept),
                spool: Arc::clone(&spool),
                begun: self.begun,
            }),
            None => FetchEnd::NotKept,
        });
        let open = OpenAnswer::spooled(Arc::clone(&kept), reader);
        let fetch = DiskFetch {
            cache: Arc::clone(&self.cache),
            key: self.key.clone(),
            digest: self.digest,
            scope: self.scope,
            begun: self.begun,
            kept,
            lead,
            spool,
            _permits: (permit, self.part.permit.take()),
        };
        tokio::spawn(fetch.run(body, SpoolPlan { most, unattended: self.part.unattended }));
        open
    }

    /// The right to bring the answer to the disk: nobody else does it, and not too many others are being written.
    fn begin_spool(&mut self) -> Option<(FetchLead, SpoolPermit)> {
        let permit = self.cache.begin_spool()?;
        let lead =
            self.part.lead.take().or_else(|| match self.cache.fetches.join((self.key.clone(), self.digest, None)) {
                FetchRole::Leads(lead) => Some(lead),
                FetchRole::Waits(_) => None,
            });
        lead.map(|lead| (lead, permit))
    }
}

impl DiskFetch {
    async fn run(self, body: Body, plan: SpoolPlan) {
        let Self { cache, key, digest, scope, begun, kept, lead, spool, _permits } = self;
        let guard = SpoolEndGuard(Arc::clone(&spool));
        let free = |bytes| cache.free_disk(spool.disk(), bytes);
        let outcome = spool.write(body, &plan, free).await;
        let reason = match outcome {
            SpoolOutcome::Whole(written) => {
                let occupied = spool.stored.reserved();
                let whole = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
                let stored = StoredContent {
                    length: whole(written),
                    occupied: whole(occupied),
                    place: Arc::clone(&spool.stored) as _,
                };
                let mut kept = KeptAnswer::clone(&kept);
                kept.content = KeptContent::Stored(stored);
                let stored = cache.insert(&key, digest, Arc::new(kept), begun);
                // The next one who comes must find it in the cache.
                lead.end(if stored { FetchEnd::Kept } else { FetchEnd::NotKept });
                spool.finish();
                cache.count(scope, CacheOutcome::Miss);
                if !stored {
                    // A change has overtaken it, or its headers are too long for the memory.
                    let overtaken = !cache.is_current(&key, begun);
                    cache.count_unkept(scope, if overtaken { Unkept::Changed } else { Unkept::TooLarge });
                }
                return;
            }
            SpoolOutcome::Incomplete => Unkept::Incomplete,
            SpoolOutcome::TooLarge => Unkept::TooLarge,
            SpoolOutcome::NoRoom => Unkept::DiskBusy,
            SpoolOutcome::DiskFailed => Unkept::DiskFailed,
        };
        if reason == Unkept::TooLarge {
            cache.pass(&key, digest, Instant::now());
        }
        cache.count(scope, CacheOutcome::Pass);
        cache.count_unkept(scope, reason);
        lead.end(FetchEnd::GivenUp);
        drop(guard);
    }
}
