//! Floor 2: the gateway's routing table.
//!
//! Owns which rule a request matches, the path that the service gets, and the way back for the paths in the service's
//! answers. A [`Rule`] is checked when it is made; a [`RoutingTable`] is built once and then only read; the target of a
//! rule (`T`) is the caller's.
//!
//! What always holds:
//! - The rule found is the first by this precedence (Kubernetes Gateway API): an exact host, then the longer wildcard,
//!   then any host; an exact path, in which a literal segment goes before a parameter, from left to right; then the
//!   longest prefix; then a rule that names methods; then the rule with the most headers; then the rule that was
//!   written first.
//! - A lookup walks the request's path, not the list of rules.
//! - Two spellings of a path that a service may take for the same path do not match two rules. What cannot be told
//!   apart safely (dot segments, encoded slashes) is refused by [`Path::parse`], and [`RoutingTable::find`] accepts no
//!   other path.
//!
//! Never: changes the spelling of a path on its way to the service, merges empty segments, decides on a status.
//!
//! Tests: `tests.rs` compares the table with a naive model that scans and sorts all rules; the others stand beside the
//! files.

mod host_pattern;
mod path;
mod path_pattern;
mod rewrite;
mod route_match;
mod routing_table;
mod rule;
mod rule_error;
mod rule_index;
#[cfg(test)]
mod tests;

pub use path::{BadPath, Path, decode};
pub use rewrite::{Rewrite, Template};
pub use route_match::Match;
pub use routing_table::{RequestHead, RouteLookup, RoutingTable};
pub use rule::Rule;
pub use rule_error::RuleError;
