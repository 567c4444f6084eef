//! Components and interfaces made of WIT text, for tests.

use super::interface::{Contract, Interface, InterfaceName};
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{LiftLowerAbi, ManglingAndAbi, Resolve};

/// A component for the one world of the package in `wit`, that does nothing. Other packages may follow in braces.
pub(crate) fn component(wit: &str) -> Vec<u8> {
    let mut resolve = Resolve { all_features: true, ..Resolve::default() };
    let package =
        resolve.push_source("sample.wit", wit).unwrap_or_else(|error| panic!("{}", resolve.render_error(&error)));
    let world = resolve.select_world(&[package], None).unwrap();
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Legacy(LiftLowerAbi::Sync));
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).unwrap();
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}

/// What a component for the one world of `wit` exports and imports.
pub(crate) fn contract(wit: &str) -> Contract {
    Contract::decode(&component(wit)).unwrap()
}

/// A contract that exports `a:b/i@1.0.0` with this body.
pub(crate) fn exporting(body: &str) -> Contract {
    contract(&format!("package a:b@1.0.0; interface i {{ {body} }} world w {{ export i; }}"))
}

/// The interface with this body, as a component exports it.
pub(crate) fn interface(body: &str) -> Interface {
    exporting(body).exports.remove(&name()).expect("it is exported")
}

/// The name of the interface in [`exporting`] and [`interface`].
pub(crate) fn name() -> InterfaceName {
    InterfaceName::new("a:b/i@1.0.0")
}
