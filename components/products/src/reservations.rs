//! Reservations: stock taken for an order under a key, and given back.
//!
//! A key goes one way: unused, held, released; or at once from unused to released, so that a `reserve` that was
//! delayed on its way and arrives after its `release` takes nothing. What a held key took is stored with it: the second
//! call gets the first one's answer, and `release` knows what to give back.

use platform::{Platform, Transaction, decode, transact};
use serde::{Deserialize, Serialize};

use crate::bindings::exports::shop::products::products::{Error, Line, Price, ProductId, ReservedLine};
use crate::products::{Record, product_key};
use crate::rules;

/// What is stored at a key.
#[derive(Debug, Serialize, Deserialize)]
enum Reservation {
    /// Stock was taken.
    Held(Vec<Taken>),
    /// Stock was given back, or will never be taken.
    Released,
}

/// One line of a reservation, as `reserved-line` has it.
#[derive(Debug, Serialize, Deserialize)]
struct Taken {
    product: ProductId,
    quantity: u32,
    sku: String,
    name: String,
    amount: u64,
    currency: String,
    stock: u32,
}

impl From<Taken> for ReservedLine {
    fn from(taken: Taken) -> Self {
        let Taken { product, quantity, sku, name, amount, currency, stock } = taken;
        Self { product, quantity, sku, name, price: Price { amount, currency }, stock }
    }
}

/// Takes the pieces of all lines under this key, or of none.
pub(crate) async fn reserve(platform: &impl Platform, key: &str, lines: &[Line]) -> Result<Vec<ReservedLine>, Error> {
    rules::check_key(key)?;
    rules::check_lines(lines)?;
    let key = reservation_key(key);
    transact(platform, async |transaction| {
        // One snapshot of the key and the products: otherwise the same call, committed in between, would look like
        // products that are sold out.
        let keys = std::iter::once(key.clone()).chain(lines.iter().map(|line| product_key(line.product)));
        let mut found = transaction.read_many(keys.collect()).await?.into_iter();
        if let Some(reservation) = found.next().flatten() {
            return repeat(decode(&key, &reservation)?, lines);
        }
        let taken = lines.iter().zip(found).map(|(line, product)| take(transaction, line, product));
        let taken = taken.collect::<Result<Vec<_>, Error>>()?;
        let reservation = Reservation::Held(taken);
        transaction.put(key.clone(), &reservation);
        repeat(reservation, lines)
    })
    .await
}

/// Gives back what was taken under this key, once.
pub(crate) async fn release(platform: &impl Platform, key: &str) -> Result<(), Error> {
    rules::check_key(key)?;
    let key = reservation_key(key);
    transact(platform, async |transaction| {
        let [reservation] = transaction.read([key.clone()]).await?;
        let taken = match reservation.map(|reservation| decode(&key, &reservation)).transpose()? {
            Some(Reservation::Released) => return Ok(()),
            Some(Reservation::Held(taken)) => taken,
            None => Vec::new(),
        };
        let keys: Vec<_> = taken.iter().map(|taken| product_key(taken.product)).collect();
        let products = transaction.read_many(keys.clone()).await?;
        for ((taken, key), product) in taken.iter().zip(keys).zip(products) {
            // A product that was removed meanwhile has no stock to which the pieces could return.
            let Some(product) = product else { continue };
            let mut product: Record = decode(&key, &product)?;
            product.stock = product.stock.saturating_add(taken.quantity);
            transaction.put(key, &product);
        }
        transaction.put(key.clone(), &Reservation::Released);
        Ok(())
    })
    .await
}

/// Takes one line's pieces within the transaction.
fn take<P: Platform>(
    transaction: &mut Transaction<'_, P>,
    line: &Line,
    product: Option<Vec<u8>>,
) -> Result<Taken, Error> {
    let key = product_key(line.product);
    let mut product: Record = decode(&key, &product.ok_or(Error::NotFound)?)?;
    let Some(stock) = product.stock.checked_sub(line.quantity) else {
        let Record { sku, stock, .. } = product;
        return Err(Error::Conflict(format!("{} of {sku} are wanted and {stock} are left", line.quantity)));
    };
    product.stock = stock;
    transaction.put(key, &product);
    let Price { amount, currency } = product.price();
    let Record { sku, name, .. } = product;
    Ok(Taken { product: line.product, quantity: line.quantity, sku, name, amount, currency, stock })
}

/// The answer of a key that is used, to the call with these lines.
fn repeat(reservation: Reservation, lines: &[Line]) -> Result<Vec<ReservedLine>, Error> {
    let Reservation::Held(taken) = reservation else {
        return Err(Error::Conflict("the reservation was released".to_owned()));
    };
    let same = taken.iter().map(|taken| (taken.product, taken.quantity));
    if !same.eq(lines.iter().map(|line| (line.product, line.quantity))) {
        return Err(Error::Conflict("the key was used for other lines".to_owned()));
    }
    Ok(taken.into_iter().map(ReservedLine::from).collect())
}

fn reservation_key(key: &str) -> String {
    format!("reservation/{key}")
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use platform::memory::{Memory, block_on, interleave};

    use super::*;
    use crate::bindings::exports::shop::products::products::{Guest, NewProduct};
    use crate::products::Products;

    type Service = Products<Memory>;
    type Step = Pin<Box<dyn Future<Output = Result<(), Error>>>>;

    fn product(sku: &str, stock: u32) -> ProductId {
        let price = Price { amount: 1250, currency: "EUR".to_owned() };
        let new = NewProduct { sku: sku.to_owned(), name: "Mug".to_owned(), price, stock };
        block_on(Service::create(new)).expect("created").id
    }

    fn stock(id: ProductId) -> u32 {
        block_on(Service::get(id)).expect("the product").stock
    }

    fn line(product: ProductId, quantity: u32) -> Line {
        Line { product, quantity }
    }

    fn reserve(key: &str, lines: &[Line]) -> Result<Vec<ReservedLine>, Error> {
        block_on(Service::reserve(key.to_owned(), lines.to_vec()))
    }

    fn release(key: &str) -> Result<(), Error> {
        block_on(Service::release(key.to_owned()))
    }

    #[test]
    fn all_lines_or_none() {
        let _memory = Memory::fresh();
        let (mug, cup) = (product("mug", 5), product("cup", 1));
        assert!(matches!(reserve("k", &[line(mug, 2), line(cup, 2)]), Err(Error::Conflict(_))));
        assert_eq!(reserve("k", &[line(mug, 2), line(7, 1)]), Err(Error::NotFound));
        assert_eq!((stock(mug), stock(cup)), (5, 1));
        let taken = reserve("k", &[line(mug, 2), line(cup, 1)]).expect("a refused call left the key unused");
        assert_eq!((taken[0].stock, taken[1].stock, taken[1].price.amount), (3, 0, 1250));
        assert_eq!((stock(mug), stock(cup)), (3, 0));
    }

    #[test]
    fn the_same_call_gets_the_same_answer() {
        let _memory = Memory::fresh();
        let (mug, cup) = (product("mug", 5), product("cup", 5));
        let first = reserve("k", &[line(mug, 2)]).expect("reserved");
        reserve("other", &[line(mug, 3)]).expect("reserved");
        assert_eq!(reserve("k", &[line(mug, 2)]), Ok(first.clone()));
        block_on(Service::remove(mug)).expect("removed");
        assert_eq!(reserve("k", &[line(mug, 2)]), Ok(first));
        for other in [vec![line(mug, 1)], vec![line(cup, 2)], vec![line(mug, 2), line(cup, 1)]] {
            assert!(matches!(reserve("k", &other), Err(Error::Conflict(_))));
        }
        assert_eq!(stock(cup), 5);
    }

    #[test]
    fn a_release_gives_back_once() {
        let _memory = Memory::fresh();
        let (mug, cup) = (product("mug", 5), product("cup", 5));
        reserve("k", &[line(mug, 2), line(cup, 1)]).expect("reserved");
        block_on(Service::remove(cup)).expect("removed");
        assert_eq!((release("k"), release("k")), (Ok(()), Ok(())));
        assert_eq!(stock(mug), 5);
        assert!(matches!(reserve("k", &[line(mug, 2)]), Err(Error::Conflict(_))));
    }

    #[test]
    fn a_reserve_that_comes_after_its_release_takes_nothing() {
        let _memory = Memory::fresh();
        let mug = product("mug", 5);
        assert_eq!(release("k"), Ok(()));
        assert!(matches!(reserve("k", &[line(mug, 1)]), Err(Error::Conflict(_))));
        assert_eq!(stock(mug), 5);
    }

    #[test]
    fn two_at_once_never_take_the_last_item() {
        for seed in 0..200 {
            let _memory = Memory::fresh();
            let mug = product("mug", 3);
            let calls = (0..8).map(|n| Service::reserve(format!("k{n}"), vec![line(mug, 1)]));
            let answers = interleave(seed, calls.collect());
            let (taken, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
            assert_eq!((taken.len(), stock(mug)), (3, 0), "seed {seed}");
            assert!(refused.iter().all(|answer| matches!(answer, Err(Error::Conflict(_)))), "seed {seed}");
            let mut left: Vec<_> = taken.iter().flatten().map(|lines| lines[0].stock).collect();
            left.sort_unstable();
            assert_eq!(left, [0, 1, 2], "seed {seed}");
        }
    }

    #[test]
    fn one_key_many_times_at_once_takes_once() {
        for seed in 0..200 {
            let _memory = Memory::fresh();
            let mug = product("mug", 2);
            let calls = (0..6).map(|_| Service::reserve("k".to_owned(), vec![line(mug, 2)]));
            let answers = interleave(seed, calls.collect());
            assert!(answers.iter().all(|answer| answer.is_ok() && *answer == answers[0]), "seed {seed}: {answers:?}");
            assert_eq!(stock(mug), 0, "seed {seed}");
        }
    }

    #[test]
    fn a_saga_in_doubt_loses_no_stock_and_finds_none() {
        for seed in 0..300 {
            let _memory = Memory::fresh();
            let (mug, cup) = (product("mug", 4), product("cup", 4));
            let reserve = |key: &'static str| -> Step {
                let lines = vec![line(mug, 1), line(cup, 2)];
                Box::pin(async move { Service::reserve(key.to_owned(), lines).await.map(|_| ()) })
            };
            let release = |key: &'static str| -> Step { Box::pin(Service::release(key.to_owned())) };
            let steps = vec![reserve("a"), release("a"), reserve("a"), release("a"), reserve("b"), reserve("b")];
            let answers = interleave(seed, steps);
            assert_eq!((&answers[1], &answers[3]), (&Ok(()), &Ok(())), "seed {seed}");
            // "a" was released, in whatever order; "b" is held once, if "a" had not taken what it needed.
            let held = u32::from(answers[4].is_ok() || answers[5].is_ok());
            assert_eq!((stock(mug), stock(cup)), (4 - held, 4 - 2 * held), "seed {seed}");
        }
    }
}
