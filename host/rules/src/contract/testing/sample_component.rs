//! Components and interfaces made of WIT text, for tests.

use crate::contract::wit::{Contract, Interface, InterfaceName};
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{LiftLowerAbi, ManglingAndAbi, Resolve};

/// A component that does nothing, for the one world of the package in `wit`. Other packages may follow in braces.
pub fn component(wit: &str) -> Vec<u8> {
    let mut resolve = Resolve { all_features: true, ..Resolve::default() };
    let package =
        resolve.push_source("sample.wit", wit).unwrap_or_else(|error| panic!("{}", resolve.render_error(&error)));
    let world = resolve.select_world(&[package], None).expect("the package has one world");
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Legacy(LiftLowerAbi::Sync));
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)
        .expect("the module is that of the world");
    let mut encoder = ComponentEncoder::default();
    let encoder = encoder.validate(true).module(&module).expect("the module has its world");
    encoder.encode().expect("the module does what its world says")
}

/// The contract of a component for the one world of `wit`.
pub fn contract(wit: &str) -> Contract {
    Contract::decode(&component(wit)).expect("it was encoded from this WIT")
}

/// A contract that exports an interface `a:b/i@1.0.0` with this body.
pub fn exporting(body: &str) -> Contract {
    contract(&format!("package a:b@1.0.0; interface i {{ {body} }} world w {{ export i; }}"))
}

/// The interface with this body, as a component exports it.
pub fn interface(body: &str) -> Interface {
    exporting(body).exports.remove(&name()).expect("it is exported")
}

/// The name of the interface of [`exporting`] and [`interface`].
pub fn name() -> InterfaceName {
    InterfaceName::new("a:b/i@1.0.0")
}
