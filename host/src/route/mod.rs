//! Floor 2: the gateway's routing table.
//!
//! Owns which rule a request falls under, the path that the service gets, and the way back for the paths that it answers with. A
//! [`Rule`] is checked when it is made; a [`Table`] is built once and then only read; what a rule leads to (`T`) is the caller's.
//!
//! What always holds:
//! - The rule found is the first by this precedence (Kubernetes Gateway API): an exact host, then the longer wildcard, then any host;
//!   an exact path, in which a literal segment goes before a parameter, from left to right; then the longest prefix; a rule that
//!   names methods; the one with the most headers; the first written.
//! - A lookup walks the request's path, not the list of rules.
//! - Two spellings of a path that a service may take for the same do not fall under two rules. What cannot be told apart safely
//!   (dot segments, encoded slashes) is refused by [`Path::parse`], and [`Table::find`] takes no other path.
//!
//! Never: changes the path's spelling on its way to the service, merges empty segments, decides on a status.
//!
//! Tests: `tests.rs` holds the table against a naive model that scans and sorts all rules; the rest stands beside each noun.

mod error;
mod host;
mod index;
mod matched;
mod path;
mod pattern;
mod rewrite;
mod rule;
mod table;
#[cfg(test)]
mod tests;

pub use error::RuleError;
pub use matched::Match;
pub use path::{BadPath, Path, decode};
pub use rewrite::{Rewrite, Template};
pub use rule::Rule;
pub use table::{RequestHead, RouteLookup, Table};
