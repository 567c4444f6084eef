//! Owns what crosses the border of a store: values, streams and futures, and HTTP bodies.
//! Plain values cross as they are, and a stream that breaks off never looks like one that ended.
//! Never: knows the data of a store, or the instance behind it.

pub(super) mod body;
pub(super) mod bridge;
pub(super) mod detached;
pub(super) mod lifeline;
pub(super) mod read_ahead;
pub(super) mod timed_body;
