//! Tests of the whole room: a signer of its own makes tokens, good and bad.

mod keys_and_demands;
mod signer;
mod tokens;
