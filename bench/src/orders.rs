//! Reading and creating users, reading an order with its user and its products, and placing one: the shop in Atoll, with instances that are kept and with fresh ones,
//! against the same three services as native servers that call each other over loopback HTTP.
//!
//! All sides do the same for the same requests, with the same store: `orders/shop.rs` fills each shop alike and holds their answers
//! against each other before anything is measured. The load is closed: each client waits for its answer.

mod customer;
mod shop;

use crate::atoll;
use crate::load::throughput;
use crate::rounds::{Rounds, Spread};
use crate::table::Table;
use crate::{Finding, Plan, progress};
use shop::{Shop, Work};

/// Clients at a time: many for what a side can do, one for how long it takes.
const CLIENTS: [usize; 2] = [32, 1];

/// What Atoll with kept instances has to reach when it reads, as many times what the native services do.
const CLAIM: f64 = 2.0;

/// In the order in which they are measured; the last is what the others are compared with.
const SIDES: [&str; 3] = ["Atoll, `reuse`", "Atoll, `request`", "native services over loopback HTTP"];
const NATIVE: usize = 2;

/// Measures both kinds of work, by many clients and by one, and answers a table for each.
///
/// # Errors
/// If a side does not start, if they answer differently, or if a single request fails.
pub(crate) async fn run(plan: &Plan) -> anyhow::Result<Finding> {
    let binary = atoll::build(plan)?;
    let shops = [
        Shop::atoll(plan, &binary, "reuse").await?,
        Shop::atoll(plan, &binary, "request").await?,
        Shop::native(plan).await?,
    ];
    shop::compare(&shops).await?;
    let mut text = format!(
        "A user is read or created: one service and its `state`. Or an order of {} products is read with its user and its products, or placed, with an `Idempotency-Key` of its own and from products \
         that no other client orders: one request, which makes two more services work. Atoll is the example shop of `atoll.toml` with one \
         line in each service, `isolation`; its services call each other by their types. The native side is three axum servers, each a \
         process, which call each other over loopback HTTP with connections that they keep, and are asked without a gateway \
         (`bench/src/shop_native/`). Every side keeps its data in the host's own store with the host's own settings, in one database or \
         in three, and a write is on disk when it is answered. No side writes an access log. Answers of all sides are the same, compared before the measurement. \
         Each client waits for its answer, and the clients run on the same machine. CPU is that of all processes of the side. The ratio \
         is taken within each round.\n",
        shop::LINES,
    );
    let mut misses = Vec::new();
    for work in [Work::FindUser, Work::CreateUser, Work::Read, Work::Place] {
        for clients in CLIENTS {
            progress(&format!("{} by {clients}", work.name()));
            let measured = Measured::take(plan, &shops, work, clients).await?;
            text.push_str(&format!("\n{}, {clients} at a time:\n\n{}", work.title(), measured.table(clients)));
            let reached = measured.rate.ratio(0, NATIVE);
            if work == Work::Read && clients > 1 && reached.median < CLAIM {
                misses.push(format!("with kept instances an order is read {reached:.2} times as often as natively, and not {CLAIM} times"));
            }
        }
    }
    let verdict = if misses.is_empty() { "It holds." } else { "It does not hold." };
    text.push_str(&format!(
        "\nThe claim: {} clients read at least {CLAIM} times as many orders from Atoll with kept instances as from the native services. \
         {verdict}\n",
        CLIENTS[0],
    ));
    Ok(Finding { text, misses })
}

/// What one kind of work by so many clients came to.
struct Measured {
    /// Requests a second.
    rate: Rounds,
    /// Seconds of CPU for 1000 requests, a value for each round of each side; the round that does not count is the first.
    cpu: [Vec<f64>; SIDES.len()],
}

impl Measured {
    async fn take(plan: &Plan, shops: &[Shop; SIDES.len()], work: Work, clients: usize) -> anyhow::Result<Self> {
        let mut cpu = [const { Vec::new() }; SIDES.len()];
        let rate = Rounds::alternate(plan.rounds, SIDES.len(), async |side| {
            let shop = &shops[side];
            let (crowd, done) = shop.clients(work, clients).await?;
            let before = shop.cpu()?;
            let rate = throughput(crowd, plan.duration).await?;
            cpu[side].push((shop.cpu()? - before) * 1e3 / f64::from(done.load(std::sync::atomic::Ordering::Relaxed)));
            Ok(rate)
        });
        Ok(Self { rate: rate.await?, cpu })
    }

    #[expect(clippy::cast_precision_loss, reason = "there are few clients")]
    fn table(&self, clients: usize) -> Table {
        let mut table =
            Table::new(["side", "requests/s", "µs each", "CPU seconds for 1000", "times as many as natively"]);
        for (side, what) in SIDES.iter().enumerate() {
            let rate = self.rate.side(side);
            // With that many clients, of which each waits for its answer.
            let each = |rate: f64| 1e6 * clients as f64 / rate;
            let each = Spread { median: each(rate.median), min: each(rate.max), max: each(rate.min) };
            table.row([
                (*what).to_owned(),
                format!("{rate:.0}"),
                format!("{each:.0}"),
                format!("{:.3}", Spread::of(&self.cpu[side][1..])),
                format!("{:.2}", self.rate.ratio(side, NATIVE)),
            ]);
        }
        table
    }
}
