//! Orders without faults, and with injected ones.

use std::collections::BTreeMap;

use atoll_guest::memory::{Memory, block_on, cut_short, interleave};
use atoll_guest::{Platform, decode};

use crate::bindings::exports::shop::orders::orders::{Error, Guest, Line, NewOrder, Order, Price};
use crate::bindings::shop::products::products::Product;
use crate::fault_injection::{
    ADA, Delivery, FAILED_DELIVERIES, FlakyDependencies, FlakyPlatform, chosen_call_is_still_to_come, fail_call, fill,
    held, inject_faults, random, remove, stock, stop_faults,
};
use crate::orders::{Orders, Record};
use crate::placement::KeyRecord;

type Service = Orders<FlakyPlatform, FlakyDependencies>;

const MUG: u64 = 1;
const CUP: u64 = 2;
/// A product whose price is in another currency.
const SAKE: u64 = 3;

/// A shop with a small stock of each product, without faults.
fn open() -> Memory {
    let memory = Memory::fresh();
    inject_faults(1, 0);
    fill(&[(MUG, 6, "EUR"), (CUP, 4, "EUR"), (SAKE, 9, "JPY")]);
    memory
}

fn order(pieces: &[(u64, u32)]) -> NewOrder {
    let line = |(product, quantity): &(u64, u32)| Line { product: *product, quantity: *quantity };
    NewOrder { user: ADA, lines: pieces.iter().map(line).collect() }
}

fn place(key: &str, pieces: &[(u64, u32)]) -> Result<Order, Error> {
    block_on(Service::place(key.to_owned(), order(pieces)))
}

fn pieces(order: &Order) -> BTreeMap<u64, u32> {
    order.lines.iter().map(|line| (line.product, line.quantity)).collect()
}

fn keys(memory: &Memory, kind: &str) -> Vec<String> {
    memory.keys().into_iter().filter(|key| key.starts_with(kind)).collect()
}

fn read<T: serde::de::DeserializeOwned>(memory: &Memory, key: &str) -> T {
    let found = block_on(memory.get_many(vec![key.to_owned()])).expect("the memory answers");
    decode(key, &found[0].as_ref().expect("the key is there").value).expect("a record")
}

#[test]
fn an_order_is_placed_once_for_each_key() {
    let memory = open();
    let first = place("k", &[(CUP, 1), (MUG, 2), (CUP, 1)]).expect("placed");
    assert_eq!((first.user, first.placed), (ADA, memory.now()));
    assert_eq!(pieces(&first), BTreeMap::from([(MUG, 2), (CUP, 2)]));
    assert_eq!(first.total, Price { amount: 400, currency: "EUR".to_owned() });
    assert_eq!(place("k", &[(MUG, 2), (CUP, 2)]), Ok(first.clone()), "equal quantities must be the same order");
    assert!(matches!(place("k", &[(MUG, 2)]), Err(Error::Conflict(_))));
    assert_eq!((stock(MUG), stock(CUP)), (4, 2));

    memory.set_now(memory.now() + 1_000);
    let second = place("l", &[(MUG, 4)]).expect("another key");
    assert_eq!(block_on(Service::get(first.id)), Ok(first.clone()));
    assert_eq!(block_on(Service::get(7)), Err(Error::NotFound));
    let page = block_on(Service::list(Some(1), None)).expect("a page");
    let rest = block_on(Service::list(None, page.next_cursor)).expect("the rest");
    assert_eq!((page.items, rest.items, rest.next_cursor), (vec![first], vec![second], None));
}

#[test]
fn order_details_show_user_and_products_as_they_are_now() {
    let memory = open();
    let order = place("k", &[(CUP, 1), (MUG, 2)]).expect("placed");
    let details = || block_on(Service::details(order.id));
    let found = details().expect("the details");
    assert_eq!((&found.order, found.user.expect("Ada is there").id), (&order, ADA));
    let stocks = |products: &[Option<Product>]| {
        products.iter().map(|product| product.as_ref().map(|product| (product.id, product.stock))).collect::<Vec<_>>()
    };
    assert_eq!(
        stocks(&found.products),
        [Some((MUG, 4)), Some((CUP, 3))],
        "products must be shown as they are now, line by line"
    );

    remove(MUG);
    assert_eq!(stocks(&details().expect("the rest").products), [None, Some((CUP, 3))]);
    assert_eq!(block_on(Service::details(7)), Err(Error::NotFound));
    // Three calls: one to the state, one to users and one to products.
    for away in 1..=3 {
        fail_call(away, Delivery::RequestLost);
        assert!(matches!(details(), Err(Error::Unavailable(_))), "call {away}");
        assert!(!chosen_call_is_still_to_come(), "call {away}");
    }
    memory.set_down(true);
    assert!(matches!(details(), Err(Error::Unavailable(_))));
}

/// A read must not sweep what other calls have left behind.
#[test]
fn reading_an_order_is_one_call_to_the_state_and_does_not_sweep() {
    let memory = open();
    let order = place("k", &[(MUG, 1)]).expect("placed");
    block_on(cut_short(4, Service::place("l".to_owned(), self::order(&[(MUG, 1)]))));
    memory.set_now(memory.now() + 10_000);
    fail_call(2, Delivery::RequestLost);
    assert_eq!(block_on(Service::get(order.id)), Ok(order));
    assert!(chosen_call_is_still_to_come(), "a second call to the state would have failed");
    fail_call(0, Delivery::Normal);
}

#[test]
fn a_refused_order_leaves_no_record_no_reservation_and_no_used_key() {
    let memory = open();
    let refused = |order: NewOrder| block_on(Service::place("k".to_owned(), order)).expect_err("refused");
    let pointer = |error| match error {
        Error::Invalid(errors) => errors[0].pointer.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(pointer(refused(NewOrder { user: 8, ..order(&[(MUG, 1)]) })), "/user");
    assert_eq!(pointer(refused(order(&[(MUG, 1), (9, 1)]))), "/lines");
    assert_eq!(pointer(refused(order(&[(MUG, 0)]))), "/lines/0/quantity");
    assert!(matches!(refused(order(&[(MUG, 1), (CUP, 5)])), Error::Conflict(text) if text == "sold out"));
    assert!(matches!(refused(order(&[(MUG, 1), (SAKE, 1)])), Error::Conflict(text) if text.contains("JPY")));
    memory.set("sweep_after", "soon");
    assert!(matches!(refused(order(&[(MUG, 1)])), Error::Internal(text) if text.contains("sweep_after")));
    memory.set("sweep_after", "10000");
    assert_eq!((memory.keys(), held()), (Vec::new(), BTreeMap::new()));
    assert_eq!((stock(MUG), stock(CUP), stock(SAKE)), (6, 4, 9));
    assert!(place("k", &[(MUG, 6)]).is_ok(), "a refused order must leave its key unused");
}

#[test]
fn a_store_that_is_down_makes_every_call_unavailable() {
    let memory = open();
    memory.set_down(true);
    assert!(matches!(place("k", &[(MUG, 1)]), Err(Error::Unavailable(_))));
    assert!(matches!(block_on(Service::get(7)), Err(Error::Unavailable(_))));
    assert!(matches!(block_on(Service::list(None, None)), Err(Error::Unavailable(_))));
}

/// Whichever step the instance dies at, a later call releases what it has reserved, and its key can be used again.
#[test]
fn an_instance_that_dies_at_any_step_loses_no_stock_and_blocks_no_key() {
    let mut steps = 0;
    loop {
        let memory = open();
        let placed = block_on(cut_short(steps, Service::place("k".to_owned(), order(&[(MUG, 6)]))));
        if placed.is_some() {
            break;
        }
        let again = place("k", &[(MUG, 6)]);
        let died_midway = !keys(&memory, "pending/").is_empty();
        assert_eq!(matches!(again, Err(Error::Unavailable(_))), died_midway, "step {steps}: {again:?}");
        memory.set_now(memory.now() + 10_000);
        block_on(Service::list(None, None)).expect("it sweeps");
        assert_eq!(keys(&memory, "pending/"), Vec::<String>::new(), "step {steps}");
        assert_eq!(stock(MUG), if again.is_ok() { 0 } else { 6 }, "step {steps}");
        assert_eq!(place("k", &[(MUG, 6)]).map(|order| pieces(&order)[&MUG]), Ok(6), "step {steps}");
        assert_eq!(held().len(), 1, "step {steps}");
        steps += 1;
    }
    assert!(steps > 6, "placing must have had its steps: read, begin, reserve and keep");
}

/// Whichever call fails, and in whichever way: the answer says what really happened, and no stock is lost.
#[test]
fn any_single_failed_call_loses_no_stock_and_its_answer_is_true() {
    for delivery in FAILED_DELIVERIES {
        for away in 1.. {
            let memory = open();
            fail_call(away, delivery);
            let answer = block_on(cut_short(100, Service::place("k".to_owned(), order(&[(MUG, 6)]))));
            let all_went_well = chosen_call_is_still_to_come();
            let context = format!("{delivery:?}, call {away}: {answer:?}");
            assert!(answer.is_some() || delivery == Delivery::Never, "{context}");
            stop_faults();
            settle(&memory);
            check(&memory, &context);
            let order_exists = !keys(&memory, "order/").is_empty();
            // The state answers again at once, so a lost answer of the state leaves no doubt.
            assert!(answer.is_none() || matches!(answer, Some(Ok(_))) == order_exists, "{context}");
            assert!(matches!(answer, None | Some(Ok(_) | Err(Error::Unavailable(_)))), "{context}");
            assert_eq!(place("k", &[(MUG, 6)]).map(|order| pieces(&order)[&MUG]), Ok(6), "{context}");
            if all_went_well {
                assert!(away > 6, "placing must have had its calls: find, check, begin, reserve and keep");
                break;
            }
        }
    }
}

#[test]
fn concurrent_calls_with_one_key_place_one_order() {
    for seed in 0..300 {
        let memory = open();
        let calls = (0..6).map(|_| Service::place("k".to_owned(), order(&[(MUG, 6)])));
        let answers = interleave(seed, calls.collect());
        let placed: Vec<_> = answers.iter().flatten().collect();
        assert!(!placed.is_empty() && placed.iter().all(|order| *order == placed[0]), "seed {seed}: {answers:?}");
        // A call that has waited for too long gets `unavailable`, and its caller may try again.
        assert!(answers.iter().all(|answer| matches!(answer, Ok(_) | Err(Error::Unavailable(_)))), "seed {seed}");
        assert_eq!((stock(MUG), keys(&memory, "order/").len()), (0, 1), "seed {seed}");
    }
}

#[test]
fn a_placement_that_a_sweep_gave_up_stores_no_order() {
    for seed in 0..300 {
        let memory = open();
        memory.set("sweep_after", "0");
        let place = |key: &str| {
            let place = Service::place(key.to_owned(), order(&[(MUG, 4)]));
            async { place.await.map(|order| order.id) }
        };
        let answers = interleave(seed, vec![place("a"), place("a"), place("b")]);
        settle(&memory);
        let orders = keys(&memory, "order/").len();
        assert_eq!(stock(MUG), 6 - 4 * u32::try_from(orders).expect("few"), "seed {seed}: {answers:?}");
        check(&memory, &format!("seed {seed}"));
    }
}

/// What must hold at the end: no stock is lost, none is sold twice, and every answer was true.
#[test]
fn random_faults_lose_no_stock_and_sell_none_twice() {
    let (mut placed, mut refused, mut died) = (0, 0, 0);
    for seed in 0..3_000 {
        let memory = open();
        inject_faults(seed, [2, 10, 30][random(3) as usize]);
        let wanted: [&[(u64, u32)]; 4] = [&[(MUG, 2)], &[(MUG, 1), (CUP, 2)], &[(CUP, 1)], &[(MUG, 1), (SAKE, 1)]];
        let calls: Vec<(usize, bool)> = (0..9).map(|_| (random(4) as usize, random(10) == 0)).collect();
        let call = async |(which, other): (usize, bool), steps: u32| {
            let wanted = if other { wanted[(which + 1) % 4] } else { wanted[which] };
            cut_short(steps, Service::place(format!("k{which}"), order(wanted))).await
        };
        let running = calls.iter().map(|each| call(*each, [20, 60, 400][random(3) as usize]));
        let answers = interleave(seed, running.collect());
        stop_faults();
        settle(&memory);
        check(&memory, &format!("seed {seed}"));
        for ((which, _), answer) in calls.iter().zip(&answers) {
            match answer {
                Some(Ok(order)) => {
                    placed += 1;
                    let record_at_key: KeyRecord = read(&memory, &format!("key/k{which}"));
                    assert_eq!(
                        (record_at_key.id, record_at_key.wanted.pieces),
                        (order.id, pieces(order)),
                        "seed {seed}"
                    );
                    assert_eq!(block_on(Service::get(order.id)).as_ref(), Ok(order), "seed {seed}");
                }
                Some(Err(Error::Internal(text))) => panic!("seed {seed}: {text}"),
                Some(Err(_)) => refused += 1,
                None => died += 1,
            }
        }
        // Without faults, a repeated call gets a definite answer.
        for (which, wanted) in wanted.into_iter().enumerate() {
            let again = place(&format!("k{which}"), wanted);
            assert!(matches!(again, Ok(_) | Err(Error::Conflict(_))), "seed {seed}: {again:?}");
        }
        check(&memory, &format!("seed {seed}, after"));
    }
    assert!(placed > 1_000 && refused > 1_000 && died > 1_000, "{placed} placed, {refused} refused, {died} died");
}

/// Sweeps until no pending record is left.
fn settle(memory: &Memory) {
    for _ in 0..20 {
        memory.set_now(memory.now() + 60_000);
        block_on(Service::list(None, None)).expect("a page");
    }
    assert_eq!(keys(memory, "pending/"), Vec::<String>::new());
}

/// Asserts that the stock, the reservations, the orders and the keys agree.
fn check(memory: &Memory, context: &str) {
    let mut held = held();
    let mut left = BTreeMap::from([(MUG, 6), (CUP, 4), (SAKE, 9)]);
    let key_records = keys(memory, "key/");
    let orders = keys(memory, "order/");
    assert_eq!(key_records.len(), orders.len(), "{context}: {key_records:?} {orders:?}");
    for key in key_records {
        let KeyRecord { id, wanted } = read(memory, &key);
        let record: Record = read(memory, &crate::orders::order_key(id));
        assert_eq!(held.remove(&record.reservation).as_ref(), Some(&wanted.pieces), "{context}: {key}");
        for (product, quantity) in &wanted.pieces {
            *left.get_mut(product).expect("a product") -= quantity;
        }
        assert_eq!(pieces(&record.with_id(id)), wanted.pieces, "{context}");
    }
    assert_eq!(held, BTreeMap::new(), "{context}: stock is reserved without an order");
    let mut published: Vec<_> = memory.published().into_iter().map(|event| event.key).collect();
    let ids = orders.iter().map(|key| key.trim_start_matches("order/").trim_start_matches('0').to_owned());
    published.sort_unstable_by_key(|id| id.as_deref().and_then(|id| id.parse::<u64>().ok()));
    assert_eq!(published, ids.map(Some).collect::<Vec<_>>(), "{context}: each order is published once");
    assert_eq!(left, [MUG, CUP, SAKE].map(|id| (id, stock(id))).into(), "{context}");
}
