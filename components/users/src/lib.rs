//! The service `users`: the component behind the contract `shop:users`.
//!
//! The modules:
//! - `users` implements the contract.
//! - `rules` says which names and emails are valid.
//! - `http` is an adapter that calls only the contract.
//! - `bindings` is generated.
//!
//! State, as keys of the service's own bucket: `user/ID` holds a user; `email/ADDRESS` (with its case folded) holds
//! the id of the user who has this email. Both change in one commit, so a taken email always belongs to an existing
//! user.

pub mod bindings;
pub mod http;
mod rules;
pub mod users;
