//! Typed routes over real sockets: a small shop, whose functions are closures.

mod answers;
mod description;
mod requests;
mod shop;
