//! An event as it is stored.

use crate::base::{Digest, SpanId, TraceId, TraceParent};

/// The first bytes of a record's SHA-256, which stand before the rest of it. The database has checksums of its pages,
/// but trusts them after it was closed cleanly, so that a bit that flips later is found by nobody else.
const DIGEST: usize = 8;
/// The format of a record without a trace.
const PLAIN: u8 = 1;
/// The format of a record whose publisher was traced: the trace stands before the rest.
const TRACED: u8 = 2;

/// An event without its number, which is its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// When it was published, in milliseconds since 1970.
    pub time: u64,
    /// Who has published it: a service, or `operator`. At most 255 bytes.
    pub source: String,
    /// What orders it: at most 1,024 bytes.
    pub key: Option<String>,
    /// The payload: JSON.
    pub payload: String,
    /// The place in a trace at which it was published.
    pub trace: Option<TraceParent>,
}

/// A record that is not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the event is damaged: its bytes are not those that were written")]
pub struct DamagedRecord;

impl EventRecord {
    /// The bytes that are stored.
    pub fn encode(&self) -> Vec<u8> {
        let key = self.key.as_deref().unwrap_or_default();
        let mut body = Vec::with_capacity(DIGEST + 38 + self.source.len() + key.len() + self.payload.len());
        body.extend_from_slice(&[0; DIGEST]);
        match &self.trace {
            Some(TraceParent { trace, span, sampled }) => {
                body.push(TRACED);
                body.extend_from_slice(trace.bytes());
                body.extend_from_slice(span.bytes());
                body.push(u8::from(*sampled));
            }
            None => body.push(PLAIN),
        }
        body.extend_from_slice(&self.time.to_be_bytes());
        body.push(u8::try_from(self.source.len()).unwrap_or(u8::MAX));
        body.extend_from_slice(&self.source.as_bytes()[..self.source.len().min(255)]);
        // 0: no key. Otherwise one more than its length, since a key may be empty.
        let length = self.key.as_ref().map_or(0, |key| u16::try_from(key.len() + 1).unwrap_or(u16::MAX));
        body.extend_from_slice(&length.to_be_bytes());
        body.extend_from_slice(key.as_bytes());
        body.extend_from_slice(self.payload.as_bytes());
        let digest = Digest::of(&body[DIGEST..]);
        body[..DIGEST].copy_from_slice(&digest.0[..DIGEST]);
        body
    }

    /// The event of these bytes.
    ///
    /// # Errors
    /// They are not those of [`EventRecord::encode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DamagedRecord> {
        let (digest, body) = bytes.split_at_checked(DIGEST).ok_or(DamagedRecord)?;
        if Digest::of(body).0[..DIGEST] != *digest {
            return Err(DamagedRecord);
        }
        Self::parse(body).ok_or(DamagedRecord)
    }

    fn parse(body: &[u8]) -> Option<Self> {
        let (format, body) = body.split_first()?;
        let (trace, body) = match *format {
            PLAIN => (None, body),
            TRACED => {
                let (trace, body) = body.split_first_chunk::<16>()?;
                let (span, body) = body.split_first_chunk::<8>()?;
                let (sampled, body) = body.split_first()?;
                let (trace, span) = (TraceId::stored(*trace)?, SpanId::stored(*span)?);
                (Some(TraceParent { trace, span, sampled: *sampled != 0 }), body)
            }
            _ => return None,
        };
        let (time, body) = body.split_first_chunk::<8>()?;
        let (source, body) = body.split_first()?;
        let (source, body) = body.split_at_checked((*source).into())?;
        let (length, body) = body.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (key, payload) = body.split_at_checked(length.saturating_sub(1))?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        Some(Self {
            time: u64::from_be_bytes(*time),
            source: text(source)?,
            key: if length == 0 { None } else { Some(text(key)?) },
            payload: text(payload)?,
            trace,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record() -> impl Strategy<Value = EventRecord> {
        let trace = (1..u128::MAX, 1..u64::MAX, any::<bool>()).prop_map(|(trace, span, sampled)| {
            let (trace, span) = (TraceId::from_random(trace), SpanId::from_random(span));
            TraceParent { trace, span, sampled }
        });
        let (key, trace) = (proptest::option::of(".{0,40}"), proptest::option::of(trace));
        (any::<u64>(), "[a-z]{1,20}", key, ".{0,200}", trace)
            .prop_map(|(time, source, key, payload, trace)| EventRecord { time, source, key, payload, trace })
    }

    proptest! {
        #[test]
        fn a_record_reads_as_it_was_written(record in record()) {
            prop_assert_eq!(EventRecord::decode(&record.encode()), Ok(record));
        }

        #[test]
        fn a_flipped_bit_and_a_torn_tail_are_found(
            record in record(),
            at in any::<proptest::sample::Index>(),
            bit in 0..8,
        ) {
            let written = record.encode();
            let mut flipped = written.clone();
            let byte = at.index(flipped.len());
            flipped[byte] ^= 1u8 << bit;
            prop_assert_eq!(EventRecord::decode(&flipped), Err(DamagedRecord));
            prop_assert_eq!(EventRecord::decode(&written[..byte]), Err(DamagedRecord));
        }
    }
}
