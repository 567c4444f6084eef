//! The names of topics.

use std::fmt;
use std::sync::Arc;

/// The longest name, in bytes.
const LONGEST: usize = 128;

/// The name of a topic: words of `a-z`, `0-9` and `-`, joined by dots, at most 128 bytes: `orders.placed`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicName(Arc<str>);

/// A text that is no [`TopicName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no topic name: use words of a-z, 0-9 and '-', joined by dots, 1 to 128 bytes: orders.placed")]
pub struct InvalidTopicName(String);

impl TopicName {
    /// The name `name`, checked.
    ///
    /// # Errors
    /// [`InvalidTopicName`] when it has another form.
    pub fn new(name: &str) -> Result<Self, InvalidTopicName> {
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let word = |word: &str| !word.is_empty() && word.bytes().all(legal);
        let valid = name.len() <= LONGEST && name.split('.').all(word);
        if valid { Ok(Self(name.into())) } else { Err(InvalidTopicName(name.into())) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_words_joined_by_dots() {
        for good in ["orders.placed", "a", "0", "a-b.c-1.d", &"a".repeat(128)] {
            assert_eq!(TopicName::new(good).unwrap().as_str(), good);
        }
        for bad in ["", ".", "a.", ".a", "a..b", "Orders", "a_b", "a b", "a/b", "a:b", "é", &"a".repeat(129)] {
            assert!(TopicName::new(bad).is_err(), "{bad}");
        }
    }
}
