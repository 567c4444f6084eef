//! HTTP for the shop's services: the code that every HTTP adapter would otherwise repeat.
//!
//! An adapter is one function from a [`Request`] to a [`Response`] or a [`Problem`]. [`answer`] runs the adapter and
//! turns a problem into an error document. [`serve`] does the same behind `wasi:http/handler`. Requests and responses
//! are plain values, so adapters are tested natively. Bodies are small JSON documents: they are held whole, bounded
//! by [`MAX_BODY`].

mod fields;
mod handler;
mod problem;
mod request;
mod response;

pub use fields::{Expect, FieldError, Fields};
pub use handler::{method_name, serve};
pub use problem::Problem;
pub use request::{MAX_BODY, PageQuery, Request};
pub use response::{Response, answer};
