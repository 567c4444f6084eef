//! A wing: routes that lead to a folder, whose files the gateway serves itself.
//!
//! What always holds: an answer has bytes of a regular file below the folder, whatever the path spells and wherever
//! links lead; no name that begins with a dot is served, but `.well-known` (RFC 8615); a large file costs 64 KiB of
//! memory at a time. Never: lists a folder.

mod conditions;
mod file_answer;
mod file_path;
mod file_range;
mod file_type;
mod opened_file;
mod static_folder;
#[cfg(test)]
mod tests;

pub use file_path::FilePath;
pub(super) use static_folder::REFUSED;
pub use static_folder::StaticFolder;
