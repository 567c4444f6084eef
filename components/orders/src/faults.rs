//! A shop in memory in which anything can fail at any moment, for the native tests.
//!
//! Each call to the state and to the neighbours may be lost on its way, lose its answer after it has done its work, do its
//! work late, or never come back. A seed decides, so each run can be repeated.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::pending;
use std::time::Duration;

use platform::Platform;
use platform::memory::{Memory, cut_short, yield_now};
use platform::transactions::{Check, Error, Page, Versioned, Write};

use crate::bindings::shop::products::products::{self, Line, Price, Product, ReservedLine};
use crate::bindings::shop::users::users::{self, User};
use crate::neighbours::Neighbours;

/// The one user that there is.
pub(crate) const ADA: u64 = 7;

thread_local! {
    static WEATHER: Weather = Weather::default();
    static SHELF: RefCell<Shelf> = RefCell::default();
}

/// How much fails, and the random numbers that decide it.
#[derive(Default)]
struct Weather {
    /// Of 100 calls.
    faults: Cell<u32>,
    /// One call that is picked: how many calls it is away, and its fate.
    picked: Cell<(u32, Fate)>,
    random: Cell<u64>,
    late: RefCell<Vec<Box<dyn FnOnce()>>>,
}

/// What becomes of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Fate {
    /// It does its work and answers.
    #[default]
    Good,
    /// It never does its work.
    RequestLost,
    /// It does its work, and its caller is told that it failed.
    AnswerLost,
    /// It does its work after its caller was told that it failed.
    Late,
    /// It neither does its work nor comes back.
    Never,
}

/// All fates of a call that fails.
pub(crate) const FATES: [Fate; 4] = [Fate::RequestLost, Fate::AnswerLost, Fate::Late, Fate::Never];

/// A number below `bound`.
pub(crate) fn random(bound: u32) -> u32 {
    WEATHER.with(|weather| {
        // Xorshift (Marsaglia 2003): enough to pick faults.
        let mut x = weather.random.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        weather.random.set(x);
        u32::try_from((x >> 32) % u64::from(bound)).expect("it is below a u32")
    })
}

/// From now on, `faults` of 100 calls fail, in ways that `seed` picks; and the clock may jump.
pub(crate) fn storm(seed: u64, faults: u32) {
    WEATHER.with(|weather| {
        weather.faults.set(faults);
        weather.random.set(seed.wrapping_mul(2).wrapping_add(0x9E37_79B9_7F4A_7C15) | 1);
        weather.picked.take();
        weather.late.borrow_mut().clear();
    });
}

/// The call that is `away` calls away (1 is the next one) meets this fate.
pub(crate) fn pick(away: u32, fate: Fate) {
    WEATHER.with(|weather| weather.picked.set((away, fate)));
}

/// Whether the call that was picked is still to come.
pub(crate) fn is_picked() -> bool {
    WEATHER.with(|weather| weather.picked.get().0 > 0)
}

/// Nothing fails from now on, and all that is late arrives.
pub(crate) fn calm() {
    WEATHER.with(|weather| weather.faults.set(0));
    pick(0, Fate::Good);
    while arrive() {}
}

/// One of the late calls does its work.
fn arrive() -> bool {
    let late = WEATHER.with(|weather| {
        let mut late = weather.late.borrow_mut();
        let count = u32::try_from(late.len()).expect("few are late");
        (count > 0).then(|| late.swap_remove(random(count) as usize))
    });
    late.map(|work| work()).is_some()
}

/// Decides a call's fate, after others went first.
async fn fate() -> Fate {
    yield_now().await;
    let (away, picked) = WEATHER.with(|weather| weather.picked.get());
    pick(away.saturating_sub(1), picked);
    if away == 1 {
        return picked;
    }
    let faults = WEATHER.with(|weather| weather.faults.get());
    if faults > 0 && random(8) == 0 {
        arrive();
    }
    if random(100) >= faults { Fate::Good } else { FATES[random(4) as usize] }
}

/// Lets a call meet its fate. `work` is what it does, `lost` what its caller is told when it fails.
async fn call<T, E>(work: impl FnOnce() -> Result<T, E> + 'static, lost: impl FnOnce(String) -> E) -> Result<T, E> {
    match fate().await {
        Fate::Good => return work(),
        Fate::RequestLost => {}
        Fate::AnswerLost => _ = work(),
        Fate::Late => WEATHER.with(|weather| weather.late.borrow_mut().push(Box::new(move || _ = work()))),
        Fate::Never => return pending().await,
    }
    Err(lost("a fault of the test".to_owned()))
}

/// [`Memory`], in this weather.
#[derive(Debug)]
pub(crate) struct Flaky(Memory);

/// Runs an operation of the memory at once; it waits for nothing but its turn.
fn at_once<T>(operation: impl Future<Output = T>) -> T {
    platform::memory::block_on(operation)
}

impl Platform for Flaky {
    fn current() -> Self {
        Self(Memory::current())
    }

    async fn get_many(&self, keys: Vec<String>) -> Result<Vec<Option<Versioned>>, Error> {
        let memory = self.0.clone();
        call(move || at_once(memory.get_many(keys)), Error::Unavailable).await
    }

    async fn scan(&self, prefix: String, after: Option<String>, limit: u32) -> Result<Page, Error> {
        let memory = self.0.clone();
        call(move || at_once(memory.scan(prefix, after, limit)), Error::Unavailable).await
    }

    async fn commit(&self, checks: Vec<Check>, writes: Vec<Write>) -> Result<u64, Error> {
        let memory = self.0.clone();
        call(move || at_once(memory.commit(checks, writes)), Error::Unavailable).await
    }

    fn setting(&self, key: &str) -> Result<Option<String>, String> {
        self.0.setting(key)
    }

    /// In a storm the clock jumps, also back, by more than a sweep waits for.
    fn now(&self) -> u64 {
        let now = self.0.now();
        if WEATHER.with(|weather| weather.faults.get()) > 0 && random(20) == 0 {
            let jump = u64::from(random(25_000));
            self.0.set_now(if random(5) == 0 { now.saturating_sub(jump) } else { now + jump });
        }
        self.0.now()
    }

    fn random(&self) -> u64 {
        self.0.random()
    }

    async fn wait(&self, time: Duration) {
        self.0.wait(time).await;
    }

    async fn within<T>(&self, time: Duration, future: impl Future<Output = T>) -> Option<T> {
        match WEATHER.with(|weather| weather.faults.get()) {
            0 => self.0.within(time, future).await,
            _ => cut_short(random(60), future).await,
        }
    }
}

/// What products keep: the stock, and reservations as `shop:products` says.
#[derive(Default)]
struct Shelf {
    stock: BTreeMap<u64, (u32, Price)>,
    /// What is held; nothing for a key that was released.
    reservations: BTreeMap<String, Option<BTreeMap<u64, u32>>>,
}

/// The neighbours on this shelf, in this weather.
#[derive(Debug)]
pub(crate) struct Next;

/// Empties the shelf, and puts products on it: id, stock and currency. Each costs 100.
pub(crate) fn fill(products: &[(u64, u32, &str)]) {
    let price = |currency: &str| Price { amount: 100, currency: currency.to_owned() };
    let stock = products.iter().map(|(id, stock, currency)| (*id, (*stock, price(currency)))).collect();
    SHELF.set(Shelf { stock, reservations: BTreeMap::new() });
}

/// Takes a product off the shelf.
pub(crate) fn remove(product: u64) {
    SHELF.with_borrow_mut(|shelf| shelf.stock.remove(&product));
}

/// How many of this product are left.
pub(crate) fn stock(product: u64) -> u32 {
    SHELF.with_borrow(|shelf| shelf.stock[&product].0)
}

/// What is held, by key.
pub(crate) fn held() -> BTreeMap<String, BTreeMap<u64, u32>> {
    SHELF.with_borrow(|shelf| {
        let held = shelf.reservations.iter().filter_map(|(key, held)| Some((key.clone(), held.clone()?)));
        held.collect()
    })
}

impl Shelf {
    fn reserve(&mut self, key: String, lines: &[Line]) -> Result<Vec<ReservedLine>, products::Error> {
        let wanted: BTreeMap<_, _> = lines.iter().map(|line| (line.product, line.quantity)).collect();
        assert_eq!(wanted.len(), lines.len(), "a product stands in one line");
        match self.reservations.get(&key) {
            Some(None) => return Err(products::Error::Conflict("released".to_owned())),
            Some(Some(held)) => assert_eq!(*held, wanted, "a key is used for one order"),
            None => {
                for (product, quantity) in &wanted {
                    let (stock, _) = self.stock.get(product).ok_or(products::Error::NotFound)?;
                    if stock < quantity {
                        return Err(products::Error::Conflict("sold out".to_owned()));
                    }
                }
                for (product, quantity) in &wanted {
                    self.stock.get_mut(product).expect("it was there").0 -= quantity;
                }
                self.reservations.insert(key, Some(wanted));
            }
        }
        let line = |line: &Line| {
            let (stock, price) = self.stock[&line.product].clone();
            let text = label(line.product);
            ReservedLine { product: line.product, quantity: line.quantity, sku: text.clone(), name: text, price, stock }
        };
        Ok(lines.iter().map(line).collect())
    }

    fn release(&mut self, key: String) {
        for (product, quantity) in self.reservations.insert(key, None).flatten().unwrap_or_default() {
            self.stock.get_mut(&product).expect("no test removes a product").0 += quantity;
        }
    }
}

/// The SKU and the name of a product.
fn label(product: u64) -> String {
    format!("p{product}")
}

impl Neighbours for Next {
    fn current() -> Self {
        Self
    }

    async fn check_user(&self, id: u64) -> Result<(), users::Error> {
        let find = move || if id == ADA { Ok(()) } else { Err(users::Error::NotFound) };
        call(find, users::Error::Unavailable).await
    }

    async fn find_user(&self, id: u64) -> Result<Option<User>, users::Error> {
        let ada = || User { id: ADA, name: "Ada".to_owned(), email: "ada@example.org".to_owned() };
        call(move || Ok((id == ADA).then(ada)), users::Error::Unavailable).await
    }

    async fn find_products(&self, ids: Vec<u64>) -> Result<Vec<Option<Product>>, products::Error> {
        let find = move || {
            let product = |shelf: &Shelf, id: u64| {
                let (stock, price) = shelf.stock.get(&id)?.clone();
                Some(Product { id, sku: label(id), name: label(id), price, stock })
            };
            SHELF.with_borrow(|shelf| Ok(ids.into_iter().map(|id| product(shelf, id)).collect()))
        };
        call(find, products::Error::Unavailable).await
    }

    async fn reserve(&self, key: String, lines: Vec<Line>) -> Result<Vec<ReservedLine>, products::Error> {
        let work = move || SHELF.with_borrow_mut(|shelf| shelf.reserve(key, &lines));
        call(work, products::Error::Unavailable).await
    }

    async fn release(&self, key: String) -> Result<(), products::Error> {
        let work = move || {
            SHELF.with_borrow_mut(|shelf| shelf.release(key));
            Ok(())
        };
        call(work, products::Error::Unavailable).await
    }
}
