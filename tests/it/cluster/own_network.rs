//! Machines of a test: each a network namespace with an address, its cable in a bridge. Packets between them are
//! dropped by nftables, in one direction or in both. The test that uses them runs once more, in a process that has a
//! network, mounts and processes of its own, so that nothing of it is left on this machine.

use super::super::atoll::eventually;
use rustix::process::getuid;
use std::fs;
use std::process::Stdio;
use tokio::process::{Child, Command};

/// This process, for the machines.
const HUB: &str = "10.77.0.254";
/// Says to a test that it runs in a network of its own.
const INSIDE: &str = "ATOLL_TEST_OWN_NETWORK";
/// What each machine drops packets by.
const CHAINS: &str = "add table inet cuts
add chain inet cuts input { type filter hook input priority 0; }
add chain inet cuts output { type filter hook output priority 0; }
";

#[expect(clippy::disallowed_methods, reason = "whoever starts a run says so")]
fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some()
}

/// Whether `ATOLL_TEST_NATS` asks for the tests that take minutes: those of `just cluster`.
pub(super) fn is_asked_for() -> bool {
    if !is_set("ATOLL_TEST_NATS") {
        eprintln!("this takes minutes, and is a part of `just cluster`: nothing was tested");
    }
    is_set("ATOLL_TEST_NATS")
}

/// Whether this process has a network of its own. If it has none, `test` runs in another process, which has one.
pub(super) async fn is_in_own_network(test: &str) -> bool {
    if is_set(INSIDE) || !is_asked_for() {
        return is_set(INSIDE);
    }
    let has = |program: &str| ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].iter().any(|at| has_file(at, program));
    if !getuid().is_root() || !["unshare", "nsenter", "ip", "nft", "mount"].into_iter().all(has) {
        eprintln!("this needs root and the programs of util-linux, iproute2 and nftables: nothing was tested");
        return false;
    }
    let mut inside = Command::new("unshare");
    inside.args(["--net", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child", "--"]);
    inside.arg(std::env::current_exe().unwrap()).args([test, "--exact", "--nocapture"]);
    let ended = inside.env(INSIDE, "1").stdin(Stdio::null()).kill_on_drop(true).status().await.unwrap();
    assert!(ended.success(), "{test} in a network of its own: {ended}");
    false
}

fn has_file(folder: &str, program: &str) -> bool {
    fs::exists(format!("{folder}/{program}")).unwrap_or(false)
}

/// Runs lines of a program that reads them, as `nft` and `ip` do.
pub(super) async fn run(program: &[&str]) {
    let output = Command::new(program[0]).args(&program[1..]).stdin(Stdio::null()).output().await.unwrap();
    assert!(output.status.success(), "{program:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// One machine. Its processes are in its network alone.
pub(super) struct Machine {
    pub(super) address: String,
    /// What keeps the namespace.
    _holder: Child,
    pid: String,
}

impl Machine {
    async fn start(number: usize) -> Self {
        let mut holder = Command::new("unshare");
        let holder = holder.args(["--net", "sleep", "infinity"]).kill_on_drop(true).spawn().unwrap();
        let pid = holder.id().unwrap().to_string();
        let network = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        eventually("it has a network", async || (network(&pid)? != network("self")?).then_some(())).await;
        let machine = Self { address: format!("10.77.0.{}", number + 1), _holder: holder, pid };
        let (cable, address) = (format!("cable{number}"), format!("{}/24", machine.address));
        run(&["ip", "link", "add", &cable, "type", "veth", "peer", "name", "eth0", "netns", &machine.pid]).await;
        run(&["ip", "link", "set", &cable, "master", "hub", "up"]).await;
        machine.run(&["ip", "link", "set", "lo", "up"]).await;
        machine.run(&["ip", "address", "add", &address, "dev", "eth0"]).await;
        machine.run(&["ip", "link", "set", "eth0", "up"]).await;
        machine.run(&["nft", CHAINS]).await;
        machine
    }

    /// The program that becomes another one on this machine.
    pub(super) fn through(&self) -> Vec<String> {
        ["nsenter", "--target", &self.pid, "--net", "--"].map(str::to_owned).to_vec()
    }

    async fn run(&self, program: &[&str]) {
        let through = self.through();
        let through: Vec<_> = through.iter().map(String::as_str).chain(program.iter().copied()).collect();
        run(&through).await;
    }
}

/// What does not get through.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cut {
    /// A packet of the first machine to the second one.
    Way(usize, usize),
    /// A packet of a machine to a server of NATS, be it the one on that machine, for its clients.
    ToNats(usize),
    /// Such a server's answer to a machine.
    FromNats(usize),
}

/// The machines of a test.
pub(super) struct OwnNetwork {
    pub(super) machines: Vec<Machine>,
}

impl OwnNetwork {
    pub(super) async fn start(count: usize) -> Self {
        run(&["ip", "link", "set", "lo", "up"]).await;
        run(&["ip", "link", "add", "hub", "type", "bridge"]).await;
        run(&["ip", "address", "add", &format!("{HUB}/24"), "dev", "hub"]).await;
        run(&["ip", "link", "set", "hub", "up"]).await;
        let mut machines = Vec::new();
        for number in 0..count {
            machines.push(Machine::start(number).await);
        }
        Self { machines }
    }

    /// Cuts, where the servers of NATS have these ports.
    pub(super) async fn cut(&self, cuts: &[Cut], ports: &[u16]) {
        let ports: Vec<_> = ports.iter().map(u16::to_string).collect();
        let ports = ports.join(",");
        for cut in cuts {
            let (at, rule) = match *cut {
                Cut::Way(from, to) => (to, format!("input ip saddr {} drop", self.machines[from].address)),
                Cut::ToNats(node) => (node, format!("output tcp dport {{ {ports} }} drop")),
                Cut::FromNats(node) => (node, format!("input tcp sport {{ {ports} }} drop")),
            };
            self.machines[at].run(&["nft", &format!("add rule inet cuts {rule}")]).await;
        }
    }

    /// Lets everything through again.
    pub(super) async fn heal(&self) {
        for machine in &self.machines {
            machine.run(&["nft", "flush chain inet cuts input; flush chain inet cuts output"]).await;
        }
    }
}
