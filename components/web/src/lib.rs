//! HTTP for the fixtures, from the crate for services in Rust.

pub use atoll_guest::http::{
    Expect, FieldError, Fields, MAX_BODY, PageQuery, Problem, Request, Response, answer, method_name, serve,
};
