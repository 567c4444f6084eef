//! Which values a product, the key of a reservation and its lines may have.

use std::collections::BTreeSet;

use crate::bindings::exports::shop::products::products::{FieldError, Line, PriceChanges, ProductChanges};
use crate::currency::is_currency;

/// The greatest whole number that JSON carries exactly (RFC 8259, section 6).
pub(crate) const MAX_AMOUNT: u64 = (1 << 53) - 1;
/// The greatest stock that a caller may set. The rest of `u32` is room for quantities that releases give back on top
/// of it.
pub(crate) const MAX_STOCK: u32 = 1_000_000_000;
/// In characters.
const MAX_NAME: usize = 200;
const MAX_SKU: usize = 64;
const MAX_KEY: usize = 255;
/// The length of a key from outside, without the prefix that is added: with the prefix it stays below [`MAX_KEY`].
const MAX_OUTSIDE_KEY: usize = 200;
const MAX_LINES: usize = 100;

/// The changes in the form in which they are stored, or every field that breaks a rule.
pub(crate) fn accept(mut changes: ProductChanges) -> Result<ProductChanges, Vec<FieldError>> {
    let errors = check(&changes);
    if !errors.is_empty() {
        return Err(errors);
    }
    if let Some(name) = &mut changes.name {
        *name = name.trim().to_owned();
    }
    Ok(changes)
}

/// Every given field that breaks a rule.
pub(crate) fn check(changes: &ProductChanges) -> Vec<FieldError> {
    let PriceChanges { amount, currency } =
        changes.price.clone().unwrap_or(PriceChanges { amount: None, currency: None });
    let sku = changes.sku.as_deref().filter(|sku| !is_sku(sku));
    let name = changes.name.as_deref().filter(|name| !is_name(name.trim()));
    let amount = amount.filter(|amount| *amount > MAX_AMOUNT);
    let currency = currency.filter(|currency| !is_currency(currency));
    let stock = changes.stock.filter(|stock| *stock > MAX_STOCK);
    let errors = [
        sku.map(|_| error("/sku", format!("must be 1 to {MAX_SKU} of A-Z, a-z, 0-9, '.', '_' and '-'"))),
        name.map(|_| error("/name", format!("must be 1 to {MAX_NAME} characters, and no control characters"))),
        amount.map(|_| error("/price/amount", format!("must be a whole number from 0 to {MAX_AMOUNT}"))),
        currency.map(|_| error("/price/currency", "must be a currency of ISO 4217 in capitals")),
        stock.map(|_| error("/stock", format!("must be a whole number from 0 to {MAX_STOCK}"))),
    ];
    errors.into_iter().flatten().collect()
}

/// Refuses a key that is not 1 to 255 visible ASCII characters.
pub(crate) fn check_key(key: &str) -> Result<(), Vec<FieldError>> {
    key_error(key, MAX_KEY).map_or(Ok(()), |error| Err(vec![error]))
}

/// Refuses a key or a quantity that a caller from outside may not use.
pub(crate) fn check_outside(key: &str, quantity: u32) -> Result<(), Vec<FieldError>> {
    let quantity = (quantity == 0).then(|| error("/quantity", "must be at least 1"));
    let errors: Vec<_> = key_error(key, MAX_OUTSIDE_KEY).into_iter().chain(quantity).collect();
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn key_error(key: &str, longest: usize) -> Option<FieldError> {
    let good = key.bytes().all(|byte| byte.is_ascii_graphic()) && (1..=longest).contains(&key.len());
    (!good).then(|| error("/key", format!("must be 1 to {longest} visible ASCII characters")))
}

/// Every line that breaks a rule.
pub(crate) fn check_lines(lines: &[Line]) -> Result<(), Vec<FieldError>> {
    if !(1..=MAX_LINES).contains(&lines.len()) {
        return Err(vec![error("/lines", format!("must be 1 to {MAX_LINES} lines"))]);
    }
    let mut seen = BTreeSet::new();
    let mut errors = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        if line.quantity == 0 {
            errors.push(error(&format!("/lines/{index}/quantity"), "must be at least 1"));
        }
        if !seen.insert(line.product) {
            errors.push(error(&format!("/lines/{index}/product"), "must not be the product of another line"));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn error(pointer: &str, detail: impl Into<String>) -> FieldError {
    FieldError { pointer: pointer.to_owned(), detail: detail.into() }
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control)
}

fn is_sku(sku: &str) -> bool {
    (1..=MAX_SKU).contains(&sku.len()) && sku.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointers(errors: Vec<FieldError>) -> Vec<String> {
        errors.into_iter().map(|error| error.pointer).collect()
    }

    #[test]
    fn every_field_that_breaks_a_rule_is_named() {
        let price = PriceChanges { amount: Some(MAX_AMOUNT + 1), currency: Some("eur".to_owned()) };
        let wrong = ProductChanges {
            sku: Some("a b".to_owned()),
            name: Some(" ".to_owned()),
            price: Some(price),
            stock: Some(MAX_STOCK + 1),
        };
        assert_eq!(pointers(check(&wrong)), ["/sku", "/name", "/price/amount", "/price/currency", "/stock"]);
        let nothing = ProductChanges { sku: None, name: None, price: None, stock: None };
        assert_eq!(check(&nothing), vec![]);
        assert_eq!(check(&ProductChanges { stock: Some(MAX_STOCK), ..nothing }), vec![]);
    }

    #[test]
    fn an_sku_has_1_to_64_allowed_characters() {
        assert!(is_sku("A") && is_sku("mug-01_B.2") && is_sku(&"a".repeat(64)));
        for wrong in ["", "a/b", "ä", "a b", &"a".repeat(65)] {
            assert!(!is_sku(wrong), "{wrong}");
        }
    }

    #[test]
    fn lines_must_be_1_to_100_with_each_product_once() {
        let lines = [(1, 1), (2, 0), (1, 2)].map(|(product, quantity)| Line { product, quantity });
        let errors = check_lines(&lines).expect_err("two lines are wrong");
        assert_eq!(pointers(errors), ["/lines/1/quantity", "/lines/2/product"]);
        assert!(check_lines(&lines[..1]).is_ok());
        assert!(check_lines(&[]).is_err());
        let many: Vec<_> = (0..101).map(|product| Line { product, quantity: 1 }).collect();
        assert!(check_lines(&many).is_err() && check_lines(&many[1..]).is_ok());
    }

    #[test]
    fn keys_must_be_1_to_255_visible_ascii_characters() {
        assert!(check_key("orders/4711").is_ok() && check_key(&"k".repeat(255)).is_ok());
        for wrong in ["", "a b", "ä", "a\n", &"k".repeat(256)] {
            assert!(check_key(wrong).is_err(), "{wrong}");
        }
        assert!(check_outside(&"k".repeat(200), 1).is_ok());
        let errors = check_outside(&"k".repeat(201), 0).expect_err("both are wrong");
        assert_eq!(pointers(errors), ["/key", "/quantity"]);
    }
}
