//! A shop that is measured: how each side is started, filled and called.

use super::customer::{Customer, Keyed, next_key};
use crate::Plan;
use crate::atoll::{Atoll, QUIET};
use crate::process::{Process, Usage, free_address};
use crate::proxy;
use crate::raw_client::{Connection, request};
use crate::shop_native::NativeShop;
use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use tempfile::TempDir;

/// Products in each order.
pub(super) const LINES: usize = 3;

/// How many users there are. Each has products of its own.
const USERS: usize = 32;

/// How many orders of each user exist before the measurement.
const ORDERS: usize = 8;

/// The work of the clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    FindUser,
    CreateUser,
    Read,
    Place,
}

impl Work {
    /// The name for progress messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::FindUser => "users read",
            Self::CreateUser => "users created",
            Self::Read => "orders read with users and products",
            Self::Place => "orders placed",
        }
    }

    /// The title of a table.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::FindUser => "Reading a user",
            Self::CreateUser => "Creating a user",
            Self::Read => "Reading an order with its user and products",
            Self::Place => "Placing an order",
        }
    }

    /// The service that is called.
    fn service(self) -> &'static str {
        match self {
            Self::FindUser | Self::CreateUser => "users",
            Self::Read | Self::Place => "orders",
        }
    }

    /// The text before the key of a request that writes.
    fn key_after(self) -> Option<&'static str> {
        match self {
            Self::FindUser | Self::Read => None,
            Self::CreateUser => Some("\"email\":\"new"),
            Self::Place => Some("idempotency-key: "),
        }
    }
}

/// The processes of a side.
enum Processes {
    Atoll(Atoll),
    Native(NativeShop),
    /// The native services behind a gateway, which listens on this address.
    Proxied(NativeShop, Process, String),
}

/// A running shop that has been filled.
pub(super) struct Shop {
    processes: Processes,
    /// The prefix of each path: the gateway serves all services below `/api`.
    prefix: &'static str,
    users: Vec<User>,
    /// The counter from which keys are made. Each order has a key of its own.
    keys: Arc<AtomicU32>,
    _folder: TempDir,
}

/// A user, the products that it orders, and the orders that it has placed. All ids are as in JSON.
struct User {
    id: String,
    products: Vec<String>,
    orders: Vec<String>,
}

impl Shop {
    /// Starts the example shop with this isolation in each service.
    pub(super) async fn atoll(plan: &Plan, binary: &Path, isolation: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir_in(&plan.scratch)?;
        let atoll = Atoll::start_with(binary, folder.path(), &manifest(plan, isolation)?, &[QUIET])?;
        Self::filled(Processes::Atoll(atoll), "/api", folder).await
    }

    /// Starts the three native services.
    pub(super) async fn native(plan: &Plan) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir_in(&plan.scratch)?;
        let native = NativeShop::start(folder.path())?;
        Self::filled(Processes::Native(native), "", folder).await
    }

    /// Starts the three native services, and nginx as their gateway.
    pub(super) async fn behind_nginx(plan: &Plan) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir_in(&plan.scratch)?;
        let native = NativeShop::start(folder.path())?;
        let address = free_address()?;
        let mut settings = include_str!("../../peers/shop-nginx.conf").to_owned();
        for (place, with) in [
            ("@LISTEN@", &address),
            ("@USERS@", &native.users.address),
            ("@PRODUCTS@", &native.products.address),
            ("@ORDERS@", &native.orders.address),
        ] {
            settings = settings.replace(place, with);
        }
        let nginx = proxy::nginx(folder.path(), &settings, &address).await?;
        Self::filled(Processes::Proxied(native, nginx, address), "", folder).await
    }

    async fn filled(processes: Processes, prefix: &'static str, folder: TempDir) -> anyhow::Result<Self> {
        let mut shop = Self { processes, prefix, users: Vec::new(), keys: Arc::default(), _folder: folder };
        for number in 0..USERS {
            let new = json!({"name": format!("User {number}"), "email": format!("user{number}@example.org")});
            let id = id_of(&shop.post("users", &[], &new).await?)?;
            let mut user = User { id, products: Vec::new(), orders: Vec::new() };
            for line in 0..LINES {
                let price = json!({"amount": 1250 + line, "currency": "EUR"});
                let sku = format!("sku-{number}-{line}");
                let new =
                    json!({"sku": sku, "name": format!("Product {line}"), "price": price, "stock": 1_000_000_000});
                user.products.push(id_of(&shop.post("products", &[], &new).await?)?);
            }
            for _ in 0..ORDERS {
                let key = next_key(&shop.keys);
                let placed = shop.post("orders", &[("idempotency-key", &key)], &user.order()).await?;
                user.orders.push(id_of(&placed)?);
            }
            shop.users.push(user);
        }
        Ok(shop)
    }

    /// The address of a service: `127.0.0.1:…`.
    fn address(&self, service: &str) -> anyhow::Result<&str> {
        Ok(match (&self.processes, service) {
            (Processes::Atoll(atoll), _) => atoll.gateway.strip_prefix("http://").context("the gateway's address")?,
            (Processes::Native(native), "users") => &native.users.address,
            (Processes::Native(native), "products") => &native.products.address,
            (Processes::Native(native), "orders") => &native.orders.address,
            (Processes::Proxied(_, _, address), _) => address,
            (Processes::Native(_), _) => bail!("there is no service {service}"),
        })
    }

    async fn post(&self, service: &str, headers: &[(&str, &str)], body: &Value) -> anyhow::Result<Value> {
        let address = self.address(service)?;
        let request = request(&format!("POST {}/{service}", self.prefix), address, headers, &body.to_string());
        let mut connection = Connection::open(address).await?;
        let (status, answer) = connection.exchange(&request).await?;
        ensure!(status == 201, "{service}: {status}: {}", String::from_utf8_lossy(answer));
        Ok(serde_json::from_slice(answer)?)
    }

    /// The JSON at `path` of a service.
    async fn get(&self, service: &str, path: &str) -> anyhow::Result<Value> {
        let address = self.address(service)?;
        let request = request(&format!("GET {}/{service}/{path}", self.prefix), address, &[], "");
        let mut connection = Connection::open(address).await?;
        let (status, answer) = connection.exchange(&request).await?;
        ensure!(status == 200, "{status}: {}", String::from_utf8_lossy(answer));
        Ok(serde_json::from_slice(answer)?)
    }

    /// Makes `count` clients, each with its own connection and user. Also returns the counter of their finished
    /// requests.
    pub(super) async fn clients(&self, work: Work, count: usize) -> anyhow::Result<(Vec<Customer>, Arc<AtomicU32>)> {
        let done = Arc::<AtomicU32>::default();
        let address = self.address(work.service())?;
        let mut clients = Vec::with_capacity(count);
        for user in self.users.iter().cycle().take(count) {
            let requests = match work {
                Work::FindUser => vec![request(&format!("GET {}/users/{}", self.prefix, user.id), address, &[], "")],
                Work::CreateUser => {
                    let email = format!("new{}@example.org", next_key(&self.keys));
                    let body = json!({"email": email, "name": "A new user"}).to_string();
                    vec![request(&format!("POST {}/users", self.prefix), address, &[], &body)]
                }
                Work::Read => {
                    let line = |order| format!("GET {}/orders/{order}/details", self.prefix);
                    user.orders.iter().map(|order| request(&line(order), address, &[], "")).collect()
                }
                Work::Place => {
                    let body = user.order().to_string();
                    let key = ("idempotency-key", next_key(&self.keys));
                    vec![request(&format!("POST {}/orders", self.prefix), address, &[(key.0, &key.1)], &body)]
                }
            };
            let keyed = work.key_after().map(|after| Keyed { keys: self.keys.clone(), after });
            clients.push(Customer::new(Connection::open(address).await?, requests, keyed, done.clone()));
        }
        Ok((clients, done))
    }

    /// Seconds of processor time that its processes have used.
    pub(super) fn cpu(&self) -> f64 {
        let processes = match &self.processes {
            Processes::Atoll(atoll) => vec![atoll.process()],
            Processes::Native(native) => native.processes(),
            Processes::Proxied(native, nginx, _) => native.processes().into_iter().chain([nginx.id()]).collect(),
        };
        Usage::of(&processes).cpu
    }
}

impl User {
    /// An order of one of each of the user's products.
    fn order(&self) -> Value {
        let line = |product: &String| json!({"product": product, "quantity": 1});
        json!({"user": self.id, "lines": self.products.iter().map(line).collect::<Vec<_>>()})
    }
}

/// Compares the answers of all shops: a user, an order as it is read, and an order as it is placed.
///
/// # Errors
/// If two answers differ in more than ids and times.
pub(super) async fn compare(shops: &[Shop]) -> anyhow::Result<()> {
    let mut answers = Vec::new();
    for shop in shops {
        let user = shop.users.last().context("a shop has users")?;
        let found = shop.get("users", &user.id).await?;
        let order = user.orders.last().context("a user has orders")?;
        let details = shop.get("orders", &format!("{order}/details")).await?;
        let key = next_key(&shop.keys);
        let placed = shop.post("orders", &[("idempotency-key", &key)], &user.order()).await?;
        let again = shop.post("orders", &[("idempotency-key", &key)], &user.order()).await?;
        ensure!(placed == again, "a key places one order: {placed} {again}");
        answers.push((neutral(found), neutral(details), neutral(placed)));
    }
    for answer in &answers[1..] {
        ensure!(answer == &answers[0], "the answers differ:\n{:?}\n{answer:?}", answers[0]);
    }
    Ok(())
}

/// An answer without times, with names instead of ids, and with lines and products sorted by SKU. By id they may have
/// any order within a millisecond.
fn neutral(mut answer: Value) -> Value {
    rename(&mut answer, &mut BTreeMap::new());
    answer
}

fn rename(value: &mut Value, names: &mut BTreeMap<String, usize>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                match (name.as_str(), &value) {
                    ("placed", Value::Number(_)) => *value = json!("a time"),
                    ("id" | "user" | "product", Value::String(id)) if id.bytes().all(|byte| byte.is_ascii_digit()) => {
                        let next = names.len();
                        *value = json!(format!("id {}", *names.entry(id.clone()).or_insert(next)));
                    }
                    _ => rename(value, names),
                }
            }
        }
        Value::Array(items) => {
            items.sort_by(|a, b| a["sku"].as_str().cmp(&b["sku"].as_str()));
            items.iter_mut().for_each(|item| rename(item, names));
        }
        _ => {}
    }
}

fn id_of(created: &Value) -> anyhow::Result<String> {
    Ok(created["id"].as_str().with_context(|| format!("an id: {created}"))?.to_owned())
}

/// The manifest of the example shop with absolute paths and this isolation.
fn manifest(plan: &Plan, isolation: &str) -> anyhow::Result<String> {
    let manifest = fs::read_to_string(plan.workspace.join("atoll.toml")).context("the example shop's manifest")?;
    let dist = plan.workspace.join("components/dist");
    for service in ["users", "products", "orders"] {
        let component = dist.join(format!("{service}.wasm"));
        ensure!(component.exists(), "{} is missing: ./just build-components", component.display());
    }
    let absolute = |folder: &str| format!("= \"{}", plan.workspace.join(folder).display());
    let manifest = manifest
        .replace("= \"components/dist/", &absolute("components/dist/"))
        .replace("= \"wit/", &absolute("wit/"))
        .replace("replicas = 2\n", &format!("replicas = 2\nisolation = \"{isolation}\"\n"));
    ensure!(
        manifest.matches(&format!("isolation = \"{isolation}\"")).count() == 3,
        "each service of the manifest must get its isolation"
    );
    Ok(format!("{manifest}\n[runtime]\ncache = {:?}\n", plan.scratch.join("cache")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_compared_without_the_values_of_their_ids() {
        let order = |user: &str, product: &str, other: &str| {
            neutral(json!({"id": "1", "user": user, "placed": 5, "lines": [{"product": product}, {"product": other}]}))
        };
        assert_eq!(order("7", "8", "9"), order("17", "18", "19"));
        assert_ne!(order("7", "8", "9"), order("7", "8", "8"));
    }
}
