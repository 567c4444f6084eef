//! The service `users`: the component behind the contract `shop:users`.
//!
//! `users` is the domain and implements the contract; `rules` says what a name and an email are; `http` is an adapter
//! that calls the contract and nothing else; `bindings` is generated. State: `user/ID` holds a user, `email/ADDRESS`
//! (its case folded) the id of the user whose email it is. Both change in one commit, so an email is always taken by
//! somebody who exists.

pub mod bindings;
pub mod http;
mod rules;
pub mod users;
