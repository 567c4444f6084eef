//! Floor 9: the work of those who write services: new services from templates, and builds.
//!
//! Owns the templates of each language (`host/templates`), which build is out of date, and the running of builds.
//!
//! What always holds: a new service is a folder that did not exist; a build runs the command of the manifest in the
//! component's folder, and a component that a failed build left behind is never served by `atoll dev`.
//!
//! Never: it talks to a host, or runs in one.
//!
//! From the top: `template` → `language`; `build_step` → `source_files`. Tests stand in the files;
//! `tests/it/project.rs` drives the binary.

mod build_step;
mod language;
mod source_files;
mod template;

pub use build_step::{BuildFailure, BuildStep};
pub use language::{ContractCode, Language, ServiceFace};
pub use template::{NewService, TemplateError, check_name, create};
