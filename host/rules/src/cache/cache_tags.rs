//! The words by which an answer can be purged.

use super::cache_control::{joined, list_members};
use http::{HeaderMap, HeaderName};

/// The fields in which services name the words by which an answer can be purged: a list by commas, and one by blanks.
const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");
const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
/// The most tags of an answer, and the longest one in bytes.
const MOST_TAGS: usize = 64;
const LONGEST_TAG: usize = 256;

/// The words by which an answer can be purged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheTags(Box<[Box<[u8]>]>);

impl CacheTags {
    /// The words in `Cache-Tag` and `Surrogate-Key`; `None` if they are too many or too long to be kept: an answer
    /// that misses one of its tags would outlive its purge.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        if !headers.contains_key(CACHE_TAG) && !headers.contains_key(SURROGATE_KEY) {
            return Some(Self::default());
        }
        let (tags, keys) = (joined(headers, &CACHE_TAG), joined(headers, &SURROGATE_KEY));
        let keys = keys.split(|byte| matches!(byte, b' ' | b'\t' | b',')).filter(|key| !key.is_empty());
        let all: Vec<Box<[u8]>> = list_members(&tags).chain(keys).map(Into::into).collect();
        let fits = all.len() <= MOST_TAGS && all.iter().all(|tag| tag.len() <= LONGEST_TAG);
        fits.then(|| Self(all.into()))
    }

    /// Whether it is one of the words.
    pub fn has(&self, tag: &str) -> bool {
        self.0.iter().any(|own| **own == *tag.as_bytes())
    }

    pub(super) fn weight(&self) -> usize {
        self.0.iter().map(|tag| tag.len() + 16).sum()
    }
}
