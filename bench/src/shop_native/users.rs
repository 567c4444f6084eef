//! The native service `users`.

use super::records::{Records, new_id, record_key};
use super::refusal::Refusal;
use super::wire::{NewUser, User};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A user as it is stored. Its id is part of its key.
#[derive(Debug, Deserialize, Serialize)]
struct Record {
    name: String,
    email: String,
}

pub(super) fn router(records: Records) -> Router {
    Router::new().route("/users", post(create)).route("/users/{id}", get(find)).with_state(Arc::new(records))
}

async fn create(
    State(records): State<Arc<Records>>,
    Json(new): Json<NewUser>,
) -> Result<(StatusCode, Json<User>), Refusal> {
    let NewUser { name, email } = new;
    let name = name.trim().to_owned();
    if name.is_empty() || name.chars().count() > 200 {
        return Err(Refusal::Invalid("/name", "must be 1 to 200 characters".to_owned()));
    }
    if !email.contains('@') || email.len() > 254 {
        return Err(Refusal::Invalid("/email", "must be an email address of at most 254 bytes".to_owned()));
    }
    let record = Record { name, email };
    let email_key = format!("email/{}", record.email.to_lowercase());
    let mut number = 0;
    loop {
        let mut draft = records.begin(number).await?;
        if let [Some(_)] = &draft.read(vec![email_key.clone()]).await?[..] {
            return Err(Refusal::Conflict(format!("the email {} is taken", record.email)));
        }
        let id = new_id();
        draft.claim(record_key("user", id));
        draft.put(record_key("user", id), &record)?;
        draft.put(email_key.clone(), &id)?;
        if draft.commit().await? {
            return Ok((StatusCode::CREATED, Json(user(id, record))));
        }
        number += 1;
    }
}

async fn find(State(records): State<Arc<Records>>, Path(id): Path<u64>) -> Result<Json<User>, Refusal> {
    let found = records.find(vec![record_key("user", id)]).await?.pop().flatten();
    Ok(Json(user(id, found.ok_or(Refusal::NotFound)?)))
}

fn user(id: u64, record: Record) -> User {
    let Record { name, email } = record;
    User { id, name, email }
}
