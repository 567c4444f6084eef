//! Compiled code: on disk, so that a warm start compiles nothing, and in memory, once for all services of one component.
//! Machine code is run only if no other user can have written it and it is, byte for byte, what this host's compiler made.
//! Never: knows what a component is for. The only module with `unsafe` is `code_cache`.

pub(super) mod code_cache;
mod compilers;
pub(super) mod shared_code;
mod stamp;
