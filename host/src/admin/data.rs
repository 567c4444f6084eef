//! The resources for exports, imports and snapshots of a service's data.

use super::change::finish;
use super::data_operations::{DataPieces, DataSource};
use super::data_view::{ImportedView, SnapshotView};
use super::handler::{AdminState, Name};
use super::operation_error::{OperationError, OperationErrorKind};
use super::operations::Operations;
use super::problem::AdminProblem;
use super::upload::is_solely;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use futures_util::stream::try_unfold;
use http::header::CONTENT_TYPE;
use http::{StatusCode, Uri};
use http_body_util::BodyExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// The media type of data: JSON, one object a line.
pub(super) const LINES: &str = "application/x-ndjson";
/// The most bytes that an import takes.
pub(super) const MOST_DATA: u64 = 16 << 30;
/// How long an upload may pause between two pieces.
const STALL: Duration = Duration::from_secs(30);

/// The routes beside the erasing of data. A change is made to its end, also if the operator disconnects.
pub(super) fn resources<O: Operations>() -> Router<Arc<AdminState<O>>> {
    Router::new()
        .route("/v1/services/{name}/data", get(export::<O>).post(import::<O>))
        .route("/v1/services/{name}/data/snapshots", get(snapshots::<O>).post(snapshot::<O>))
}

async fn export<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    Name(name): Name,
) -> Result<impl IntoResponse, AdminProblem> {
    let pieces = state.operations.export(&name).await?;
    Ok(([(CONTENT_TYPE, LINES)], Body::from_stream(pieces)))
}

async fn import<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    Name(name): Name,
    request: Request,
) -> Result<Json<ImportedView>, AdminProblem> {
    let ImportWish { replaces, snapshot } = ImportWish::read(request.uri())?;
    let source = match snapshot {
        Some(snapshot) => DataSource::Snapshot(snapshot),
        None if is_solely(request.headers(), LINES) => DataSource::Upload(pieces(request.into_body())),
        None => {
            let detail = format!(
                "an import takes the lines of an export: send them with `Content-Type: {LINES}`, or name a `snapshot`"
            );
            return Err(AdminProblem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-lines", detail));
        }
    };
    let operations = Arc::clone(&state.operations);
    finish(async move { operations.import(&name, source, replaces).await }).await
}

async fn snapshot<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    Name(name): Name,
) -> Result<Json<SnapshotView>, AdminProblem> {
    let operations = Arc::clone(&state.operations);
    finish(async move { operations.snapshot(&name).await }).await
}

async fn snapshots<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    Name(name): Name,
) -> Result<Json<Vec<SnapshotView>>, AdminProblem> {
    Ok(Json(state.operations.snapshots(&name).await?))
}

/// What an operator wants of an import.
#[derive(Default)]
struct ImportWish {
    replaces: bool,
    snapshot: Option<String>,
}

impl ImportWish {
    /// Reads the query. An unknown field is refused, so a typing error changes nothing.
    fn read(uri: &Uri) -> Result<Self, AdminProblem> {
        let mut wish = Self::default();
        for part in uri.query().unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some(("replace", "true")) => wish.replaces = true,
                Some(("replace", "false")) => wish.replaces = false,
                Some(("snapshot", name)) => wish.snapshot = Some(name.to_owned()),
                _ => {
                    let detail = "the query knows `replace=true`, `replace=false` and `snapshot=NAME`";
                    return Err(AdminProblem::new(StatusCode::BAD_REQUEST, "wrong-query", detail));
                }
            }
        }
        Ok(wish)
    }
}

/// The pieces of a body, of which none may let wait for long, and all together not be too many.
fn pieces(body: Body) -> DataPieces {
    let refused = |message: String| OperationError::new(OperationErrorKind::BadData, message);
    Box::pin(try_unfold((body, 0_u64), move |(mut body, before)| async move {
        loop {
            let frame = timeout(STALL, body.frame()).await;
            let frame = frame.map_err(|_| refused(format!("no piece arrived for {} seconds", STALL.as_secs())))?;
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|_| refused("the data broke off before their end".into()))?;
            let Ok(piece) = frame.into_data() else { continue };
            let bytes = before + piece.len() as u64;
            if bytes > MOST_DATA {
                return Err(refused(format!("an import takes at most {} GiB", MOST_DATA >> 30)));
            }
            return Ok(Some((piece, (body, bytes))));
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Answer, LOOPBACK, admin, get, read, request, send};
    use crate::base::full_body;

    async fn post(admin: &super::super::Admin, path: &str, media_type: &str, body: &str) -> Answer {
        let headers = [("host", LOOPBACK), ("content-type", media_type)];
        read(admin.handle(request("POST", path, &headers, full_body(body.to_owned()))).await).await
    }

    #[tokio::test]
    async fn data_go_out_and_in_as_lines() {
        let (admin, fake) = admin(LOOPBACK, None);
        let exported = get(&admin, "/v1/services/users/data").await;
        assert_eq!((exported.status.as_u16(), exported.text.as_str()), (200, "{\"a\":1}\n{\"end\":1}\n"));
        let imported = post(&admin, "/v1/services/users/data?replace=true", super::LINES, "some lines").await;
        assert_eq!((imported.status.as_u16(), imported.text.as_str()), (200, r#"{"written":10,"same":0}"#));
        let imported = post(&admin, "/v1/services/users/data?snapshot=7", "text/plain", "").await;
        assert_eq!(imported.status.as_u16(), 200, "{}", imported.text);
        let imports = fake.imports.lock().expect("free").clone();
        assert_eq!(imports, [("some lines".to_owned(), true), ("snapshot 7".to_owned(), false)]);
        let snapshot = send(&admin, "POST", "/v1/services/users/data/snapshots", &[("host", LOOPBACK)]).await;
        assert!(snapshot.text.contains(r#""name":"7""#), "{}", snapshot.text);
        let snapshots = get(&admin, "/v1/services/users/data/snapshots").await;
        assert!(snapshots.text.starts_with('['), "{}", snapshots.text);
    }

    #[tokio::test]
    async fn an_import_of_another_type_or_with_a_typing_error_changes_nothing() {
        let (admin, fake) = admin(LOOPBACK, None);
        for (path, media_type, status, kind) in [
            ("/v1/services/users/data", "text/plain", 415, "not-lines"),
            ("/v1/services/users/data?replase=true", super::LINES, 400, "wrong-query"),
            ("/v1/services/users/data?replace", super::LINES, 400, "wrong-query"),
        ] {
            let answer = post(&admin, path, media_type, "some lines").await;
            assert_eq!((answer.status.as_u16(), answer.problem()), (status, kind.to_owned()), "{path}");
        }
        assert!(fake.imports.lock().expect("free").is_empty());
    }
}
