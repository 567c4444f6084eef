//! Reservations: stock that is taken for an order under a key, and given back.
//!
//! The state of a key only moves forward: unused, held, released. It may also go from unused directly to released, so
//! that a `reserve` which was delayed and arrives after its `release` takes nothing. What a key took is stored with
//! it, so a repeated call gets the first answer again, and `release` knows what to give back.
//!
//! Known limit: every key that was ever used or released is kept for ever, because nothing tells when the last
//! delayed call has arrived. The database grows by one small entry for each order; there is no sweep yet.

use std::collections::BTreeMap;

use atoll_guest::{Platform, Transaction, decode, transact};
use serde::{Deserialize, Serialize};

use crate::bindings::exports::shop::products::products::{
    Error, Line, Price, ProductId, ReservedLine, ReservedProduct,
};
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

/// One line of a reservation: `reserved-line` of the contract.
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

/// Takes the quantities of all lines under this key, or of no line.
pub(crate) async fn reserve(platform: &impl Platform, key: &str, lines: &[Line]) -> Result<Vec<ReservedLine>, Error> {
    rules::check_key(key)?;
    rules::check_lines(lines)?;
    let key = reservation_key(key);
    transact(platform, async |transaction| {
        // One snapshot of the key and the products. With two reads, the same call committed between them would look
        // like products that are sold out.
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

/// Takes stock of one product for a caller from outside. Keys from outside get a prefix, so that they never equal the
/// key of a service.
pub(crate) async fn reserve_one(
    platform: &impl Platform,
    id: ProductId,
    key: &str,
    quantity: u32,
) -> Result<ReservedProduct, Error> {
    rules::check_outside(key, quantity)?;
    let mut reserved = reserve(platform, &format!("http/{key}"), &[Line { product: id, quantity }]).await?;
    let line = reserved.pop().ok_or_else(|| Error::Internal("a reservation of one line has no line".to_owned()))?;
    let ReservedLine { product: id, quantity, sku, name, price, stock } = line;
    Ok(ReservedProduct { id, sku, name, price, stock, quantity })
}

/// Gives back, once, what was taken under this key.
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
            // A product that was removed in the meantime has no stock to which the quantity could return.
            let Some(product) = product else { continue };
            let mut product: Record = decode(&key, &product)?;
            product.stock = product.stock.checked_add(taken.quantity).ok_or_else(|| no_room(&product, taken))?;
            transaction.put(key, &product);
        }
        transaction.put(key.clone(), &Reservation::Released);
        Ok(())
    })
    .await
}

/// Takes the quantity of one line within the transaction.
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

/// The stock has no room for the returned quantity: it was set anew many times while reservations were held. Giving
/// back a part would lose the rest. So nothing is given back, and the key stays held until there is room.
fn no_room(product: &Record, taken: &Taken) -> Error {
    let Record { sku, stock, .. } = product;
    Error::Conflict(format!("{} of {sku} are given back and its stock of {stock} has no room", taken.quantity))
}

/// The answer for a used key to a call with these lines, in the order of these lines.
fn repeat(reservation: Reservation, lines: &[Line]) -> Result<Vec<ReservedLine>, Error> {
    let Reservation::Held(taken) = reservation else {
        return Err(Error::Conflict("the reservation was released".to_owned()));
    };
    let mut taken: BTreeMap<_, _> = taken.into_iter().map(|taken| (taken.product, taken)).collect();
    let find = |line: &Line| taken.remove(&line.product).filter(|taken| taken.quantity == line.quantity);
    let found: Option<Vec<_>> = lines.iter().map(find).collect();
    match found {
        Some(found) if taken.is_empty() => Ok(found.into_iter().map(ReservedLine::from).collect()),
        _ => Err(Error::Conflict("the key was used for other lines".to_owned())),
    }
}

fn reservation_key(key: &str) -> String {
    format!("reservation/{key}")
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use atoll_guest::memory::{Memory, block_on, interleave};

    use super::*;
    use crate::bindings::exports::shop::products::products::{Guest, NewProduct, ProductChanges};
    use crate::products::Products;
    use crate::rules::MAX_STOCK;

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
    fn keys_from_outside_never_equal_keys_of_services() {
        let _memory = Memory::fresh();
        let mug = product("mug", 5);
        let one = |key: &str, quantity| block_on(reserve_one(&Memory::current(), mug, key, quantity));
        let first = one("k", 2).expect("reserved");
        assert_eq!((first.id, first.sku.as_str(), first.stock, first.quantity), (mug, "mug", 3, 2));
        assert_eq!(one("k", 2), Ok(first));
        assert!(matches!(one("k", 1), Err(Error::Conflict(_))));
        assert_eq!(
            reserve("k", &[line(mug, 1)]).map(|lines| lines[0].stock),
            Ok(2),
            "a key of a service must differ from the same key from outside"
        );
        assert_eq!(release("k"), Ok(()));
        assert_eq!(stock(mug), 3, "a release by a service must not give back what was taken from outside");
        assert!(matches!(one("", 1), Err(Error::Invalid(errors)) if errors[0].pointer == "/key"));
        assert!(matches!(one("l", 0), Err(Error::Invalid(errors)) if errors[0].pointer == "/quantity"));
        assert_eq!(block_on(reserve_one(&Memory::current(), 7, "l", 1)), Err(Error::NotFound));
    }

    #[test]
    fn a_reservation_takes_all_lines_or_none() {
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
    fn a_repeated_reservation_gets_the_first_answer_again() {
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
    fn a_reservation_with_its_lines_in_another_order_is_the_same_call() {
        let _memory = Memory::fresh();
        let (mug, cup) = (product("mug", 5), product("cup", 5));
        let mut answer = reserve("k", &[line(mug, 2), line(cup, 1)]).expect("reserved");
        answer.reverse();
        assert_eq!(reserve("k", &[line(cup, 1), line(mug, 2)]), Ok(answer));
        for other in [vec![line(cup, 2), line(mug, 1)], vec![line(cup, 1)]] {
            assert!(matches!(reserve("k", &other), Err(Error::Conflict(_))));
        }
        assert_eq!((stock(mug), stock(cup)), (3, 4));
    }

    #[test]
    fn a_release_without_room_gives_back_nothing_and_can_be_repeated_later() {
        let _memory = Memory::fresh();
        let (cup, mug) = (product("cup", 5), product("mug", 0));
        let restock = |stock| {
            let changes = ProductChanges { sku: None, name: None, price: None, stock: Some(stock) };
            block_on(Service::update(mug, changes)).expect("updated");
        };
        let keys = ["a", "b", "c", "d"];
        for key in keys {
            restock(MAX_STOCK);
            reserve(key, &[line(cup, 1), line(mug, MAX_STOCK)]).expect("reserved");
        }
        restock(MAX_STOCK);
        assert_eq!(keys.map(release)[..3], [Ok(()), Ok(()), Ok(())]);
        assert!(matches!(release("d"), Err(Error::Conflict(_))));
        assert_eq!((stock(cup), stock(mug)), (4, 4 * MAX_STOCK));
        restock(0);
        assert_eq!((release("d"), release("d")), (Ok(()), Ok(())));
        assert_eq!((stock(cup), stock(mug)), (5, MAX_STOCK));
    }

    #[test]
    fn repeated_releases_give_stock_back_once() {
        let _memory = Memory::fresh();
        let (mug, cup) = (product("mug", 5), product("cup", 5));
        reserve("k", &[line(mug, 2), line(cup, 1)]).expect("reserved");
        block_on(Service::remove(cup)).expect("removed");
        assert_eq!((release("k"), release("k")), (Ok(()), Ok(())));
        assert_eq!(stock(mug), 5);
        assert!(matches!(reserve("k", &[line(mug, 2)]), Err(Error::Conflict(_))));
    }

    #[test]
    fn a_reservation_that_arrives_after_its_release_takes_nothing() {
        let _memory = Memory::fresh();
        let mug = product("mug", 5);
        assert_eq!(release("k"), Ok(()));
        assert!(matches!(reserve("k", &[line(mug, 1)]), Err(Error::Conflict(_))));
        assert_eq!(stock(mug), 5);
    }

    #[test]
    fn concurrent_reservations_never_take_more_than_the_stock() {
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
    fn concurrent_reservations_with_one_key_take_stock_once() {
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
    fn interleaved_reserves_and_releases_lose_no_stock_and_create_none() {
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
            // "a" was released, whatever the order of the steps. "b" is held once, unless "a" had taken what it
            // needed.
            let held = u32::from(answers[4].is_ok() || answers[5].is_ok());
            assert_eq!((stock(mug), stock(cup)), (4 - held, 4 - 2 * held), "seed {seed}");
        }
    }
}
