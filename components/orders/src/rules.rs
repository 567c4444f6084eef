//! Which orders are valid, and what an order costs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bindings::exports::shop::orders::orders::{Error, FieldError, NewOrder, Price};
use crate::bindings::shop::products::products::{Line, ReservedLine};

/// The greatest whole number that JSON carries exactly (RFC 8259, section 6).
const MAX_AMOUNT: u64 = (1 << 53) - 1;
const MAX_KEY: usize = 200;
const MAX_LINES: usize = 100;

/// What an order asks for, in one form for all equal orders: one quantity for each product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wanted {
    pub(crate) user: u64,
    pub(crate) pieces: BTreeMap<u64, u32>,
}

impl Wanted {
    /// The lines to reserve, one for each product.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.pieces.iter().map(|(product, quantity)| Line { product: *product, quantity: *quantity }).collect()
    }
}

/// The wanted order, or every rule that it breaks.
pub(crate) fn accept(key: &str, order: &NewOrder) -> Result<Wanted, Error> {
    let mut errors = Vec::new();
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) || !(1..=MAX_KEY).contains(&key.len()) {
        errors.push(error("/key".to_owned(), format!("must be 1 to {MAX_KEY} visible ASCII characters")));
    }
    if !(1..=MAX_LINES).contains(&order.lines.len()) {
        errors.push(error("/lines".to_owned(), format!("must be 1 to {MAX_LINES} lines")));
    }
    let mut pieces = BTreeMap::new();
    for (index, line) in order.lines.iter().enumerate().take(MAX_LINES) {
        let pointer = || format!("/lines/{index}/quantity");
        if line.quantity == 0 {
            errors.push(error(pointer(), "must be at least 1".to_owned()));
        }
        let sum: &mut u32 = pieces.entry(line.product).or_default();
        match sum.checked_add(line.quantity) {
            Some(more) => *sum = more,
            None => errors.push(error(pointer(), format!("must be at most {} with its product's others", u32::MAX))),
        }
    }
    if errors.is_empty() { Ok(Wanted { user: order.user, pieces }) } else { Err(Error::Invalid(errors)) }
}

/// The total price of the lines.
pub(crate) fn total(lines: &[ReservedLine]) -> Result<Price, Error> {
    let Some(currency) = lines.first().map(|line| &line.price.currency) else {
        return Err(Error::Internal("a reservation has no lines".to_owned()));
    };
    if let Some(other) = lines.iter().map(|line| &line.price.currency).find(|other| *other != currency) {
        return Err(Error::Conflict(format!("one order cannot have prices in {currency} and in {other}")));
    }
    let add = |sum: u64, line: &ReservedLine| sum.checked_add(line.price.amount.checked_mul(line.quantity.into())?);
    let amount = lines.iter().try_fold(0, add).filter(|amount| *amount <= MAX_AMOUNT);
    let amount = amount.ok_or_else(|| Error::Conflict(format!("the order costs more than {MAX_AMOUNT}")))?;
    Ok(Price { amount, currency: currency.clone() })
}

fn error(pointer: String, detail: String) -> FieldError {
    FieldError { pointer, detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::exports::shop::orders::orders::Line as Asked;
    use crate::bindings::shop::products::products::Price as Cost;

    fn order(lines: &[(u64, u32)]) -> NewOrder {
        let lines = lines.iter().map(|(product, quantity)| Asked { product: *product, quantity: *quantity });
        NewOrder { user: 7, lines: lines.collect() }
    }

    fn refused(key: &str, lines: &[(u64, u32)]) -> Vec<String> {
        match accept(key, &order(lines)) {
            Err(Error::Invalid(errors)) => errors.into_iter().map(|error| error.pointer).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn reserved(lines: &[(u32, u64, &str)]) -> Vec<ReservedLine> {
        let line = |(quantity, amount, currency): &(u32, u64, &str)| ReservedLine {
            product: 1,
            quantity: *quantity,
            sku: "mug".to_owned(),
            name: "Mug".to_owned(),
            price: Cost { amount: *amount, currency: (*currency).to_owned() },
            stock: 0,
        };
        lines.iter().map(line).collect()
    }

    #[test]
    fn lines_of_one_product_are_added_up() {
        let wanted = accept("k", &order(&[(3, 1), (1, 2), (3, 4)])).expect("accepted");
        assert_eq!(wanted.pieces, BTreeMap::from([(1, 2), (3, 5)]));
        assert_eq!(Ok(wanted), accept("other", &order(&[(1, 2), (3, 5)])));
    }

    #[test]
    fn every_rule_that_an_order_breaks_is_named() {
        assert_eq!(refused("", &[]), ["/key", "/lines"]);
        assert_eq!(
            refused("a b", &[(1, 1), (1, 0), (2, u32::MAX), (2, 1)]),
            ["/key", "/lines/1/quantity", "/lines/3/quantity"]
        );
        let many: Vec<_> = (0..101).map(|product| (product, 1)).collect();
        assert_eq!(refused(&"k".repeat(201), &many), ["/key", "/lines"]);
        assert!(accept(&"k".repeat(200), &order(&many[1..])).is_ok());
    }

    #[test]
    fn a_total_is_exact_and_refused_if_it_is_too_large_or_mixes_currencies() {
        let price = |amount| Price { amount, currency: "EUR".to_owned() };
        assert_eq!(total(&reserved(&[(2, 1250, "EUR"), (1, 99, "EUR")])), Ok(price(2599)));
        assert_eq!(total(&reserved(&[(1, MAX_AMOUNT, "EUR")])), Ok(price(MAX_AMOUNT)));
        for too_much in [&[(1, MAX_AMOUNT, "EUR"), (1, 1, "EUR")][..], &[(u32::MAX, MAX_AMOUNT, "EUR")]] {
            assert!(matches!(total(&reserved(too_much)), Err(Error::Conflict(_))), "{too_much:?}");
        }
        assert!(matches!(total(&reserved(&[(1, 1, "EUR"), (1, 1, "JPY")])), Err(Error::Conflict(_))));
        assert!(matches!(total(&[]), Err(Error::Internal(_))));
    }
}
