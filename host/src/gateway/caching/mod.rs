//! Owns the step of the cache: the store of kept answers, one fetch for many waiters, and the answers made from what is
//! kept. The room `cache` decides; this wing asks it, waits, and counts.
//! Always: a waiter is never held up by another client, however slowly that one reads; a fetch that nobody waits for
//! any more is given up, or finished behind the request's back where the route wants that. Content that is not kept
//! streams as without a cache; content for the disk is read along by all who wait for it, each at its own pace.
//! Files of the disk are within their bound, also those that are being written, and those that are sent to their end
//! after they have left; what is not whole is never kept, and nothing of another life of the host is ever read.
//! Where a route keeps its answers by state, this wing watches the call and asks for each hit whether all still stands.
//! Never: calls a service itself: the pipeline does, and hands the outcome back.

mod cache_change;
mod cache_disk;
mod cache_fetch;
mod cache_turn;
mod cached_request;
mod collected_body;
mod delivery;
mod disk_fetch;
#[cfg(test)]
mod disk_tests;
mod fetch_table;
mod open_answer;
mod read_tracker;
mod shared_cache;
mod spool;
#[cfg(test)]
mod tests;

pub use cache_disk::{CacheDisk, CacheDiskError};
pub(super) use cache_fetch::CacheFetch;
pub(super) use cache_turn::{CacheEffect, CacheTurn};
pub(super) use cached_request::{CachedRequest, RequestPlace};
pub use shared_cache::{CacheBounds, SharedCache};
