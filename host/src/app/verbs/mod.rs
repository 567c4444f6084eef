//! The verbs that need no running host: `check`, `inspect`, `replay`, `test`, and the files of a cluster's authority.
//! Always: they read a manifest as a start does (`assembly`).
//! Never: they open the state of the manifest, or a socket that others reach.
//! From the top: `test_order` → `test_bench` → `stand_ins`; the others stand alone.

pub(super) mod check;
pub(super) mod cluster_authority;
pub(super) mod inspect;
pub(super) mod replay;
mod stand_ins;
mod test_bench;
pub(super) mod test_order;
