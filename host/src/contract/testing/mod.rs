//! Owns what tests make contracts and values of: components from WIT text, values, strategies for random types.
//! Always: compiled for tests alone.
//! Never: imported by code that ships.

mod json_schema;
mod sample_component;
mod sample_value;

pub(crate) use json_schema::misfit;
pub(crate) use sample_component::{component, contract, exporting, interface, name};
pub(crate) use sample_value::{SampleValue, enumeration, flags, record, typed, types, values, variant};
