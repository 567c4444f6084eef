//! What a running host can do about a key of the manifest that has changed.

use ChangeClass::{Live, Restart, Swap};
use std::fmt;

/// How a change gets into a running host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeClass {
    /// At once, for what comes later.
    Live,
    /// At once, and another component serves.
    Swap,
    /// Not while the host runs.
    Restart,
}

impl fmt::Display for ChangeClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Live => "live",
            Swap => "swap",
            Restart => "restart",
        })
    }
}

const LISTENER: &str = "its listener has it since the start";
const EDGE: &str = "the edge serves with it since the start";
const FOLDER: &str = "the folder is open since the start";
const PROCESS: &str = "the process has begun with it";
const TOPICS: &str = "what is under way in a topic ends first";
const REQUESTS: &str = "requests that come later get it";
const CALLS: &str = "calls that come later get it";
const FRESH: &str = "its endpoints are made anew; calls under way end on the old ones";

/// The classes: the first pattern that is a beginning of a key's path counts. `*` is any name.
const CLASSES: [(&[&str], ChangeClass, &str); 76] = [
    (&["gateway", "timeout"], Live, REQUESTS),
    (&["gateway", "cors"], Live, REQUESTS),
    (&["gateway", "cache", "disk"], Restart, FOLDER),
    (&["gateway", "cache", "folder"], Restart, FOLDER),
    (&["gateway", "cache"], Live, "the cache begins empty"),
    (&["gateway", "body_memory"], Live, REQUESTS),
    (&["gateway", "names"], Restart, "topics, schedules and sagas read JSON by it since the start"),
    (&["gateway", "openapi"], Live, REQUESTS),
    (&["gateway", "default_auth"], Live, REQUESTS),
    (&["gateway", "allow"], Live, REQUESTS),
    (&["gateway", "deny"], Live, REQUESTS),
    (&["gateway", "maintenance"], Live, REQUESTS),
    (&["gateway", "tls"], Restart, EDGE),
    (&["gateway", "keys"], Restart, "operators may be writing the file"),
    (&["gateway", "drain"], Restart, PROCESS),
    (&["gateway"], Restart, LISTENER),
    (&["admin"], Restart, EDGE),
    (&["auth"], Live, "keys are fetched anew, and tokens are proved again"),
    (&["operator"], Live, "operators that come later are known by it"),
    (&["limit"], Live, "the limit begins with full buckets"),
    (&["state"], Restart, "the database is open"),
    (&["runtime"], Restart, PROCESS),
    (&["log"], Restart, PROCESS),
    (&["telemetry"], Restart, PROCESS),
    (&["history"], Restart, "the history is open"),
    (&["audit"], Restart, "the file is open, and its lines are a chain"),
    (&["record"], Restart, PROCESS),
    (&["events"], Restart, "the logs of the topics are open"),
    (&["bridge"], Restart, "the logs of the topics are open"),
    (&["cluster"], Restart, "other nodes know it by it since the start"),
    (&["dns"], Restart, LISTENER),
    (&["discovery"], Restart, "sources are asked with it since the start"),
    (&["topic"], Restart, TOPICS),
    (&["schedule"], Restart, "what is due has been reckoned since the start"),
    (&["saga"], Restart, "sagas under way go on with the definitions of the start"),
    (&["sagas"], Restart, "sagas under way go on with the definitions of the start"),
    (&["service", "*", "record"], Restart, "the engine runs components so that calls can be replayed, or not"),
    (&["service", "*", "component"], Swap, "the component is checked and started before it gets calls"),
    (&["service", "*", "publish"], Restart, TOPICS),
    (&["service", "*", "subscribe"], Restart, TOPICS),
    (&["service", "*", "build"], Live, "`atoll build` reads it"),
    (&["service", "*", "tests"], Live, "`atoll test` reads it"),
    (&["service", "*", "watch"], Live, "`atoll dev` reads it"),
    (&["service", "*", "rollout"], Live, "the next swap goes so"),
    (&["service", "*", "wit"], Live, "the docs of `/openapi.json` are read anew"),
    (&["service", "*", "fault"], Live, CALLS),
    (&["service", "*", "balance"], Live, CALLS),
    (&["service", "*", "slow_start"], Live, CALLS),
    (&["service", "*", "ejection"], Live, CALLS),
    (&["service", "*", "retry"], Live, CALLS),
    (&["service", "*", "requires"], Live, CALLS),
    (&["service", "*", "idempotent"], Live, CALLS),
    (&["service", "*", "dns"], Live, "names are resolved so from now on"),
    (&["service", "*", "health"], Live, "the checks begin anew"),
    (&["service", "*", "breaker"], Live, FRESH),
    (&["service", "*", "urls"], Live, "addresses that stay keep their endpoints"),
    (&["service", "*", "ca"], Live, FRESH),
    (&["service", "*", "http2"], Live, FRESH),
    (&["service", "*", "replicas"], Live, FRESH),
    (&["service", "*", "nodes"], Live, FRESH),
    (&["service", "*", "node_count"], Live, FRESH),
    (&["service", "*", "weight"], Live, FRESH),
    (&["service", "*", "isolation"], Live, FRESH),
    (&["service", "*", "reuse"], Live, FRESH),
    (&["service", "*", "limits"], Live, FRESH),
    (&["service", "*", "state"], Live, FRESH),
    (&["service", "*", "bucket"], Live, FRESH),
    (&["service", "*", "config"], Live, FRESH),
    (&["service", "*", "secrets"], Live, FRESH),
    (&["service", "*", "env"], Live, FRESH),
    (&["service", "*", "calls"], Live, FRESH),
    (&["service", "*", "egress"], Live, FRESH),
    (&["route", "*", "auth"], Live, REQUESTS),
    (&["route", "*", "websocket"], Live, "WebSockets that are open stay open"),
    (&["route", "*", "*"], Live, REQUESTS),
    (&["route", "*"], Live, REQUESTS),
];

/// The class of the key at this path, and why; `None` if no pattern has it.
pub(crate) fn class_of(path: &[&str]) -> Option<(ChangeClass, &'static str)> {
    if let ["service", _] = path {
        return Some((Live, "it begins, or ends when no request needs it any more"));
    }
    let fits = |pattern: &[&str]| {
        pattern.len() <= path.len() && pattern.iter().zip(path).all(|(own, key)| *own == "*" || own == key)
    };
    CLASSES.iter().find(|(pattern, ..)| fits(pattern)).map(|(_, class, reason)| (*class, *reason))
}
