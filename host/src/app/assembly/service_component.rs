//! A component of a service, with what is known of it before the host serves.

use crate::contract::Contract;
use crate::runtime::{Component, Link};
use std::sync::Arc;

/// One service's component.
pub(in crate::app) struct ServiceComponent {
    pub(in crate::app) component: Component,
    /// The services that answer its imports.
    pub(in crate::app) links: Vec<Link>,
    /// Its contract, with the docs of its WIT files if the manifest names their folder.
    pub(in crate::app) described: Arc<Contract>,
}
