//! A customer that orders again and again: some orders twice at the same time, some repeatedly until the answer is
//! definite.

use super::shop_client::{OrderOutcome, OrderRequest, ShopClient};
use futures_util::future::join;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often a customer that insists sends an order.
const MOST_REPEATS: usize = 6;
/// How long a customer waits between two requests when the shop is unavailable.
const PAUSE: Duration = Duration::from_millis(10);

/// What a customer knows about one idempotency key.
#[derive(Debug)]
pub struct Receipt {
    pub wanted: OrderRequest,
    /// The order, if an answer contained one.
    pub order: Option<Value>,
    /// Whether an order may exist although no answer contained it: after `unavailable` nothing is certain.
    pub open: bool,
}

impl Receipt {
    fn new(wanted: OrderRequest) -> Self {
        Self { wanted, order: None, open: false }
    }

    /// Records an answer. All answers to one key must show the same order.
    pub fn note(&mut self, outcome: OrderOutcome) {
        match outcome {
            OrderOutcome::Placed(order) => {
                if let Some(first) = &self.order {
                    assert_eq!(*first, order, "two answers to one key show two orders: {:?}", self.wanted);
                }
                (self.order, self.open) = (Some(order), false);
            }
            OrderOutcome::Unavailable => self.open = self.order.is_none(),
            OrderOutcome::SoldOut | OrderOutcome::UnknownUser => {
                assert!(self.order.is_none(), "an order that was placed got a refusal: {self:?}");
            }
        }
    }
}

/// Orders at least `quota` times, and continues while `busy` is set.
pub async fn customer(shop: &ShopClient, seed: u64, quota: usize, busy: &AtomicBool) -> Vec<Receipt> {
    let mut dice = SmallRng::seed_from_u64(seed);
    let mut receipts = Vec::new();
    while receipts.len() < quota || busy.load(Ordering::Relaxed) {
        let key = format!("{seed}-{}", receipts.len());
        let mut receipt = Receipt::new(OrderRequest::any(&mut dice, key, shop));
        match dice.random_range(0..4) {
            0 => twice(shop, &mut receipt).await,
            1 => insist(shop, &mut receipt).await,
            _ => receipt.note(shop.place(&receipt.wanted).await),
        }
        if receipt.order.is_some() && dice.random_range(0..8) == 0 {
            receipt.note(shop.place(&receipt.wanted).await);
        }
        if receipt.open {
            tokio::time::sleep(PAUSE).await;
        }
        receipts.push(receipt);
    }
    receipts
}

/// Sends the order twice at the same time, like a customer who clicks twice.
async fn twice(shop: &ShopClient, receipt: &mut Receipt) {
    let (first_answer, second_answer) = join(shop.place(&receipt.wanted), shop.place(&receipt.wanted)).await;
    // The order of the two answers is unknown, so a placed order is recorded last.
    let (first, second) = match first_answer {
        OrderOutcome::Placed(_) => (second_answer, first_answer),
        _ => (first_answer, second_answer),
    };
    receipt.note(first);
    receipt.note(second);
}

async fn insist(shop: &ShopClient, receipt: &mut Receipt) {
    for _ in 0..MOST_REPEATS {
        receipt.note(shop.place(&receipt.wanted).await);
        if !receipt.open {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}
