//! Floor 3: the audit file: who changed what, and who was refused.
//!
//! Owns the lines of the file, the chain of digests that they form, and the writing of them.
//!
//! What always holds:
//! - Lines are only added. Each has the SHA-256 of the line before it, so a line that is changed, removed or put in
//!   between shows at the line after it, and [`verify`] names that line. (The last lines can be cut off without a trace
//!   in the file itself: keep the digest of the last line elsewhere.)
//! - [`AuditTrail::record`] returns when the line is on the disk. What was recorded so survives `kill -9` and a loss of
//!   power.
//! - A line that a crash has torn is closed, and the chain goes on after it with a line that says so.
//! - Refusals come from outside, and may be a flood: so many in a second get a line, and the next line has the number
//!   of the others.
//!
//! Never: a secret. Whoever records an event names things; the file never gets a key, a token or a password.
//!
//! Tests: `tests.rs`.

mod audit_file;
mod audit_line;
mod audit_record;
mod audit_tail;
mod audit_trail;
mod chain;
#[cfg(test)]
mod tests;

pub use audit_file::AuditFile;
pub use audit_line::AuditLine;
pub use audit_record::AuditRecord;
pub use audit_tail::AuditQuery;
pub use audit_trail::{AuditTrail, Settings};
pub use chain::{BrokenChain, VerifiedChain, verify};
