//! Typed routes: a request becomes the arguments of a function, and what the function answers becomes a response.
//!
//! A request comes through in the order in which `pipeline.rs` has it: the media types (`accept.rs`), the path, the query and the headers
//! (`arguments.rs`, `query.rs`), the body, the call, the answer (`answer.rs`, `refusal.rs`). The [`Face`](crate::contract::HttpBinding) says
//! where everything stands; values are made and read by the type that the contract has, and are never looked at here.

mod accept;
mod answer;
mod arguments;
mod query;
mod refusal;
#[cfg(test)]
mod tests;

pub(super) use accept::{check_sent, check_wanted};
pub(super) use answer::{Echo, answer};
pub(super) use arguments::Arguments;
