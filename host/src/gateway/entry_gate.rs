//! What every request passes before a route is looked for: the list of addresses, and whether there is maintenance.

use super::address_list::AddressList;
use super::problem::Problem;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Who is let in, and who during maintenance.
#[derive(Debug, Clone)]
pub struct EntrySettings {
    /// Who is let in at any time.
    pub addresses: AddressList,
    /// Whose requests are answered during maintenance; without a range: nobody's.
    pub operators: AddressList,
    /// Whether there is maintenance from the start.
    pub maintenance: bool,
    /// When clients are told to come back, unless an operator says otherwise.
    pub retry_after: Duration,
}

impl Default for EntrySettings {
    fn default() -> Self {
        let (addresses, operators) = (AddressList::default(), AddressList::default());
        Self { addresses, operators, maintenance: false, retry_after: Duration::from_secs(60) }
    }
}

/// The gate of one gateway.
#[derive(Debug)]
pub(super) struct EntryGate {
    addresses: Option<AddressList>,
    operators: AddressList,
    /// During maintenance the seconds after which clients shall come back; otherwise 0.
    maintenance: AtomicU64,
    retry_after: Duration,
    /// Whether the manifest wants maintenance from the start.
    planned: bool,
}

impl EntryGate {
    pub(super) fn new(settings: EntrySettings) -> Self {
        let EntrySettings { addresses, operators, maintenance, retry_after } = settings;
        let addresses = Some(addresses).filter(|list| !list.is_empty());
        let gate = Self { addresses, operators, maintenance: AtomicU64::new(0), retry_after, planned: maintenance };
        if maintenance {
            gate.begin_maintenance(None);
        }
        gate
    }

    /// This gate takes the place of another one. What an operator has ordered since stays, unless the manifest has
    /// changed its mind.
    pub(super) fn go_on(&self, before: &Self) {
        if self.planned == before.planned {
            self.maintenance.store(before.maintenance.load(Relaxed), Relaxed);
        }
    }

    /// Begins maintenance, in which clients are told to come back after so long, or after the usual time.
    pub(super) fn begin_maintenance(&self, retry_after: Option<Duration>) {
        self.maintenance.store(retry_after.unwrap_or(self.retry_after).as_secs().max(1), Relaxed);
    }

    /// Ends it.
    pub(super) fn end_maintenance(&self) {
        self.maintenance.store(0, Relaxed);
    }

    /// When clients are told to come back; `None`: there is no maintenance.
    pub(super) fn maintenance(&self) -> Option<Duration> {
        let seconds = self.maintenance.load(Relaxed);
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }

    /// Refuses a request that may not pass. `client` finds its address, which most gates need not know.
    pub(super) fn check(&self, client: impl Fn() -> IpAddr) -> Result<(), Problem> {
        if let Some(addresses) = &self.addresses {
            addresses.check(client())?;
        }
        let Some(wait) = self.maintenance() else { return Ok(()) };
        // An empty `allow` means everybody elsewhere; here it means nobody.
        if !self.operators.allow.is_empty() && self.operators.admits(client()) {
            return Ok(());
        }
        let detail = "the service is under maintenance, and will be back";
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "maintenance", "Under maintenance", detail);
        Err(problem.with_header(RETRY_AFTER, HeaderValue::from(wait.as_secs())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::RequestId;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn maintenance_refuses_all_but_operators() {
        let operators = AddressList { allow: vec!["10.0.0.0/8".parse().expect("a range")], deny: Vec::new() };
        let wait = Duration::from_secs(90);
        let settings = EntrySettings { operators, maintenance: true, retry_after: wait, ..Default::default() };
        let gate = EntryGate::new(settings);
        assert!(gate.check(|| address("10.1.2.3")).is_ok());
        let refused = gate.check(|| address("192.0.2.1")).expect_err("no operator");
        let answer = refused.answer(&RequestId::from_random(1));
        assert_eq!((answer.status().as_u16(), &answer.headers()[RETRY_AFTER]), (503, &HeaderValue::from(90)));
        gate.end_maintenance();
        assert!(gate.check(|| panic!("nobody asks for the address")).is_ok());
        gate.begin_maintenance(Some(Duration::ZERO));
        assert_eq!(gate.maintenance(), Some(Duration::from_secs(1)), "not at once");
        let nobody = EntryGate::new(EntrySettings { maintenance: true, ..Default::default() });
        assert!(nobody.check(|| address("10.1.2.3")).is_err());
    }

    #[test]
    fn an_address_that_is_refused_is_refused_at_any_time() {
        let addresses = AddressList { allow: Vec::new(), deny: vec!["192.0.2.0/24".parse().expect("a range")] };
        let gate = EntryGate::new(EntrySettings { addresses, ..Default::default() });
        assert!(gate.check(|| address("198.51.100.1")).is_ok());
        let refused = gate.check(|| address("192.0.2.200")).expect_err("on the list");
        assert_eq!(refused.counted_as(), "address-refused");
    }
}
