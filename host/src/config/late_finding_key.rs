//! The keys of a service that can be found wrong late: when its component is loaded. (All keys: `service.rs`.)

/// A key of a service that can be wrong in a way which only its component shows. For a route, these keys are
/// [`HttpBindingKey`](crate::contract::HttpBindingKey)s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LateFindingKey {
    /// The component itself: it does not load.
    Component,
    /// The services that it may call: it imports an interface that these do not grant.
    Calls,
    /// Its WIT files: they do not describe the component.
    Wit,
    /// The certificates of its https addresses; if `ca` is not written, the addresses: the host has no roots to check
    /// certificates against.
    Ca,
    /// The functions that may be called twice: the component lacks one of them.
    Idempotent,
    /// The function of the health check: the component lacks it, or it cannot be a health check.
    Health,
}
