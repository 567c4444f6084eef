//! The native service `orders`: it checks the user, stores what it is going to reserve, reserves it, and stores the
//! order.

use super::dependencies::Dependencies;
use super::products;
use super::records::{Records, decode, new_id, now, record_key};
use super::refusal::Refusal;
use super::wire::{Line, NewOrder, Order, OrderDetails, OrderLine, Price, ReservedLine};
use axum::extract::{Path, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many pending records a call reads before it places an order, as in the component.
const SWEEP: usize = 4;

struct OrderService {
    records: Records,
    dependencies: Dependencies,
}

/// An order as it is stored. Its id is part of its key.
#[derive(Debug, Deserialize, Serialize)]
struct Record {
    user: u64,
    lines: Vec<StoredLine>,
    amount: u64,
    currency: String,
    placed: u64,
    reservation: String,
}

#[derive(Debug, Deserialize, Serialize)]
struct StoredLine {
    product: u64,
    sku: String,
    name: String,
    quantity: u32,
    amount: u64,
}

/// What an order asks for, with one quantity for each product.
#[derive(Debug, PartialEq, Eq, Deserialize, Serialize)]
struct Wanted {
    user: u64,
    pieces: BTreeMap<u64, u32>,
}

/// What is stored at a caller's key.
#[derive(Debug, Deserialize, Serialize)]
struct KeyRecord {
    id: u64,
    wanted: Wanted,
}

/// A reservation that has no order yet.
#[derive(Debug, Deserialize, Serialize)]
struct Pending {
    key: String,
    reservation: String,
    since: u64,
}

pub(super) fn router(records: Records, dependencies: Dependencies) -> Router {
    Router::new()
        .route("/orders", post(place))
        .route("/orders/{id}", get(find))
        .route("/orders/{id}/details", get(details))
        .with_state(Arc::new(OrderService { records, dependencies }))
}

async fn find(State(service): State<Arc<OrderService>>, Path(id): Path<u64>) -> Result<Json<Order>, Refusal> {
    service.find(id).await.map(Json)
}

async fn details(State(service): State<Arc<OrderService>>, Path(id): Path<u64>) -> Result<Json<OrderDetails>, Refusal> {
    let order = service.find(id).await?;
    let ids: Vec<_> = order.lines.iter().map(|line| line.product).collect();
    let (user, products) =
        tokio::join!(service.dependencies.find_user(order.user), service.dependencies.find_products(&ids));
    Ok(Json(OrderDetails { order, user: user?, products: products? }))
}

type Created = (StatusCode, [(HeaderName, String); 1], Json<Order>);

async fn place(
    State(service): State<Arc<OrderService>>,
    headers: HeaderMap,
    Json(new): Json<NewOrder>,
) -> Result<Created, Refusal> {
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default();
    if !(1..=200).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Refusal::Invalid("/key", "must be 1 to 200 visible ASCII characters".to_owned()));
    }
    let order = service.place(key, &accept(&new)?).await?;
    Ok((StatusCode::CREATED, [(LOCATION, format!("/orders/{}", order.id))], Json(order)))
}

/// Checks an order, and adds up the lines of each product.
fn accept(new: &NewOrder) -> Result<Wanted, Refusal> {
    let wrong = |detail: &str| Refusal::Invalid("/lines", detail.to_owned());
    if !(1..=100).contains(&new.lines.len()) {
        return Err(wrong("must be 1 to 100 lines"));
    }
    let mut pieces = BTreeMap::new();
    for line in &new.lines {
        let sum: &mut u32 = pieces.entry(line.product).or_default();
        *sum = sum
            .checked_add(line.quantity)
            .filter(|_| line.quantity > 0)
            .ok_or_else(|| wrong("has a wrong quantity"))?;
    }
    Ok(Wanted { user: new.user, pieces })
}

impl OrderService {
    async fn find(&self, id: u64) -> Result<Order, Refusal> {
        let found: Option<Record> = self.records.find(vec![record_key("order", id)]).await?.pop().flatten();
        Ok(order(id, found.ok_or(Refusal::NotFound)?))
    }

    async fn place(&self, key: &str, wanted: &Wanted) -> Result<Order, Refusal> {
        // The component would give up old records. In a measurement there are none.
        let _: Vec<Pending> = self.records.first("pending/", SWEEP).await?;
        if let Some(order) = self.find_by_key(key, wanted).await? {
            return Ok(order);
        }
        self.dependencies
            .find_user(wanted.user)
            .await?
            .ok_or_else(|| Refusal::Invalid("/user", "must be the id of a user".to_owned()))?;
        let (id, reservation) = self.begin(key, wanted).await?;
        let lines = wanted.pieces.iter().map(|(product, quantity)| Line { product: *product, quantity: *quantity });
        let stock = products::Wanted { key: reservation, lines: lines.collect() };
        let reserved = self.dependencies.reserve(&stock).await?;
        let total = total(&reserved)?;
        self.keep(id, wanted.user, stock.key, reserved, total).await
    }

    /// The order that was placed under this key.
    async fn find_by_key(&self, key: &str, wanted: &Wanted) -> Result<Option<Order>, Refusal> {
        let found: Option<KeyRecord> = self.records.find(vec![format!("key/{key}")]).await?.pop().flatten();
        let Some(KeyRecord { id, wanted: held }) = found else { return Ok(None) };
        if held != *wanted {
            return Err(Refusal::Conflict("the key was used for another order".to_owned()));
        }
        let found: Option<Record> = self.records.find(vec![record_key("order", id)]).await?.pop().flatten();
        found.map(|record| Some(order(id, record))).ok_or_else(under_way)
    }

    /// Stores what is going to be reserved.
    async fn begin(&self, key: &str, wanted: &Wanted) -> Result<(u64, String), Refusal> {
        let mut number = 0;
        loop {
            let mut draft = self.records.begin(number).await?;
            if let [Some(_)] = &draft.read(vec![format!("key/{key}")]).await?[..] {
                return Err(under_way());
            }
            let id = new_id();
            let reservation = format!("orders/{id}-{:016x}", rand::random::<u64>());
            draft.claim(record_key("order", id));
            let Wanted { user, pieces } = wanted;
            draft
                .put(format!("key/{key}"), &KeyRecord { id, wanted: Wanted { user: *user, pieces: pieces.clone() } })?;
            draft.claim(record_key("pending", id));
            let pending = Pending { key: key.to_owned(), reservation: reservation.clone(), since: now() };
            draft.put(record_key("pending", id), &pending)?;
            if draft.commit().await? {
                return Ok((id, reservation));
            }
            number += 1;
        }
    }

    /// Stores the order whose stock is reserved, unless another call has given it up in the meantime.
    async fn keep(
        &self,
        id: u64,
        user: u64,
        reservation: String,
        reserved: Vec<ReservedLine>,
        total: Price,
    ) -> Result<Order, Refusal> {
        let line = |line: ReservedLine| {
            let ReservedLine { product, quantity, sku, name, price, .. } = line;
            StoredLine { product, sku, name, quantity, amount: price.amount }
        };
        let Price { amount, currency } = total;
        let lines = reserved.into_iter().map(line).collect();
        let record = Record { user, lines, amount, currency, placed: now(), reservation };
        let mut number = 0;
        loop {
            let mut draft = self.records.begin(number).await?;
            let pending = draft.read(vec![record_key("pending", id)]).await?.pop().flatten();
            let pending = pending.map(|pending| decode::<Pending>(&pending)).transpose()?;
            if pending.is_none_or(|pending| pending.reservation != record.reservation) {
                return Err(Refusal::Unavailable("another call has given it up".to_owned()));
            }
            draft.claim(record_key("order", id));
            draft.put(record_key("order", id), &record)?;
            draft.delete(record_key("pending", id));
            if draft.commit().await? {
                return Ok(order(id, record));
            }
            number += 1;
        }
    }
}

fn under_way() -> Refusal {
    Refusal::Unavailable("an earlier call with this key is still under way".to_owned())
}

/// What the lines cost together.
fn total(lines: &[ReservedLine]) -> Result<Price, Refusal> {
    let currency = lines.first().map(|line| line.price.currency.clone()).unwrap_or_default();
    if lines.iter().any(|line| line.price.currency != currency) {
        return Err(Refusal::Conflict("one order cannot have prices in several currencies".to_owned()));
    }
    let add = |sum: u64, line: &ReservedLine| sum.checked_add(line.price.amount.checked_mul(line.quantity.into())?);
    let amount = lines.iter().try_fold(0, add).filter(|amount| *amount < 1 << 53);
    Ok(Price { amount: amount.ok_or_else(|| Refusal::Conflict("the order costs too much".to_owned()))?, currency })
}

fn order(id: u64, record: Record) -> Order {
    let price = |amount| Price { amount, currency: record.currency.clone() };
    let line = |line: StoredLine| {
        let StoredLine { product, sku, name, quantity, amount } = line;
        OrderLine { product, sku, name, quantity, price: price(amount) }
    };
    let total = price(record.amount);
    Order { id, user: record.user, total, placed: record.placed, lines: record.lines.into_iter().map(line).collect() }
}
