//! The native service `products`, with its reservations.

use super::records::{Draft, Records, decode, new_id, record_key};
use super::refusal::Refusal;
use super::wire::{Line, NewProduct, Price, Product, ReservedLine};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A product as it is stored. Its id is part of its key.
#[derive(Debug, Deserialize, Serialize)]
struct Record {
    sku: String,
    name: String,
    amount: u64,
    currency: String,
    stock: u32,
}

/// What is stored at the key of a reservation.
#[derive(Debug, Deserialize, Serialize)]
enum Reservation {
    Held(Vec<Taken>),
    Released,
}

#[derive(Debug, Deserialize, Serialize)]
struct Taken {
    product: u64,
    quantity: u32,
    sku: String,
    name: String,
    amount: u64,
    currency: String,
    stock: u32,
}

pub(super) fn router(records: Records) -> Router {
    Router::new()
        .route("/products", post(create))
        .route("/products/{id}", get(find))
        .route("/products/by-ids/{ids}", get(find_many))
        .route("/reservations", post(reserve))
        .with_state(Arc::new(records))
}

async fn create(
    State(records): State<Arc<Records>>,
    Json(new): Json<NewProduct>,
) -> Result<(StatusCode, Json<Product>), Refusal> {
    let NewProduct { sku, name, price: Price { amount, currency }, stock } = new;
    if sku.is_empty() || sku.len() > 64 || name.trim().is_empty() {
        return Err(Refusal::Invalid("/sku", "must be 1 to 64 characters, and so must the name".to_owned()));
    }
    let record = Record { sku, name: name.trim().to_owned(), amount, currency, stock };
    let sku_key = format!("sku/{}", record.sku);
    let mut number = 0;
    loop {
        let mut draft = records.begin(number).await?;
        if let [Some(_)] = &draft.read(vec![sku_key.clone()]).await?[..] {
            return Err(Refusal::Conflict(format!("the SKU {} is taken", record.sku)));
        }
        let id = new_id();
        draft.claim(record_key("product", id));
        draft.put(record_key("product", id), &record)?;
        draft.put(sku_key.clone(), &id)?;
        if draft.commit().await? {
            return Ok((StatusCode::CREATED, Json(product(id, record))));
        }
        number += 1;
    }
}

async fn find(State(records): State<Arc<Records>>, Path(id): Path<u64>) -> Result<Json<Product>, Refusal> {
    let found = records.find(vec![record_key("product", id)]).await?.pop().flatten();
    Ok(Json(product(id, found.ok_or(Refusal::NotFound)?)))
}

/// `ids` are separated by commas.
async fn find_many(
    State(records): State<Arc<Records>>,
    Path(ids): Path<String>,
) -> Result<Json<Vec<Option<Product>>>, Refusal> {
    let ids: Result<Vec<u64>, _> = ids.split(',').map(str::parse).collect();
    let ids = ids.ok().filter(|ids| ids.len() <= 100).ok_or(Refusal::NotFound)?;
    let found = records.find(ids.iter().map(|id| record_key("product", *id)).collect()).await?;
    Ok(Json(found.into_iter().zip(ids).map(|(found, id)| Some(product(id, found?))).collect()))
}

fn product(id: u64, record: Record) -> Product {
    let Record { sku, name, amount, currency, stock } = record;
    Product { id, sku, name, price: Price { amount, currency }, stock }
}

/// Stock to take, under a key that makes it idempotent.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Wanted {
    pub(super) key: String,
    pub(super) lines: Vec<Line>,
}

async fn reserve(
    State(records): State<Arc<Records>>,
    Json(wanted): Json<Wanted>,
) -> Result<Json<Vec<ReservedLine>>, Refusal> {
    let Wanted { key, lines } = wanted;
    let mut seen = BTreeSet::new();
    if !(1..=255).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Refusal::Invalid("/key", "must be 1 to 255 visible ASCII characters".to_owned()));
    }
    if !(1..=100).contains(&lines.len()) || !lines.iter().all(|line| line.quantity > 0 && seen.insert(line.product)) {
        return Err(Refusal::Invalid("/lines", "must be 1 to 100 lines, each of another product".to_owned()));
    }
    let key = format!("reservation/{key}");
    let mut number = 0;
    loop {
        let mut draft = records.begin(number).await?;
        let keys = std::iter::once(key.clone()).chain(lines.iter().map(|line| record_key("product", line.product)));
        let mut found = draft.read(keys.collect()).await?.into_iter();
        if let Some(reservation) = found.next().flatten() {
            return repeat(decode(&reservation)?, &lines).map(Json);
        }
        let taken: Result<Vec<_>, _> =
            lines.iter().zip(found).map(|(line, product)| take(&mut draft, line, product)).collect();
        let reservation = Reservation::Held(taken?);
        draft.put(key.clone(), &reservation)?;
        if draft.commit().await? {
            return repeat(reservation, &lines).map(Json);
        }
        number += 1;
    }
}

/// Takes the quantity of one line within the transaction.
fn take(draft: &mut Draft<'_>, line: &Line, product: Option<Vec<u8>>) -> Result<Taken, Refusal> {
    let mut product: Record = decode(&product.ok_or(Refusal::NotFound)?)?;
    let Some(stock) = product.stock.checked_sub(line.quantity) else {
        let Record { sku, stock, .. } = product;
        return Err(Refusal::Conflict(format!("{} of {sku} are wanted and {stock} are left", line.quantity)));
    };
    product.stock = stock;
    draft.put(record_key("product", line.product), &product)?;
    let Record { sku, name, amount, currency, .. } = product;
    Ok(Taken { product: line.product, quantity: line.quantity, sku, name, amount, currency, stock })
}

/// The answer for a used key to a call with these lines.
fn repeat(reservation: Reservation, lines: &[Line]) -> Result<Vec<ReservedLine>, Refusal> {
    let Reservation::Held(taken) = reservation else {
        return Err(Refusal::Conflict("the reservation was released".to_owned()));
    };
    let mut taken: BTreeMap<_, _> = taken.into_iter().map(|taken| (taken.product, taken)).collect();
    let find = |line: &Line| taken.remove(&line.product).filter(|taken| taken.quantity == line.quantity);
    let found: Option<Vec<_>> = lines.iter().map(find).collect();
    match found {
        Some(found) if taken.is_empty() => Ok(found.into_iter().map(ReservedLine::from).collect()),
        _ => Err(Refusal::Conflict("the key was used for other lines".to_owned())),
    }
}

impl From<Taken> for ReservedLine {
    fn from(taken: Taken) -> Self {
        let Taken { product, quantity, sku, name, amount, currency, stock } = taken;
        Self { product, quantity, sku, name, price: Price { amount, currency }, stock }
    }
}
