//! Floor 2: which outside hosts a service may reach.
//!
//! Owns the allow-list of a service ([`Allow`], its [`EgressRule`]s), and the ranges of addresses that are not the public internet
//! ([`forbidden`]). What always holds: nothing is permitted that no rule names; a host that is spelled in an unusual way (octal,
//! hexadecimal, percent-encoded) falls under no rule; an address that is written inside of another one (IPv4 in IPv6) is judged by what
//! it leads to; the metadata service of a cloud is reached by its literal address in a rule alone. Never: resolves a name, connects.
//!
//! A name is checked twice: [`Allow::permits`] before it is resolved, [`EgressRule::admits`] for every address that it resolves to. The
//! second is what stops a permitted name whose owner points it at 127.0.0.1.
//!
//! Tests: `tests.rs` holds rules against a naive model, `range_tests.rs` the ranges against the registries' networks as texts.

mod allow;
mod host;
mod range;
#[cfg(test)]
mod range_tests;
mod rule;
#[cfg(test)]
mod tests;

pub use allow::Allow;
pub use range::{Range, forbidden};
pub use rule::{EgressRule, InvalidRule};
