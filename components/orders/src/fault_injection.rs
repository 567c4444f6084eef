//! A platform and dependencies in memory in which any call can fail, for the native tests.
//!
//! Each call to the state and to the dependencies may be lost, lose its answer after it has done its work, do its
//! work late, or never return. A seed decides, so each run can be repeated.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::pending;
use std::time::Duration;

use atoll_guest::Platform;
use atoll_guest::events::Event;
use atoll_guest::memory::{Memory, cut_short, yield_now};
use atoll_guest::transactions::{Check, Error, Page, Versioned, Write};

use crate::bindings::shop::products::products::{self, Line, Price, Product, ReservedLine};
use crate::bindings::shop::users::users::{self, User};
use crate::dependencies::Dependencies;

/// The only user.
pub(crate) const ADA: u64 = 7;

thread_local! {
    static STATE: FaultState = FaultState::default();
    static PRODUCTS: RefCell<ProductTable> = RefCell::default();
}

/// Which calls fail, and the random numbers that decide it.
#[derive(Default)]
struct FaultState {
    /// How many of 100 calls fail.
    faults: Cell<u32>,
    /// One chosen call: how many calls ahead it is, and how it is delivered.
    chosen: Cell<(u32, Delivery)>,
    random: Cell<u64>,
    late: RefCell<Vec<Box<dyn FnOnce()>>>,
}

/// How one call is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Delivery {
    /// The call does its work and its answer arrives.
    #[default]
    Normal,
    /// The call never does its work, and its caller gets an error.
    RequestLost,
    /// The call does its work, and its caller gets an error.
    AnswerLost,
    /// The call does its work after its caller got an error.
    Late,
    /// The call neither does its work nor returns.
    Never,
}

/// All deliveries that fail.
pub(crate) const FAILED_DELIVERIES: [Delivery; 4] =
    [Delivery::RequestLost, Delivery::AnswerLost, Delivery::Late, Delivery::Never];

/// A random number below `bound`.
pub(crate) fn random(bound: u32) -> u32 {
    STATE.with(|state| {
        // Xorshift (Marsaglia 2003): good enough to choose faults.
        let mut x = state.random.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        state.random.set(x);
        u32::try_from((x >> 32) % u64::from(bound)).expect("it is below a u32")
    })
}

/// From now on, `faults` of 100 calls fail, in ways that `seed` decides, and the clock may jump.
pub(crate) fn inject_faults(seed: u64, faults: u32) {
    STATE.with(|state| {
        state.faults.set(faults);
        state.random.set(seed.wrapping_mul(2).wrapping_add(0x9E37_79B9_7F4A_7C15) | 1);
        state.chosen.take();
        state.late.borrow_mut().clear();
    });
}

/// Gives the call that is `away` calls ahead (1 is the next one) this delivery.
pub(crate) fn fail_call(away: u32, delivery: Delivery) {
    STATE.with(|state| state.chosen.set((away, delivery)));
}

/// Whether the chosen call has not happened yet.
pub(crate) fn chosen_call_is_still_to_come() -> bool {
    STATE.with(|state| state.chosen.get().0 > 0)
}

/// From now on nothing fails, and all late calls do their work now.
pub(crate) fn stop_faults() {
    STATE.with(|state| state.faults.set(0));
    fail_call(0, Delivery::Normal);
    while run_one_late_call() {}
}

/// Lets one of the late calls do its work.
fn run_one_late_call() -> bool {
    let late = STATE.with(|state| {
        let mut late = state.late.borrow_mut();
        let count = u32::try_from(late.len()).expect("few are late");
        (count > 0).then(|| late.swap_remove(random(count) as usize))
    });
    late.map(|work| work()).is_some()
}

/// Decides how a call is delivered, after other requests had a chance to run.
async fn next_delivery() -> Delivery {
    yield_now().await;
    let (away, chosen) = STATE.with(|state| state.chosen.get());
    fail_call(away.saturating_sub(1), chosen);
    if away == 1 {
        return chosen;
    }
    let faults = STATE.with(|state| state.faults.get());
    if faults > 0 && random(8) == 0 {
        run_one_late_call();
    }
    if random(100) >= faults { Delivery::Normal } else { FAILED_DELIVERIES[random(4) as usize] }
}

/// Makes a call. `work` is what the call does, and `lost` makes the error that its caller gets when it fails.
async fn call<T, E>(work: impl FnOnce() -> Result<T, E> + 'static, lost: impl FnOnce(String) -> E) -> Result<T, E> {
    match next_delivery().await {
        Delivery::Normal => return work(),
        Delivery::RequestLost => {}
        Delivery::AnswerLost => _ = work(),
        Delivery::Late => STATE.with(|state| state.late.borrow_mut().push(Box::new(move || _ = work()))),
        Delivery::Never => return pending().await,
    }
    Err(lost("a fault that the test has injected".to_owned()))
}

/// [`Memory`] with injected faults.
#[derive(Debug)]
pub(crate) struct FlakyPlatform(Memory);

/// Runs an operation of the memory at once. The operation waits for nothing else.
fn at_once<T>(operation: impl Future<Output = T>) -> T {
    atoll_guest::memory::block_on(operation)
}

impl Platform for FlakyPlatform {
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

    async fn commit(&self, checks: Vec<Check>, writes: Vec<Write>, events: Vec<Event>) -> Result<u64, Error> {
        let memory = self.0.clone();
        call(move || at_once(memory.commit(checks, writes, events)), Error::Unavailable).await
    }

    fn setting(&self, key: &str) -> Result<Option<String>, String> {
        self.0.setting(key)
    }

    /// While faults are injected, the clock jumps, also back, by more than the delay of a sweep.
    fn now(&self) -> u64 {
        let now = self.0.now();
        if STATE.with(|state| state.faults.get()) > 0 && random(20) == 0 {
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
        match STATE.with(|state| state.faults.get()) {
            0 => self.0.within(time, future).await,
            _ => cut_short(random(60), future).await,
        }
    }
}

/// The data of products: the stock, and reservations as `shop:products` defines them.
#[derive(Default)]
struct ProductTable {
    stock: BTreeMap<u64, (u32, Price)>,
    /// What each key holds. `None` for a key that was released.
    reservations: BTreeMap<String, Option<BTreeMap<u64, u32>>>,
}

/// The dependencies, on this table and with injected faults.
#[derive(Debug)]
pub(crate) struct FlakyDependencies;

/// Replaces all products: id, stock and currency. Each costs 100.
pub(crate) fn fill(products: &[(u64, u32, &str)]) {
    let price = |currency: &str| Price { amount: 100, currency: currency.to_owned() };
    let stock = products.iter().map(|(id, stock, currency)| (*id, (*stock, price(currency)))).collect();
    PRODUCTS.set(ProductTable { stock, reservations: BTreeMap::new() });
}

/// Removes a product.
pub(crate) fn remove(product: u64) {
    PRODUCTS.with_borrow_mut(|table| table.stock.remove(&product));
}

/// The stock that is left of this product.
pub(crate) fn stock(product: u64) -> u32 {
    PRODUCTS.with_borrow(|table| table.stock[&product].0)
}

/// What the reservations hold, by key.
pub(crate) fn held() -> BTreeMap<String, BTreeMap<u64, u32>> {
    PRODUCTS.with_borrow(|table| {
        let held = table.reservations.iter().filter_map(|(key, held)| Some((key.clone(), held.clone()?)));
        held.collect()
    })
}

impl ProductTable {
    fn reserve(&mut self, key: String, lines: &[Line]) -> Result<Vec<ReservedLine>, products::Error> {
        let wanted: BTreeMap<_, _> = lines.iter().map(|line| (line.product, line.quantity)).collect();
        assert_eq!(wanted.len(), lines.len(), "each product must be in one line only");
        match self.reservations.get(&key) {
            Some(None) => return Err(products::Error::Conflict("released".to_owned())),
            Some(Some(held)) => assert_eq!(*held, wanted, "a reservation key must be used for one order only"),
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

impl Dependencies for FlakyDependencies {
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
            let product = |table: &ProductTable, id: u64| {
                let (stock, price) = table.stock.get(&id)?.clone();
                Some(Product { id, sku: label(id), name: label(id), price, stock })
            };
            PRODUCTS.with_borrow(|table| Ok(ids.into_iter().map(|id| product(table, id)).collect()))
        };
        call(find, products::Error::Unavailable).await
    }

    async fn reserve(&self, key: String, lines: Vec<Line>) -> Result<Vec<ReservedLine>, products::Error> {
        let work = move || PRODUCTS.with_borrow_mut(|table| table.reserve(key, &lines));
        call(work, products::Error::Unavailable).await
    }

    async fn release(&self, key: String) -> Result<(), products::Error> {
        let work = move || {
            PRODUCTS.with_borrow_mut(|table| table.release(key));
            Ok(())
        };
        call(work, products::Error::Unavailable).await
    }
}
