//! A customer: orders again and again, some with the same key twice at once, some until they are told something definite.

use super::market::{Market, Told, Wanted};
use futures_util::future::join;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often one who insists asks.
const INSISTENCE: usize = 6;
/// What a customer does between two questions, when the shop is unavailable.
const PAUSE: Duration = Duration::from_millis(10);

/// What came of one key.
#[derive(Debug)]
pub struct Receipt {
    pub wanted: Wanted,
    /// The order, if the customer was told of one.
    pub order: Option<Value>,
    /// Whether there may be an order all the same: `unavailable` is no certain no.
    pub open: bool,
}

impl Receipt {
    fn new(wanted: Wanted) -> Self {
        Self { wanted, order: None, open: false }
    }

    /// Notes an answer. All that a key is told of is one order.
    pub fn note(&mut self, told: Told) {
        match told {
            Told::Placed(order) => {
                if let Some(first) = &self.order {
                    assert_eq!(*first, order, "two orders of one key: {:?}", self.wanted);
                }
                (self.order, self.open) = (Some(order), false);
            }
            Told::Unavailable => self.open = self.order.is_none(),
            Told::SoldOut | Told::Nobody => {
                assert!(self.order.is_none(), "refused what was placed: {self:?}");
            }
        }
    }
}

/// Orders at least `quota` times, and for as long as the market is `busy`.
pub async fn customer(market: &Market, seed: u64, quota: usize, busy: &AtomicBool) -> Vec<Receipt> {
    let mut dice = SmallRng::seed_from_u64(seed);
    let mut receipts = Vec::new();
    while receipts.len() < quota || busy.load(Ordering::Relaxed) {
        let key = format!("{seed}-{}", receipts.len());
        let mut receipt = Receipt::new(Wanted::any(&mut dice, key, market));
        match dice.random_range(0..4) {
            0 => twice(market, &mut receipt).await,
            1 => insist(market, &mut receipt).await,
            _ => receipt.note(market.place(&receipt.wanted).await),
        }
        if receipt.order.is_some() && dice.random_range(0..8) == 0 {
            receipt.note(market.place(&receipt.wanted).await);
        }
        if receipt.open {
            tokio::time::sleep(PAUSE).await;
        }
        receipts.push(receipt);
    }
    receipts
}

/// As one who clicks twice.
async fn twice(market: &Market, receipt: &mut Receipt) {
    let (one, other) = join(market.place(&receipt.wanted), market.place(&receipt.wanted)).await;
    // Of two at once the order is not known, and so what is placed comes last.
    let (first, second) = if matches!(one, Told::Placed(_)) { (other, one) } else { (one, other) };
    receipt.note(first);
    receipt.note(second);
}

async fn insist(market: &Market, receipt: &mut Receipt) {
    for _ in 0..INSISTENCE {
        receipt.note(market.place(&receipt.wanted).await);
        if !receipt.open {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}
