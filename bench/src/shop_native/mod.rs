//! The shop without Atoll: the same three services as native axum servers. Each is a process with its own database.
//!
//! The services speak JSON over loopback HTTP with kept connections. They store their data with the host's room
//! `state` and its settings, so the store is the same, and a write waits for the disk as it does in the host. For
//! each request they do what the components do, read for read and commit for commit, and they answer the same JSON.
//! There is no gateway, discovery, breaker, limit, metric or log in front of them: the benchmark calls them directly.
//!
//! Two parts are missing, because a measurement never uses them: the lists, and giving up an order that was refused
//! after its stock was reserved.

mod dependencies;
mod orders;
mod products;
mod records;
mod refusal;
mod users;
mod wire;

use anyhow::{Context, ensure};
use axum::Router;
use axum::serve::ListenerExt;
use clap::{Args, ValueEnum};
use records::Records;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tokio::net::TcpListener;

/// One of the services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    Users,
    Products,
    Orders,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Products => "products",
            Self::Orders => "orders",
        }
    }
}

/// The arguments of the program when it runs as one of the services.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Run as this service of the native shop.
    #[arg(long, hide = true, requires = "native_state")]
    native_service: Option<Role>,

    /// The path of that service's database.
    #[arg(long, hide = true)]
    native_state: Option<PathBuf>,

    /// The addresses of users and products, for orders.
    #[arg(long, hide = true, num_args = 2)]
    native_neighbours: Vec<String>,
}

impl Arguments {
    /// Whether the program runs as one of the services.
    pub(crate) fn is_service(&self) -> bool {
        self.native_service.is_some()
    }
}

/// Passes its address to `announce`, and serves until the process is ended.
///
/// # Errors
/// If the arguments are not those of a service, if the database does not open, or if it cannot listen.
pub(crate) async fn serve(
    arguments: Arguments,
    announce: impl FnOnce(&str) -> std::io::Result<()>,
) -> anyhow::Result<()> {
    let role = arguments.native_service.context("the name of a service")?;
    let records = Records::open(arguments.native_state.context("the path of a database")?, role.name())?;
    let router: Router = match role {
        Role::Users => users::router(records),
        Role::Products => products::router(records),
        Role::Orders => {
            let [users, products] = <[String; 2]>::try_from(arguments.native_neighbours)
                .map_err(|_| anyhow::anyhow!("the addresses of users and products"))?;
            orders::router(records, dependencies::Dependencies::new(&users, &products)?)
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    announce(&listener.local_addr()?.to_string())?;
    // With Nagle's algorithm, the kernel's delayed acknowledgement would be measured. If it cannot be switched off,
    // the connection has ended.
    axum::serve(listener.tap_io(|stream| _ = stream.set_nodelay(true)), router).await?;
    Ok(())
}

/// The three processes. They end when this is dropped.
#[derive(Debug)]
pub(crate) struct NativeShop {
    pub(crate) users: Service,
    pub(crate) products: Service,
    pub(crate) orders: Service,
}

impl NativeShop {
    /// Starts them, with new databases in `folder`.
    ///
    /// # Errors
    /// If one of them ends before it listens.
    pub(crate) fn start(folder: &Path) -> anyhow::Result<Self> {
        let users = Service::start(Role::Users, folder, &[])?;
        let products = Service::start(Role::Products, folder, &[])?;
        let orders = Service::start(Role::Orders, folder, &[&users.address, &products.address])?;
        Ok(Self { users, products, orders })
    }

    /// The process ids.
    pub(crate) fn processes(&self) -> Vec<u32> {
        [&self.users, &self.products, &self.orders].map(|service| service.child.id()).into()
    }
}

/// One of the processes.
#[derive(Debug)]
pub(crate) struct Service {
    child: Child,
    /// The address on which it listens: `127.0.0.1:…`.
    pub(crate) address: String,
}

impl Service {
    fn start(role: Role, folder: &Path, dependencies: &[&str]) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe().context("where this program is")?);
        command.args(["--native-service", role.name(), "--native-state"]);
        command.arg(folder.join(format!("{}.redb", role.name())));
        if !dependencies.is_empty() {
            command.arg("--native-dependencies").args(dependencies);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("standard output is piped")?;
        // From here on, an error ends the child too.
        let mut service = Self { child, address: String::new() };
        let read = BufReader::new(output).read_line(&mut service.address)?;
        ensure!(read > 0, "the native service {} did not start", role.name());
        service.address.truncate(service.address.trim_end().len());
        Ok(service)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Both fail only for a process that has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
