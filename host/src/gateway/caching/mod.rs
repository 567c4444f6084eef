//! Owns the step of the cache: the store of kept answers, one fetch for many waiters, and the answers made from what is
//! kept. The room `cache` decides; this wing asks it, waits, and counts.
//! Always: a waiter is never held up by another client, however slowly that one reads; a fetch that nobody waits for
//! any more is given up, or finished behind the request's back where the route wants that. Content that is not kept
//! streams as without a cache.
//! Where a route keeps its answers by state, this wing watches the call and asks for each hit whether all still stands.
//! Never: calls a service itself: the pipeline does, and hands the outcome back.

mod cache_change;
mod cache_fetch;
mod cache_turn;
mod cached_request;
mod collected_body;
mod delivery;
mod fetch_table;
mod read_tracker;
mod shared_cache;
#[cfg(test)]
mod tests;

pub(super) use cache_fetch::CacheFetch;
pub(super) use cache_turn::{CacheEffect, CacheTurn};
pub(super) use cached_request::{CachedRequest, RequestPlace};
pub use shared_cache::{CacheBounds, SharedCache};
