//! Owns what tests make contracts and values of: components from WIT text, values, strategies for random types.
//! Always: compiled for tests alone.
//! Never: imported by code that ships.

mod json_schema;
mod sample_component;
mod sample_value;

pub use json_schema::misfit;
pub use sample_component::{component, contract, exporting, interface, name};
pub use sample_value::{SampleValue, enumeration, flags, record, typed, types, values, variant};
