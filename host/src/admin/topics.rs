//! The resources for topics, their events and dead letters, and for schedules.

use super::change::finish;
use super::handler::AdminState;
use super::operations::Operations;
use super::order;
use super::problem::AdminProblem;
use super::query::AdminQuery;
use super::schedule_view::ScheduleView;
use super::topic_view::{EventStart, PublishRequest, RebuildRequest, RetryRequest, TopicAnswer, TopicOrder};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{StatusCode, Uri};
use std::sync::Arc;

/// The events of a page, if the operator names no number; and the most of them.
const PAGE: usize = 100;
const MOST: usize = 1000;

/// The routes.
pub(super) fn resources<O: Operations>() -> Router<Arc<AdminState<O>>> {
    Router::new()
        .route("/v1/topics", get(topics::<O>))
        .route("/v1/schedules", get(schedules::<O>))
        .route("/v1/topics/{topic}/events", get(events::<O>).post(publish::<O>))
        .route("/v1/topics/{topic}/subscriptions/{service}/dead", get(dead::<O>))
        .route("/v1/topics/{topic}/subscriptions/{service}/dead/retry", post(retry::<O>))
        .route("/v1/services/{name}/rebuild", post(rebuild::<O>))
}

type TopicReply = Result<Json<TopicAnswer>, AdminProblem>;
type TopicPath<T> = Result<Path<T>, PathRejection>;

async fn topics<O: Operations>(State(state): State<Arc<AdminState<O>>>) -> TopicReply {
    Ok(Json(state.operations.topics(TopicOrder::List).await?))
}

async fn schedules<O: Operations>(State(state): State<Arc<AdminState<O>>>) -> Json<Vec<ScheduleView>> {
    Json(state.operations.schedules())
}

async fn events<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    topic: TopicPath<String>,
    uri: Uri,
) -> TopicReply {
    let Path(topic) = named(topic)?;
    let query = AdminQuery::of(&uri, &["after", "since", "latest", "limit"])?;
    let from = match (query.number("after")?, query.number("since")?, query.number("latest")?) {
        (None, Some(since), None) => EventStart::Since(since),
        (None, None, Some(latest)) => EventStart::Latest(latest),
        (after, None, None) => EventStart::After(after.unwrap_or(0)),
        _ => return Err(wrong("`after`, `since` and `latest` exclude one another")),
    };
    let most = query.limit(PAGE, MOST)?;
    Ok(Json(state.operations.topics(TopicOrder::Events { topic, from, most }).await?))
}

async fn publish<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    topic: TopicPath<String>,
    request: Request,
) -> Result<(StatusCode, Json<TopicAnswer>), AdminProblem> {
    let Path(topic) = named(topic)?;
    let event: PublishRequest = order::event(request).await?;
    let operations = Arc::clone(&state.operations);
    let order = TopicOrder::Publish { topic, event };
    Ok((StatusCode::CREATED, finish(async move { operations.topics(order).await }).await?))
}

async fn dead<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    names: TopicPath<(String, String)>,
    uri: Uri,
) -> TopicReply {
    let Path((topic, service)) = named(names)?;
    let query = AdminQuery::of(&uri, &["after", "limit"])?;
    let (after, most) = (query.number("after")?.unwrap_or(0), query.limit(PAGE, MOST)?);
    Ok(Json(state.operations.topics(TopicOrder::Dead { topic, service, after, most }).await?))
}

async fn retry<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    names: TopicPath<(String, String)>,
    request: Request,
) -> TopicReply {
    let Path((topic, service)) = named(names)?;
    let RetryRequest { number } = order::event(request).await?;
    let operations = Arc::clone(&state.operations);
    finish(async move { operations.topics(TopicOrder::Retry { topic, service, number }).await }).await
}

async fn rebuild<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    name: TopicPath<String>,
    request: Request,
) -> TopicReply {
    let Path(service) = named(name)?;
    let wish: RebuildRequest = order::event(request).await?;
    if wish.after.is_some() && wish.since.is_some() {
        return Err(wrong("`after` and `since` exclude one another"));
    }
    let operations = Arc::clone(&state.operations);
    finish(async move { operations.topics(TopicOrder::Rebuild { service, order: wish }).await }).await
}

/// A path that is not UTF-8 names no topic.
fn named<T>(path: TopicPath<T>) -> Result<Path<T>, AdminProblem> {
    path.map_err(|_| AdminProblem::new(StatusCode::NOT_FOUND, "no-such-topic", "the path is not UTF-8"))
}

fn wrong(detail: &str) -> AdminProblem {
    AdminProblem::new(StatusCode::BAD_REQUEST, "wrong-query", detail)
}
