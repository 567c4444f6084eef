//! The allow-list of one service.

use super::EgressRule;
use super::host::Host;
use super::rule::Scheme;
use std::cmp::Reverse;

/// How much of a request that no rule can permit is repeated, in characters: the host is the guest's, and may be long.
const MAX_REPEATED: usize = 100;

/// The outside hosts that one service may reach: none by default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allow(Vec<EgressRule>);

impl Allow {
    /// An allow-list of `rules`.
    pub fn new(rules: Vec<EgressRule>) -> Self {
        Self(rules)
    }

    /// The rules, as they were given.
    pub fn rules(&self) -> &[EgressRule] {
        &self.0
    }

    /// The rule that permits a request, `None` when none does: then the request must not leave the host.
    ///
    /// Of several that match, it is the narrowest (a host before a wildcard, a longer wildcard before a shorter one); of two for the
    /// same hosts, the one that admits private addresses; then the first. `scheme` and `host` are in any case; an IPv6 `host` may
    /// stand in brackets, a name may end with a dot. A host that is an address matches only a rule with the same address.
    pub fn permits(&self, scheme: &str, host: &str, port: u16) -> Option<&EgressRule> {
        let (scheme, host) = (Scheme::parse(scheme)?, Host::parse(host).ok()?);
        let matching = self.0.iter().filter(|rule| rule.matches(scheme, host, port));
        matching.min_by_key(|rule| Reverse((rule.narrowness(), rule.is_private())))
    }

    /// The line of the manifest that would permit a request, and no other host: `egress = ["https://api.example.com"]`. If no line can, a
    /// comment that says why. It is one line of visible characters, whatever the guest asked for.
    pub fn line_for(scheme: &str, host: &str, port: u16) -> String {
        match EgressRule::exactly(scheme, host, port) {
            Ok(rule) => format!("egress = [\"{rule}\"]"),
            Err(mend) => {
                let request: String = format!("{scheme}://{host}:{port}").chars().take(MAX_REPEATED).collect();
                format!("# no line permits {request:?}: {mend}")
            }
        }
    }
}
