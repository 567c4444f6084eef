//! Owns the tape of a call: it records what the host hands a guest and what the guest hands back, or it plays a
//! recording to the guest in place of the world. Every import whose answer is not the same each time asks the tape.
//! Without a tape a question costs one branch.
//!
//! A call is on tape only if its instance serves this call alone: what one call leaves in an instance would be missing
//! in the recording of the next.

pub(crate) mod call_tape;
mod confined_tape;
pub(crate) mod recorded_body;
pub(crate) mod recorder;
pub(crate) mod recording_head;
pub(crate) mod taped_exchange;
pub(crate) mod taped_sources;
pub(crate) mod taped_values;
