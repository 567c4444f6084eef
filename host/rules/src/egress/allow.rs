//! The allow-list of one service.

use super::egress_rule::{EgressRule, Scheme};
use super::host::Host;
use std::cmp::Reverse;

/// How many characters of a request that no rule can permit a message repeats: the guest chose the host, and it may be
/// long.
const MAX_REPEATED: usize = 100;

/// The outside hosts that one service may reach: none by default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allow(Vec<EgressRule>);

impl Allow {
    /// An allow-list of `rules`.
    pub fn new(rules: Vec<EgressRule>) -> Self {
        Self(rules)
    }

    /// The rules, in the order in which they were given.
    pub fn rules(&self) -> &[EgressRule] {
        &self.0
    }

    /// The rule that permits a request; `None` when no rule does: then the request must not leave the host.
    ///
    /// Of several rules that match, it is the narrowest one (a host before a wildcard, a longer wildcard before a
    /// shorter one); of two for the same hosts, the one that admits private addresses; then the first one. `scheme`
    /// and `host` may be in upper or lower case. An IPv6 `host` may stand in brackets, and a name may end with a dot.
    /// A host that is an address matches only a rule with the same address.
    pub fn permits(&self, scheme: &str, host: &str, port: u16) -> Option<&EgressRule> {
        let (scheme, host) = (Scheme::parse(scheme)?, Host::parse(host).ok()?);
        let matching = self.0.iter().filter(|rule| rule.matches(scheme, host, port));
        matching.min_by_key(|rule| Reverse((rule.narrowness(), rule.is_private())))
    }

    /// The line of the manifest that would permit a request, and no other host:
    /// `egress = ["https://api.example.com"]`. If no line can permit it, a comment that says why. The text is one line
    /// of visible characters, whatever the guest asked for.
    pub fn line_for(scheme: &str, host: &str, port: u16) -> String {
        match EgressRule::exactly(scheme, host, port) {
            Ok(rule) => format!("egress = [\"{rule}\"]"),
            Err(help) => {
                let request: String = format!("{scheme}://{host}:{port}").chars().take(MAX_REPEATED).collect();
                format!("# no line permits {request:?}: {help}")
            }
        }
    }
}
