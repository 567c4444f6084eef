//! The names of nodes and zones.

use std::fmt;
use std::sync::Arc;

/// The longest name, in bytes: a DNS label, since a node's name stands in certificates and in the keys of the registry.
const LONGEST: usize = 63;

/// A text that names no node and no zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no name here: use 1 to 63 of a-z, 0-9 and '-', none of these '-' first or last")]
pub struct InvalidNodeName(String);

/// The name of a node, which no other node of its cluster has: `[a-z0-9]([a-z0-9-]*[a-z0-9])?`, at most 63 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeName(Arc<str>);

/// The name of a zone: nodes of one zone are near each other, and may fail together. Its form is that of a node's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ZoneName(Arc<str>);

impl NodeName {
    /// The name `name`, checked.
    ///
    /// # Errors
    /// [`InvalidNodeName`] when it is no DNS label.
    pub fn new(name: &str) -> Result<Self, InvalidNodeName> {
        checked(name).map(Self)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ZoneName {
    /// The name `name`, checked.
    ///
    /// # Errors
    /// [`InvalidNodeName`] when it is no DNS label.
    pub fn new(name: &str) -> Result<Self, InvalidNodeName> {
        checked(name).map(Self)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn checked(name: &str) -> Result<Arc<str>, InvalidNodeName> {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let framed = !name.starts_with('-') && !name.ends_with('-');
    let valid = (1..=LONGEST).contains(&name.len()) && framed && name.bytes().all(legal);
    if valid { Ok(name.into()) } else { Err(InvalidNodeName(name.into())) }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_dns_label() {
        let long = "a".repeat(63);
        for name in ["a", "7", "node-1", long.as_str()] {
            assert_eq!(NodeName::new(name).map(|name| name.to_string()), Ok(name.to_owned()));
            assert_eq!(ZoneName::new(name).map(|name| name.to_string()), Ok(name.to_owned()));
        }
        for name in ["", "-a", "a-", "A", "a.b", "a_b", "a*", "é", &format!("{long}a")] {
            assert_eq!(NodeName::new(name), Err(InvalidNodeName(name.to_owned())));
            assert!(ZoneName::new(name).is_err());
        }
    }
}
