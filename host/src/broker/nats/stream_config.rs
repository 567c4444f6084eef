//! The stream of a topic: its name, its settings, and what is wrong with one that is there already.

use crate::broker::error::BrokerError;
use crate::events::TopicName;
use serde_json::{Value, json};

/// How long the server knows the id of a message, in nanoseconds: its own default, 2 minutes.
const KNOWN: u64 = 120_000_000_000;
/// The API level from which several messages are appended together: that of server 2.14. Servers 2.12 take batches too,
/// but the suite of promises failed over 2.12.0 and 2.12.1 with them: 2.12.0 stopped answering for the stream.
const ATOMIC_LEVEL: u64 = 4;

/// The name of the stream. A topic's name has no `_`, so no two topics have one stream.
pub(super) fn name(topic: &TopicName) -> String {
    format!("ATOLL_{}", topic.as_str().replace('.', "_"))
}

/// The settings of a stream that is created. What old events go, the host decides: the server keeps all.
pub(super) fn wanted(topic: &TopicName, replicas: u8, level: u64) -> Value {
    let mut config = json!({
        "name": name(topic),
        "description": format!("the topic {topic} of Atoll"),
        "subjects": [topic.as_str()],
        "retention": "limits",
        "storage": "file",
        "discard": "new",
        "num_replicas": replicas,
        "duplicate_window": KNOWN,
        "allow_direct": true,
    });
    if level >= ATOMIC_LEVEL {
        config["allow_atomic"] = true.into();
    }
    config
}

/// Checks the settings that a stream has, which may be those that somebody else gave it, or fewer than were asked for:
/// a server drops what it does not know without a word before 2.12. Returns whether it takes several messages together.
pub(super) fn check(topic: &TopicName, config: &Value, level: u64) -> Result<bool, BrokerError> {
    let unfit = |what: &str| Err(BrokerError::Unfit(format!("the stream `{}` {what}", name(topic))));
    let subjects = config["subjects"].as_array().map(Vec::as_slice).unwrap_or_default();
    if subjects != [json!(topic.as_str())] {
        return unfit(&format!("has other subjects than `{topic}`"));
    }
    if config["retention"] != "limits" {
        return unfit("has another retention than `limits`: it would drop events that a subscriber may want again");
    }
    if config["storage"] != "file" {
        return unfit("is not stored in files: its events would be lost with the server");
    }
    for limit in ["max_age", "max_msgs", "max_bytes", "max_msgs_per_subject"] {
        if config[limit].as_i64().is_some_and(|limit| limit > 0) {
            return unfit(&format!(
                "has `{limit}`: the server would drop events that no subscriber has handled; `retention` and `size` \
                 of the topic say what goes"
            ));
        }
    }
    if config["allow_direct"] != true {
        return unfit("lacks `allow_direct`, by which its events are read");
    }
    Ok(config["allow_atomic"] == true && level >= ATOMIC_LEVEL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_made_to_keep_all_and_one_that_would_not_is_refused_by_name() {
        let topic = TopicName::new("orders.placed-2").unwrap();
        assert_eq!(name(&topic), "ATOLL_orders_placed-2");
        for (created, now, atomic) in [(1, 1, false), (2, 2, false), (2, 5, false), (4, 4, true), (5, 2, false)] {
            assert_eq!(check(&topic, &wanted(&topic, 3, created), now), Ok(atomic), "{created} {now}");
        }
        for (key, value, complaint) in [
            ("subjects", json!(["orders.>"]), "other subjects than `orders.placed-2`"),
            ("retention", json!("interest"), "another retention"),
            ("storage", json!("memory"), "not stored in files"),
            ("max_age", json!(3_600_000_000_000_u64), "has `max_age`"),
            ("max_msgs", json!(10), "has `max_msgs`"),
            ("max_bytes", json!(1024), "has `max_bytes`"),
            ("max_msgs_per_subject", json!(1), "has `max_msgs_per_subject`"),
            ("allow_direct", json!(false), "lacks `allow_direct`"),
        ] {
            let mut config = wanted(&topic, 1, 5);
            config[key] = value;
            let Err(BrokerError::Unfit(text)) = check(&topic, &config, 5) else { panic!("{key} passes") };
            assert!(text.contains(complaint) && text.contains("`ATOLL_orders_placed-2`"), "{text}");
        }
        // What a server answers for no limit.
        let mut config = wanted(&topic, 1, 5);
        config["max_bytes"] = json!(-1);
        assert_eq!(check(&topic, &config, 5), Ok(true));
    }
}
