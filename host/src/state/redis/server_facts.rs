//! What a server says of itself, and what it must not say.

use super::resp::RespReply;
use std::collections::BTreeMap;
use std::time::Duration;

/// The oldest server: the scripts' first line is of Redis 7.0.
const OLDEST: u32 = 7;

/// What `INFO` and `CONFIG GET` say.
#[derive(Debug, Default)]
pub(super) struct ServerFacts {
    info: BTreeMap<String, String>,
    /// `None`: this user may not see it, or the server has no such command.
    config: Option<BTreeMap<String, String>>,
}

/// Why a server is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ServerProblem {
    /// Somebody has to change it.
    Unfit(String),
    /// It does not take writes now.
    ReadOnly(String),
}

impl ServerFacts {
    /// Of the two answers.
    pub(super) fn new(info: RespReply, config: RespReply) -> Self {
        let info = String::from_utf8(info.text().unwrap_or_default()).unwrap_or_default();
        let info = info.lines().filter_map(|line| line.split_once(':'));
        let info = info.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
        let config = match config {
            RespReply::Many(many) => {
                let texts: Vec<_> = many.into_iter().filter_map(RespReply::text).map(String::from_utf8).collect();
                let texts: Vec<_> = texts.into_iter().map(Result::unwrap_or_default).collect();
                Some(texts.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect())
            }
            _ => None,
        };
        Self { info, config }
    }

    /// Whether it takes writes: of several servers the one that does is used.
    pub(super) fn is_primary(&self) -> bool {
        self.info("role") == "master"
    }

    /// How long it runs.
    pub(super) fn uptime(&self) -> Duration {
        Duration::from_secs(self.info("uptime_in_seconds").parse().unwrap_or(0))
    }

    /// Why it will not do. `durable`: whether it must have on its disk what it acknowledges.
    pub(super) fn problem(&self, durable: bool) -> Option<ServerProblem> {
        let unfit = |problem: String| Some(ServerProblem::Unfit(problem));
        let version = self.info("redis_version");
        let number = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if number.is_none_or(|number| number < OLDEST) {
            return unfit(format!(
                "the server has version {version:?}, and Atoll needs Redis 7.0 or Valkey 7.2 or later"
            ));
        }
        if self.info("cluster_enabled") == "1" {
            return unfit(
                "the server is in cluster mode, where a commit cannot have keys of several slots: use one server, \
                 or several that replicate, without cluster-enabled"
                    .into(),
            );
        }
        if !self.is_primary() {
            return Some(ServerProblem::ReadOnly("the server is a replica, which takes no writes".into()));
        }
        if self.info("maxmemory") != "0" && self.info("maxmemory_policy") != "noeviction" {
            let policy = self.info("maxmemory_policy");
            return unfit(format!(
                "the server runs with maxmemory-policy {policy}, so it drops keys when its memory is full: set \
                 maxmemory-policy noeviction"
            ));
        }
        if durable {
            self.lost().and_then(|lost| unfit(format!("{lost}, or say `durable = false` in [state]")))
        } else {
            None
        }
    }

    /// Why what it acknowledges may be lost, and what to do.
    pub(super) fn lost(&self) -> Option<String> {
        let Some(config) = &self.config else {
            let lost = "the server does not say whether what it acknowledges is on its disk: let its user read that \
                        (ACL: +config|get)";
            return Some(lost.into());
        };
        for (name, wanted) in [("appendonly", "yes"), ("appendfsync", "always"), ("no-appendfsync-on-rewrite", "no")] {
            let found = config.get(name).map_or("nothing that is known", String::as_str);
            if found != wanted {
                return Some(format!(
                    "the server runs with {name} {found}, so what it acknowledges may be lost when it ends: set \
                     {name} {wanted}"
                ));
            }
        }
        None
    }

    fn info(&self, name: &str) -> &str {
        self.info.get(name).map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# Server\r\nredis_version:7.0.15\r\nrole:master\r\ncluster_enabled:0\r\nmaxmemory:0\r\n\
                        maxmemory_policy:allkeys-lru\r\n";

    fn text(text: &str) -> RespReply {
        RespReply::Text(text.into())
    }

    fn facts(info: &str, config: &[&str]) -> ServerFacts {
        ServerFacts::new(text(info), RespReply::Many(config.iter().map(|one| text(one)).collect()))
    }

    #[test]
    fn a_server_that_keeps_less_than_it_says_is_named_with_its_setting() {
        let durable = ["appendonly", "yes", "appendfsync", "always", "no-appendfsync-on-rewrite", "no"];
        assert_eq!(facts(GOOD, &durable).problem(true), None);
        for (at, value, says) in [
            (1, "no", "appendonly no"),
            (3, "everysec", "set appendfsync always, or say `durable = false`"),
            (5, "yes", "no-appendfsync-on-rewrite yes"),
        ] {
            let mut config = durable;
            config[at] = value;
            let found = facts(GOOD, &config);
            let Some(ServerProblem::Unfit(problem)) = found.problem(true) else { panic!("{value}") };
            assert!(problem.contains(says), "{problem}");
            assert_eq!(found.problem(false), None, "unless that is said");
        }
        let blind = ServerFacts::new(text(GOOD), RespReply::Error("NOPERM".into()));
        let Some(ServerProblem::Unfit(problem)) = blind.problem(true) else { panic!() };
        assert!(problem.contains("+config|get"), "{problem}");
        assert!(facts(GOOD, &[]).lost().is_some(), "a server that knows none of them");
    }

    #[test]
    fn a_server_of_the_wrong_kind_is_refused_whatever_the_manifest_takes() {
        for (from, to, says) in [
            ("7.0.15", "6.2.9", "needs Redis 7.0"),
            ("cluster_enabled:0", "cluster_enabled:1", "cluster mode"),
            ("maxmemory:0", "maxmemory:100", "maxmemory-policy allkeys-lru"),
        ] {
            let Some(ServerProblem::Unfit(problem)) = facts(&GOOD.replace(from, to), &[]).problem(false) else {
                panic!("{to}")
            };
            assert!(problem.contains(says), "{problem}");
        }
        let replica = facts(&GOOD.replace("role:master", "role:slave"), &[]);
        assert!(matches!(replica.problem(false), Some(ServerProblem::ReadOnly(_))) && !replica.is_primary());
    }
}
