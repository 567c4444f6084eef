//! What a route changes in a request on its way to the service.

use super::body_decoding::EncodedUpload;
use super::body_limit::UploadStatus;
use super::call::Call;
use super::problem::Problem;
use super::settings::{RouteTransforms, Target};
use crate::base::{Body, CallContext};
use http::{HeaderMap, Request};
use std::sync::Arc;

/// What a route changes in one request.
pub(super) struct RequestChanges<'a> {
    transforms: &'a RouteTransforms,
    /// The coding that is taken off its body.
    pub(super) coding: Option<EncodedUpload>,
}

impl<'a> RequestChanges<'a> {
    /// The changes of a request with these headers.
    ///
    /// # Errors
    /// 415: the route takes codings off bodies, and does not know this one.
    pub(super) fn begin(target: &'a Target, headers: &HeaderMap) -> Result<Self, Problem> {
        let transforms = &target.transforms;
        let coding = match transforms.decoding {
            Some(decoding) => decoding.upload(headers, target.body_limit)?,
            None => None,
        };
        Ok(Self { transforms, coding })
    }

    /// Changes `request` as the last thing before its call, and has a copy of it sent if the route wants one.
    pub(super) fn apply<C: Call>(
        self,
        request: &mut Request<Body>,
        upload: &UploadStatus,
        mesh: &Arc<C>,
        context: &CallContext,
    ) {
        if let Some(coding) = self.coding {
            coding.take_off(request, upload);
        }
        if let Some(edits) = &self.transforms.request_headers {
            edits.apply(request.headers_mut());
        }
        if let Some(mirror) = &self.transforms.mirror {
            mirror.watch(mesh, request, context);
        }
    }
}
