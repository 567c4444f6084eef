//! What the numbers of errors mean that servers of the Kafka protocol answer.

use crate::broker::error::BrokerError;

pub(super) const OFFSET_OUT_OF_RANGE: i16 = 1;
pub(super) const UNKNOWN_TOPIC: i16 = 3;
pub(super) const TOPIC_EXISTS: i16 = 36;
pub(super) const OUT_OF_ORDER: i16 = 45;
pub(super) const DUPLICATE: i16 = 46;
pub(super) const OLD_EPOCH: i16 = 47;
pub(super) const UNKNOWN_PRODUCER: i16 = 59;
pub(super) const FENCED: i16 = 90;

/// Those that pass by themselves, or after another look at who leads.
const PASSING: [(i16, &str); 22] = [
    (-1, "unknown server error"),
    (UNKNOWN_TOPIC, "unknown topic or partition"),
    (5, "the partition has no leader"),
    (6, "it does not lead the partition"),
    (7, "it did not get it done in time"),
    (8, "broker not available"),
    (9, "replica not available"),
    (13, "it was disconnected"),
    (14, "the coordinator is starting"),
    (15, "there is no coordinator"),
    (16, "it is not the coordinator"),
    (19, "too few replicas are in sync"),
    (20, "too few replicas were in sync after the append"),
    (41, "it is not the controller"),
    (OUT_OF_ORDER, "out of order sequence number"),
    (DUPLICATE, "duplicate sequence number"),
    (OLD_EPOCH, "another connection of this host has written since"),
    (51, "an earlier transaction of this host is being ended"),
    (56, "its disk has failed"),
    (UNKNOWN_PRODUCER, "it has forgotten this producer"),
    (78, "the offset is not available yet"),
    (FENCED, "another connection of this host has written since"),
];
/// Those by which a host is not let in.
const NOT_LET_IN: [(i16, &str); 6] = [
    (29, "the user may not use the topic"),
    (31, "the user may not do this with the cluster"),
    (33, "it knows another SASL mechanism than PLAIN"),
    (34, "it wants another SASL exchange"),
    (53, "the user may not write as this transactional id"),
    (58, "the user or the password is wrong"),
];

/// The error of a number that is not 0. `what` was asked for, and `text` is what the server says itself.
pub(super) fn told(code: i16, what: &str, text: Option<String>) -> BrokerError {
    let known = |list: &[(i16, &'static str)]| list.iter().find(|(own, _)| *own == code).map(|(_, text)| *text);
    let text = text.filter(|text| !text.is_empty());
    if let Some(meaning) = known(&PASSING) {
        return BrokerError::Away(format!("{what}: {} (error {code})", text.as_deref().unwrap_or(meaning)));
    }
    if let Some(meaning) = known(&NOT_LET_IN) {
        return BrokerError::Login(format!("{what}: {} (error {code})", text.as_deref().unwrap_or(meaning)));
    }
    let text = text.map_or_else(|| what.to_owned(), |text| format!("{what}: {text}"));
    BrokerError::Refused { code: code.unsigned_abs().into(), text }
}

/// As [`told`], where 0 is none.
pub(super) fn check(code: i16, what: &str) -> Result<(), BrokerError> {
    if code == 0 { Ok(()) } else { Err(told(code, what, None)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_away_and_what_lets_nobody_in_is_lasting() {
        assert_eq!(check(0, "x"), Ok(()));
        for (code, lasting, text) in [
            (6, false, "the broker cannot be reached: x: it does not lead the partition (error 6)"),
            (58, true, "the broker refuses the connection: x: the user or the password is wrong (error 58)"),
            (10, false, "the broker refuses: x (error 10)"),
        ] {
            let error = told(code, "x", None);
            assert_eq!((error.is_lasting(), &*error.to_string()), (lasting, text));
        }
        assert!(told(29, "x", Some("no ACL".into())).to_string().contains("x: no ACL (error 29)"));
    }
}
