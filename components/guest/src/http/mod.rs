//! HTTP: the face that a service shows to the gateway, and requests to other services and to hosts outside.
//!
//! A face is one function from a [`Request`] to a [`Response`] or a [`Problem`]; [`http_service!`](crate::http_service)
//! exports it. Requests and responses are plain values, so a face is tested natively, with [`answer`]. Bodies are held
//! whole, and bounded by [`MAX_BODY`] and [`MAX_ANSWER`].

mod fetch;
mod fields;
mod handler;
mod problem;
mod request;
mod response;

pub use crate::failure::FieldError;
pub use fetch::{Fetched, MAX_ANSWER, fetch, get, head, post};
pub use fields::{Expect, Fields};
pub use handler::{method_name, serve};
pub use problem::Problem;
pub use request::{MAX_BODY, PageQuery, Request, decode_segment};
pub use response::{Response, answer};
