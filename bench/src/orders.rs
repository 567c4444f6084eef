//! Compares the shop in Atoll, with kept and with fresh instances, with the same three services as native servers
//! that call each other over loopback HTTP. Measures users read and created, and orders read with their details and
//! placed. The native services are called twice: without a gateway, and behind nginx.
//!
//! All sides do the same work for the same requests, with the same store. `orders/shop.rs` fills each shop alike, and
//! compares their answers before anything is measured. The load is a closed loop: each client waits for its answer.

mod customer;
mod shop;

use crate::atoll;
use crate::load::throughput;
use crate::proxy;
use crate::rounds::{Rounds, Spread};
use crate::table::Table;
use crate::{Finding, Plan, progress};
use shop::{Shop, Work};

/// Clients at a time: many to find the highest rate, one to find the response time.
const CLIENTS: [usize; 2] = [32, 1];

/// How many times the native services' rate Atoll with kept instances must reach when it reads orders.
const ORDERS_CLAIM: f64 = 2.0;
/// How many times the rate of the native services behind nginx it must reach when it reads users, who are a service
/// that speaks HTTP itself.
const USERS_CLAIM: f64 = 0.6;

/// All sides, in the order in which they are measured. The first two are compared with the last two.
const SIDES: [&str; 4] =
    ["Atoll, `reuse`", "Atoll, `request`", "native services over loopback HTTP", "the same behind nginx"];
const NATIVE: usize = 2;
const PROXIED: usize = 3;

/// Measures all kinds of work, by many clients and by one, and returns a table for each.
///
/// # Errors
/// If a side does not start, if their answers differ, or if a single request fails.
pub(crate) async fn run(plan: &Plan) -> anyhow::Result<Finding> {
    let binary = atoll::build(plan)?;
    let [nginx, _] = proxy::install()?;
    let shops = [
        Shop::atoll(plan, &binary, "reuse").await?,
        Shop::atoll(plan, &binary, "request").await?,
        Shop::native(plan).await?,
        Shop::behind_nginx(plan).await?,
    ];
    shop::compare(&shops).await?;
    let mut text = format!(
        "Reading or creating a user needs one service and its `state`. Reading an order of {} products with its user \
         and its products, or placing one, is one request that calls two more services. Each placed order has its own \
         `Idempotency-Key`, and its products are ordered by no other client. Atoll is the example shop of `atoll.toml` \
         with the key `isolation` added to each service; its services make typed calls. The native side is three axum \
         servers, each a process (`bench/src/shop_native/`): they call each other over loopback HTTP with kept \
         connections. Clients call them without a gateway, and as a second side through nginx {nginx}, which does \
         nothing but pass on, as plain as in `http`. Every side stores its data with the host's own store \
         and settings, in one database or in three, and a write is on disk when it is answered. No side writes an \
         access log. The answers of all sides are compared before the measurement and are equal. Each client waits \
         for its answer. The clients run on the same machine. CPU is that of all processes of the side. The ratio is \
         taken within each round.\n",
        shop::LINES,
    );
    let mut misses = Vec::new();
    for work in [Work::FindUser, Work::CreateUser, Work::Read, Work::Place] {
        for clients in CLIENTS {
            progress(&format!("{} by {clients}", work.name()));
            let measured = Measured::take(plan, &shops, work, clients).await?;
            text.push_str(&format!("\n{}, {clients} at a time:\n\n{}", work.title(), measured.table(clients)));
            if clients > 1 {
                misses.extend(measured.miss(work));
            }
        }
    }
    let verdict =
        if misses.is_empty() { "They hold.".to_owned() } else { format!("Not all hold: {}.", misses.join("; ")) };
    text.push_str(&format!(
        "\nThe claims: with kept instances, {} clients read at least {ORDERS_CLAIM} times as many orders as from the \
         native services, and at least {USERS_CLAIM} times as many users as from those behind nginx. {verdict}\n",
        CLIENTS[0],
    ));
    Ok(Finding { text, misses })
}

/// The result of one kind of work by so many clients.
struct Measured {
    /// Requests per second.
    rate: Rounds,
    /// Seconds of processor time for 1000 requests, one value for each round of each side. The first round does not
    /// count.
    cpu: [Vec<f64>; SIDES.len()],
}

impl Measured {
    async fn take(plan: &Plan, shops: &[Shop; SIDES.len()], work: Work, clients: usize) -> anyhow::Result<Self> {
        let mut cpu = [const { Vec::new() }; SIDES.len()];
        let rate = Rounds::alternate(plan.rounds, SIDES.len(), async |side| {
            let shop = &shops[side];
            let (clients_of_round, done) = shop.clients(work, clients).await?;
            let before = shop.cpu();
            let rate = throughput(clients_of_round, plan.duration).await?;
            cpu[side].push((shop.cpu() - before) * 1e3 / f64::from(done.load(std::sync::atomic::Ordering::Relaxed)));
            Ok(rate)
        });
        Ok(Self { rate: rate.await?, cpu })
    }

    /// What the claim for this work lacks, as a sentence without its full stop.
    fn miss(&self, work: Work) -> Option<String> {
        let (of, what, least) = match work {
            Work::Read => (NATIVE, "an order is read {} times as often as natively", ORDERS_CLAIM),
            Work::FindUser => (PROXIED, "a user is read {} times as often as natively behind nginx", USERS_CLAIM),
            Work::CreateUser | Work::Place => return None,
        };
        let reached = self.rate.ratio(0, of);
        let seen = what.replace("{}", &format!("{reached:.2}"));
        (reached.median < least).then(|| format!("with kept instances {seen}, not {least} times"))
    }

    #[expect(clippy::cast_precision_loss, reason = "there are few clients")]
    fn table(&self, clients: usize) -> Table {
        let heads = ["side", "requests/s", "µs each", "CPU seconds for 1000", "of native", "of native behind nginx"];
        let mut table = Table::new(heads);
        for (side, what) in SIDES.iter().enumerate() {
            let rate = self.rate.side(side);
            // Each of these clients waits for its answer.
            let each = |rate: f64| 1e6 * clients as f64 / rate;
            let each = Spread { median: each(rate.median), min: each(rate.max), max: each(rate.min) };
            table.row([
                (*what).to_owned(),
                format!("{rate:.0}"),
                format!("{each:.0}"),
                format!("{:.3}", Spread::of(&self.cpu[side][1..])),
                format!("{:.2}", self.rate.ratio(side, NATIVE)),
                format!("{:.2}", self.rate.ratio(side, PROXIED)),
            ]);
        }
        table
    }
}
