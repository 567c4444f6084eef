//! The keys of `[[route]]` that change requests and answers.

use super::reader::section::Section;
use super::service::Services;
use super::{compress, decompress, header_edits, mirror};
use crate::gateway::RouteTransforms;

/// What the route changes.
pub(super) fn read(section: &mut Section<'_>, services: &Services) -> RouteTransforms {
    RouteTransforms {
        compression: compress::read(section),
        decoding: decompress::read(section),
        request_headers: header_edits::requests(section),
        answer_headers: header_edits::answers(section),
        mirror: mirror::read(section, services),
    }
}
