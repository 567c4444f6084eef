//! A component of a service, with what is known of it before the host serves.

use crate::contract::Contract;
use crate::runtime::{Component, Link};
use std::sync::Arc;

/// One service's component.
pub(super) struct ServiceComponent {
    pub(super) component: Component,
    /// The services that answer its imports.
    pub(super) links: Vec<Link>,
    /// Its contract, with the docs of its WIT files if the manifest names their folder.
    pub(super) described: Arc<Contract>,
}
