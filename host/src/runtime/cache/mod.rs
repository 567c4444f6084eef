//! Owns compiled code: on disk, so that a warm start compiles nothing, and in memory, once for all services.
//! It keeps components with debug information beside their code.
//! Code is run only if no other user can have written it, and if it is byte for byte what the compiler made.
//! Never: knows a service. The only `unsafe` code of the host is here, in `code_cache`.

pub(super) mod code_cache;
mod compilers;
pub(super) mod shared_code;
mod stamp;
