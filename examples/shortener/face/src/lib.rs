//! The HTTP of the shortener: what typed routes cannot say, redirects.

atoll_guest::neighbours!(path: "../wit", world: "face-service");
atoll_guest::problems!(links::Error { not_found, invalid, unavailable, internal });
atoll_guest::http_service!(answer);

use atoll_guest::http::{Expect, Problem, Request, Response};
use bindings::example::shortener::links;
use serde_json::json;

async fn answer(request: &Request) -> Result<Response, Problem> {
    match (request.method(), request.segments().as_slice()) {
        ("POST", ["links"]) => {
            let mut fields = request.fields(Expect::All)?;
            let target = fields.string("target").unwrap_or_default();
            fields.finish([])?;
            let link = links::create(target).await?;
            Ok(Response::json(201, &json!({"slug": link.slug})).with_header("location", format!("/{}", link.slug)))
        }
        ("GET", [slug]) => Ok(Response::redirect(302, links::follow((*slug).to_owned()).await?)),
        ("GET", ["links", slug]) => {
            let link = links::get((*slug).to_owned()).await?;
            Ok(Response::json(200, &json!({"target": link.target, "visits": link.visits})))
        }
        _ => Err(Problem::not_found("there is nothing at this path")),
    }
}
