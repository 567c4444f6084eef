//! The settings of a topic at a server of the Kafka protocol: those that it is created with, and what is wrong with one
//! that is there already.

use crate::broker::error::BrokerError;
use crate::events::longest;

/// What an event has beside its payload at most: its key, its headers and the batch around it.
const ENVELOPE: usize = 8 << 10;
/// The most bytes of one batch: servers take 1,048,588 by default.
const BATCH: usize = 1_000_000;
/// For ever, in milliseconds. Tansu 0.6 reads -1, which is the same by the protocol, as less than no time.
const FOR_EVER: &str = "9223372036854775807";

/// The settings of a topic that is created. What old events go, the host decides: the server keeps all.
pub(super) fn wanted(replicas: u8) -> Vec<(&'static str, String)> {
    vec![
        ("cleanup.policy", "delete".to_owned()),
        ("retention.ms", FOR_EVER.to_owned()),
        ("retention.bytes", "-1".to_owned()),
        ("max.message.bytes", "1048588".to_owned()),
        // The server undoes what others compress: each of their ways would be another library here.
        ("compression.type", "uncompressed".to_owned()),
        // An acknowledged event is on most replicas.
        ("min.insync.replicas", (replicas / 2 + 1).to_string()),
    ]
}

/// Checks the settings that a topic has, as far as the server tells them. Returns how many bytes a batch may have.
pub(super) fn check(name: &str, partitions: usize, settings: &[(String, String)]) -> Result<usize, BrokerError> {
    let unfit = |what: String| Err(BrokerError::Unfit(format!("the topic `{name}` {what}")));
    if partitions != 1 {
        return unfit(format!(
            "has {partitions} partitions, and the order of a key needs one: create it anew with one"
        ));
    }
    let value = |name: &str| settings.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
    if value("cleanup.policy").is_some_and(|policy| policy != "delete") {
        return unfit(
            "is compacted: the server would drop events of a key. Set its `cleanup.policy` to `delete`".into(),
        );
    }
    for limit in ["retention.ms", "retention.bytes"] {
        if let Some(value) = value(limit).filter(|value| !["-1", FOR_EVER].contains(value)) {
            return unfit(format!(
                "has `{limit}={value}`: the server would drop events that no subscriber has handled. Set it to -1; \
                 `retention` of the topic in the manifest says what goes"
            ));
        }
    }
    if let Some(kind) = value("compression.type").filter(|kind| !["uncompressed", "gzip"].contains(kind)) {
        return unfit(format!(
            "has `compression.type={kind}`, by which others may publish what Atoll does not read: set it to \
             `uncompressed` or `gzip`"
        ));
    }
    let (least, most) = (longest::PAYLOAD + ENVELOPE, value("max.message.bytes").and_then(|most| most.parse().ok()));
    match most {
        Some(most) if most < least => unfit(format!(
            "takes batches of at most {most} bytes, and an event may have {least}: raise its `max.message.bytes`"
        )),
        most => Ok(most.unwrap_or(BATCH).min(BATCH)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_made_to_keep_all_and_one_that_would_not_is_refused_by_name() {
        let owned = |settings: &[(&str, String)]| -> Vec<_> {
            settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
        };
        assert_eq!(check("t", 1, &owned(&wanted(3))), Ok(1_000_000));
        assert_eq!(check("t", 1, &[]), Ok(1_000_000), "a server that tells nothing");
        assert_eq!(check("t", 1, &owned(&[("max.message.bytes", "600000".into())])), Ok(600_000));
        let quorum =
            |replicas| wanted(replicas).into_iter().find(|(name, _)| *name == "min.insync.replicas").unwrap().1;
        assert_eq!([1, 2, 3, 5].map(quorum), ["1", "2", "2", "3"]);
        for (name, value, complaint) in [
            ("cleanup.policy", "compact,delete", "is compacted"),
            ("retention.ms", "604800000", "has `retention.ms=604800000`"),
            ("retention.bytes", "1024", "has `retention.bytes=1024`"),
            ("compression.type", "producer", "has `compression.type=producer`"),
            ("max.message.bytes", "1000", "takes batches of at most 1000 bytes"),
        ] {
            let found = check("orders.placed", 1, &owned(&[(name, value.into())])).unwrap_err().to_string();
            assert!(found.starts_with("the topic `orders.placed` ") && found.contains(complaint), "{found}");
        }
        let found = check("t", 6, &[]).unwrap_err().to_string();
        assert!(found.contains("has 6 partitions"), "{found}");
    }
}
