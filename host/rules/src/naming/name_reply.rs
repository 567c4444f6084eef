//! The reply to a message.

/// The largest datagram: what passes every network without fragments (DNS flag day 2020).
pub const LARGEST_DATAGRAM: u16 = 1_232;

/// On which way a message has come, and its reply goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageWay {
    /// By UDP: the sender's address is not proved, and the reply must be short.
    Datagram,
    /// By TCP.
    Stream,
}

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyKind {
    /// Records.
    Answered,
    /// The name is there, and has no such records now.
    NoRecords,
    /// The name is not there.
    NoSuchName,
    /// The records fit in no datagram: the client asks again by TCP.
    CutOff,
    /// It is no question about the domain.
    Refused,
    /// It is no question: an update, for one.
    NotImplemented,
    /// The message cannot be read.
    Malformed,
}

/// The reply to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameReply {
    /// As it is sent, without the length that a stream has before it.
    pub bytes: Vec<u8>,
    /// What it says.
    pub kind: ReplyKind,
}

impl ReplyKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Answered,
        Self::NoRecords,
        Self::NoSuchName,
        Self::CutOff,
        Self::Refused,
        Self::NotImplemented,
        Self::Malformed,
    ];

    /// The word for it in metrics: `no-records`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::NoRecords => "no-records",
            Self::NoSuchName => "no-such-name",
            Self::CutOff => "cut-off",
            Self::Refused => "refused",
            Self::NotImplemented => "not-implemented",
            Self::Malformed => "malformed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::NameMetrics;

    #[test]
    fn the_metrics_know_the_word_of_each_kind() {
        let metrics = NameMetrics::default();
        for kind in ReplyKind::ALL {
            metrics.count(true, kind.as_str());
            let counted = format!("{:?}: 1", kind.as_str());
            assert!(format!("{metrics:?}").contains(&counted), "{counted} is not in {metrics:?}");
        }
    }
}
