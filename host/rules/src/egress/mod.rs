//! Floor 2: which outside hosts a service may reach.
//!
//! Owns the allow-list of a service ([`Allow`], its [`EgressRule`]s), and the ranges of addresses that are not on the
//! public internet ([`forbidden`]).
//!
//! What always holds: nothing is permitted that no rule names. A host in an unusual spelling (octal, hexadecimal,
//! percent-encoded) matches no rule. An IPv4 address inside an IPv6 address is judged by where it leads. Only a rule
//! with its literal address permits the metadata service of a cloud.
//!
//! Never: resolves a name, connects.
//!
//! A name is checked twice: [`Allow::permits`] before it is resolved, and [`EgressRule::admits`] for every address
//! that it resolves to. The second check stops a permitted name whose owner points it at 127.0.0.1.
//!
//! Tests: `tests.rs` compares the rules with a naive model, and `range_tests.rs` compares the ranges with the
//! registries' networks as texts.

mod allow;
mod egress_rule;
mod host;
mod pattern;
mod range;
#[cfg(test)]
mod range_tests;
#[cfg(test)]
mod tests;

pub use allow::Allow;
pub use egress_rule::{EgressRule, InvalidRule};
pub use range::{Range, forbidden};
