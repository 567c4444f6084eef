//! A manifest takes the place of the one that is served: all of it, or nothing.
//! Always: what is refused changes nothing; a manifest of one node takes nothing back that all nodes have agreed on.
//! Never: it reads a manifest in another way than a start does (`assembly`), or brings components up by itself.
//! From the top: `applier` (the implementation of `apply_manifest`) → `manifest_in_use`, `agreed_components`,
//! `kept_revisions` → `apply_view`, `apply_refusal`.

mod agreed_components;
pub(super) mod applier;
mod apply_refusal;
mod apply_view;
pub(super) mod kept_revisions;
pub(super) mod manifest_in_use;
mod stop_point;
