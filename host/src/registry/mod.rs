//! Floor 3: the discovery table.
//!
//! Owns the table from a service's name to its entry, as one immutable snapshot. What always holds: a reader sees a
//! whole snapshot, old or new, never a mixture, and never waits for a writer; writers do not lose each other's changes.
//! Never: it does not know what an entry is (`mesh` defines it), and calls no service. Tests stand beside the file.

mod table;

pub use table::{Registry, Snapshot};
