//! Owns typed routes: a request becomes arguments, a result becomes an answer. `pipeline.rs` has the order of steps.
//! Always: the route's `HttpBinding` says where everything is; what is passed on to the service fits its contract.
//! Never: knows what a value is: values are made and read by the types of the contract.

mod arguments;
mod media_type;
mod query;
#[cfg(test)]
mod tests;
mod typed_answer;
mod typed_error;

pub(super) use arguments::Arguments;
pub(super) use media_type::{brings_body, check_accept, check_content_type};
pub(super) use typed_answer::{EchoedArguments, answer};
