//! The answers of routes that lead to no service.

use super::problem::Problem;
use super::settings::{Answerer, Target};
use crate::base::Body;
use crate::route::Match;
use http::Response;
use http::request::Parts;

/// The gateway's own answer on a route without a service: a file, or another address.
///
/// # Errors
/// There is no such file, or it cannot be sent as the request wants it.
pub(super) async fn answer(route: &Match<'_, Target>, head: &Parts) -> Result<Response<Body>, Problem> {
    match &route.target.answerer {
        // Boxed: a call of a service would pay for the size of this future.
        Answerer::Files(folder) => {
            // `/f` of a route for all below `/f` becomes `/`, a folder, whose page would have wrong references.
            let bare = route.rule.is_prefix() && !head.uri.path().ends_with('/');
            let path = route.upstream_path();
            Box::pin(folder.answer(head, (&path, bare), route.target.timeout)).await
        }
        Answerer::Redirection(redirection) => Ok(redirection.answer(route, head.uri.query())),
        Answerer::Service(_) | Answerer::Saga(_) => unreachable!("the pipeline reaches services and sagas itself"),
    }
}
