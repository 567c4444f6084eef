//! Owns how a function is reached over HTTP: the source of each parameter, and the status of each answer.
//! Always: a function is bound once, when the manifest is checked; serving a request only looks things up.
//! Never: reads a request or writes an answer; the gateway does.

mod binder;
mod binding;
mod location;
mod param_source;
#[cfg(test)]
mod tests;

pub use binder::{HttpBindingError, HttpBindingKey, HttpBindingSpec};
pub use binding::HttpBinding;
pub use location::Location;
pub use param_source::{ParamSource, header_title_case};
