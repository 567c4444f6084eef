//! What crosses the border of a store: arguments and results, streams and futures, HTTP bodies, and JSON's view of a value.
//! Plain values belong to no store and cost nothing to move; a stream that breaks off never looks like one that ended.
//! Never: knows the data of a store, or what an instance is.

pub(super) mod body;
pub(super) mod bridge;
pub(super) mod detached;
pub(super) mod lifeline;
mod value;
