//! Owns how a function is reached over HTTP: the source of each parameter, and the status of each answer.
//! Always: a function is bound when the manifest is checked, and again when its component is replaced; serving a
//! request only looks things up.
//! Never: reads a request or writes an answer; the gateway does.

mod binder;
mod binding;
mod bound_function;
mod location;
mod param_source;
#[cfg(test)]
mod tests;

pub use binder::{HttpBindingError, HttpBindingKey, HttpBindingSpec};
pub use binding::HttpBinding;
pub use bound_function::BoundFunction;
pub use location::Location;
pub use param_source::{ParamSource, header_title_case};
