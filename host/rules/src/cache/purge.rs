//! What an operator takes out of the store.

use super::cache_key::CacheKey;
use super::kept_answer::KeptAnswer;

/// Which answers go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purge {
    /// All.
    All,
    /// Those of this path, whatever host and query.
    Path(String),
    /// Those of this path and the paths below it.
    Prefix(String),
    /// Those that have this tag.
    Tag(String),
}

impl Purge {
    /// Whether it takes this answer.
    pub fn takes(&self, key: &CacheKey, kept: &KeptAnswer) -> bool {
        let path = key.path();
        match self {
            Self::All => true,
            Self::Path(own) => path == own,
            Self::Prefix(prefix) => {
                let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
                path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            Self::Tag(tag) => kept.tags.has(tag),
        }
    }
}
