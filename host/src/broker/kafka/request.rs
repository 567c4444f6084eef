//! The requests of the Kafka protocol that this host makes, each in one version: those that servers of 2.5 and of 4.x
//! both know. What they answer is read here, too.

use super::error::{DUPLICATE, FENCED, OLD_EPOCH, OUT_OF_ORDER, UNKNOWN_PRODUCER, check, told};
use super::records::AbortedTransactions;
use super::wire::{WireReader, WireWriter};
use crate::broker::error::BrokerError;
use std::fmt;
use std::time::Duration;

/// How long a server may take for an append or a change, in milliseconds: less than this host waits.
const SERVER_TIME: i32 = 4000;

/// A kind of request, in the version that this host uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KafkaApi {
    pub(super) key: i16,
    pub(super) version: i16,
    pub(super) name: &'static str,
    /// Whether its version has compact types, and tagged fields behind its header.
    pub(super) is_flexible: bool,
}

const fn api(key: i16, version: i16, name: &'static str) -> KafkaApi {
    KafkaApi { key, version, name, is_flexible: false }
}

pub(super) const PRODUCE: KafkaApi = api(0, 3, "Produce");
pub(super) const FETCH: KafkaApi = api(1, 4, "Fetch");
pub(super) const LIST_OFFSETS: KafkaApi = api(2, 2, "ListOffsets");
pub(super) const METADATA: KafkaApi = api(3, 4, "Metadata");
pub(super) const FIND_COORDINATOR: KafkaApi = api(10, 1, "FindCoordinator");
pub(super) const SASL_HANDSHAKE: KafkaApi = api(17, 1, "SaslHandshake");
pub(super) const API_VERSIONS: KafkaApi = api(18, 0, "ApiVersions");
pub(super) const CREATE_TOPICS: KafkaApi = api(19, 2, "CreateTopics");
pub(super) const DELETE_RECORDS: KafkaApi = api(21, 0, "DeleteRecords");
pub(super) const INIT_PRODUCER_ID: KafkaApi = KafkaApi { is_flexible: true, ..api(22, 3, "InitProducerId") };
pub(super) const DESCRIBE_CONFIGS: KafkaApi = api(32, 1, "DescribeConfigs");
pub(super) const SASL_AUTHENTICATE: KafkaApi = api(36, 0, "SaslAuthenticate");
/// What every server must know. Those of SASL are wanted with a `user` alone, and without `DeleteRecords` nothing is
/// removed.
pub(super) const NEEDED: [KafkaApi; 8] =
    [PRODUCE, FETCH, LIST_OFFSETS, METADATA, FIND_COORDINATOR, CREATE_TOPICS, INIT_PRODUCER_ID, DESCRIBE_CONFIGS];

/// The offset of a log's beginning or end, for [`KafkaRequest::list_offsets`].
pub(super) const EARLIEST: i64 = -2;
pub(super) const LATEST: i64 = -1;

/// A request. Its bytes do not print: a password may be among them.
#[derive(Clone)]
pub(super) struct KafkaRequest {
    pub(super) api: KafkaApi,
    pub(super) body: Vec<u8>,
    /// For how long the server may wait by itself.
    pub(super) wait: Duration,
}

impl fmt::Debug for KafkaRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KafkaRequest({} of {} bytes)", self.api.name, self.body.len())
    }
}

/// Whether what has not been committed, or was aborted, is left out of what others write in transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadIsolation {
    Uncommitted,
    Committed,
}

impl KafkaRequest {
    fn new(api: KafkaApi, body: &WireWriter) -> Self {
        Self { api, body: body.bytes().to_vec(), wait: Duration::ZERO }
    }

    pub(super) fn api_versions() -> Self {
        Self::new(API_VERSIONS, &WireWriter::default())
    }

    pub(super) fn sasl_handshake() -> Self {
        Self::new(SASL_HANDSHAKE, WireWriter::default().text("PLAIN"))
    }

    pub(super) fn sasl_plain(user: &str, password: &str) -> Self {
        Self::new(SASL_AUTHENTICATE, WireWriter::default().run(format!("\0{user}\0{password}").as_bytes()))
    }

    /// About one topic, which is not created.
    pub(super) fn metadata(topic: &str) -> Self {
        Self::new(METADATA, WireWriter::default().length(1).text(topic).i8(0))
    }

    pub(super) fn create_topic(topic: &str, replicas: i16, settings: &[(&str, String)]) -> Self {
        let mut body = WireWriter::default();
        body.length(1).text(topic).i32(1).i16(replicas).length(0).length(settings.len());
        for (name, value) in settings {
            body.text(name).text(value);
        }
        Self::new(CREATE_TOPICS, body.i32(SERVER_TIME).i8(0))
    }

    /// All settings of a topic: Tansu 0.6 does not read a choice of them.
    pub(super) fn describe(topic: &str) -> Self {
        Self::new(DESCRIBE_CONFIGS, WireWriter::default().length(1).i8(2).text(topic).i32(-1).i8(0))
    }

    /// Who keeps account of a transactional id.
    pub(super) fn find_coordinator(writer: &str) -> Self {
        Self::new(FIND_COORDINATOR, WireWriter::default().text(writer).i8(1))
    }

    /// A new epoch of a transactional id. No transaction is ever begun.
    pub(super) fn new_epoch(writer: &str) -> Self {
        let mut body = WireWriter::default();
        Self::new(INIT_PRODUCER_ID, body.compact_text(writer).i32(60_000).i64(-1).i16(-1).i8(0))
    }

    /// One batch, acknowledged by all replicas that are in sync.
    pub(super) fn produce(topic: &str, batch: &[u8]) -> Self {
        let mut body = WireWriter::default();
        body.no_text().i16(-1).i32(SERVER_TIME).length(1).text(topic).length(1).i32(0).run(batch);
        Self::new(PRODUCE, &body)
    }

    /// What stands at `offset` and behind it, about `bytes` of it. Waits for at most `wait` until there is something.
    pub(super) fn fetch(topic: &str, offset: u64, bytes: i32, wait: Duration, isolation: ReadIsolation) -> Self {
        let mut body = WireWriter::default();
        let time = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        body.i32(-1).i32(time).i32(1).i32(bytes).i8(isolation as i8);
        body.length(1).text(topic).length(1).i32(0).i64(offset.cast_signed()).i32(bytes);
        Self { wait, ..Self::new(FETCH, &body) }
    }

    /// The beginning or the end of a log.
    pub(super) fn list_offsets(topic: &str, which: i64, isolation: ReadIsolation) -> Self {
        let mut body = WireWriter::default();
        body.i32(-1).i8(isolation as i8).length(1).text(topic).length(1).i32(0).i64(which);
        Self::new(LIST_OFFSETS, &body)
    }

    /// Removes what stands before `offset`.
    pub(super) fn delete_records(topic: &str, offset: u64) -> Self {
        let mut body = WireWriter::default();
        body.length(1).text(topic).length(1).i32(0).i64(offset.cast_signed()).i32(SERVER_TIME);
        Self::new(DELETE_RECORDS, &body)
    }
}

/// Which versions of which requests a server knows: key, lowest and highest.
pub(super) fn versions(answer: &[u8]) -> Result<Vec<(i16, i16, i16)>, BrokerError> {
    let mut reader = WireReader::new(answer);
    check(reader.i16()?, "the versions of requests")?;
    reader.items(|one| Ok((one.i16()?, one.i16()?, one.i16()?)))
}

/// What a cluster says of a topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TopicPlace {
    /// The error of the topic; 0 if it is there.
    pub(super) error: i16,
    /// How many partitions it has.
    pub(super) partitions: usize,
    /// The server that leads the first one, `host:port`.
    pub(super) leader: Option<String>,
    /// The server that creates topics.
    pub(super) controller: Option<String>,
}

/// Reads what a cluster says of one topic.
pub(super) fn place(answer: &[u8]) -> Result<TopicPlace, BrokerError> {
    let mut reader = WireReader::new(answer);
    reader.i32()?;
    let servers = reader.items(|one| {
        let (id, host, port, _) = (one.i32()?, one.text()?.unwrap_or_default(), one.i32()?, one.text()?);
        Ok((id, authority(&host, port)))
    })?;
    let (_, controller) = (reader.text()?, reader.i32()?);
    let topics = reader.items(|one| {
        let (error, _, _) = (one.i16()?, one.text()?, one.i8()?);
        let partitions = one.items(|one| {
            let (_, number, leader) = (one.i16()?, one.i32()?, one.i32()?);
            one.items(WireReader::i32)?;
            one.items(WireReader::i32)?;
            Ok((number, leader))
        })?;
        Ok((error, partitions))
    })?;
    let server = |id: i32| servers.iter().find(|(own, _)| *own == id).map(|(_, server)| server.clone());
    let (error, partitions) = topics.into_iter().next().unwrap_or_default();
    let leader = partitions.iter().find(|(number, _)| *number == 0).and_then(|(_, leader)| server(*leader));
    Ok(TopicPlace { error, partitions: partitions.len(), leader, controller: server(controller) })
}

fn authority(host: &str, port: i32) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The error of a topic's creation, and what the server says of it.
pub(super) fn created(answer: &[u8]) -> Result<(i16, Option<String>), BrokerError> {
    let mut reader = WireReader::new(answer);
    reader.i32()?;
    let topics = reader.items(|one| {
        one.text()?;
        Ok((one.i16()?, one.text()?))
    })?;
    topics.into_iter().next().ok_or_else(|| BrokerError::Unread("no topic was answered for".to_owned()))
}

/// The settings of a topic that the server tells.
pub(super) fn described(answer: &[u8], what: &str) -> Result<Vec<(String, String)>, BrokerError> {
    let mut reader = WireReader::new(answer);
    reader.i32()?;
    let topics = reader.items(|one| {
        let (error, text, _, _) = (one.i16()?, one.text()?, one.i8()?, one.text()?);
        let settings = one.items(|one| {
            let (name, value) = (one.text()?.unwrap_or_default(), one.text()?.unwrap_or_default());
            let (_, _, _) = (one.i8()?, one.i8()?, one.i8()?);
            one.items(|one| Ok((one.text()?, one.text()?, one.i8()?)))?;
            Ok((name, value))
        })?;
        Ok((error, text, settings))
    })?;
    let Some((error, text, settings)) = topics.into_iter().next() else { return Ok(Vec::new()) };
    if error == 0 { Ok(settings) } else { Err(told(error, what, text)) }
}

/// Where the coordinator is.
pub(super) fn coordinator(answer: &[u8], what: &str) -> Result<String, BrokerError> {
    let mut reader = WireReader::new(answer);
    reader.i32()?;
    let (error, text, _) = (reader.i16()?, reader.text()?, reader.i32()?);
    if error != 0 {
        return Err(told(error, what, text));
    }
    let (host, port) = (reader.text()?.unwrap_or_default(), reader.i32()?);
    Ok(authority(&host, port))
}

/// The producer's id, and its epoch.
pub(super) fn epoch(answer: &[u8], what: &str) -> Result<(i64, i16), BrokerError> {
    let mut reader = WireReader::new(answer);
    reader.i32()?;
    check(reader.i16()?, what)?;
    Ok((reader.i64()?, reader.i16()?))
}

/// What is answered for each partition, which `one` reads.
fn of_partitions<'a, T>(
    reader: &mut WireReader<'a>,
    mut one: impl FnMut(&mut WireReader<'a>) -> Result<T, BrokerError>,
) -> Result<Vec<T>, BrokerError> {
    let topics = reader.items(|topic| {
        topic.text()?;
        topic.items(&mut one)
    })?;
    Ok(topics.into_iter().flatten().collect())
}

/// Whether an earlier producer's id can write no more, after a batch with its next epoch: that was taken, or a later
/// epoch was there already.
pub(super) fn is_fenced(answer: &[u8], what: &str) -> Result<bool, BrokerError> {
    let errors = of_partitions(&mut WireReader::new(answer), |one| {
        let (_, error, _, _) = (one.i32()?, one.i16()?, one.i64()?, one.i64()?);
        Ok(error)
    })?;
    let error = errors.into_iter().next();
    match error.ok_or_else(|| BrokerError::Unread("no partition was answered for".to_owned()))? {
        0 | OLD_EPOCH | FENCED => Ok(true),
        // It knows the id no more, or otherwise.
        OUT_OF_ORDER | DUPLICATE | UNKNOWN_PRODUCER => Ok(false),
        error => match told(error, what, None) {
            error @ (BrokerError::Away(_) | BrokerError::Login(_)) => Err(error),
            _ => Ok(false),
        },
    }
}

/// The offset of a batch's first record.
pub(super) fn produced(answer: &[u8], what: &str) -> Result<u64, BrokerError> {
    let offsets = of_partitions(&mut WireReader::new(answer), |one| {
        let (_, error, offset, _) = (one.i32()?, one.i16()?, one.i64()?, one.i64()?);
        check(error, what)?;
        Ok(offset)
    })?;
    offset_of(offsets.into_iter().next())
}

/// What a fetch has brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fetched {
    pub(super) error: i16,
    /// The offset at which the log ends for the isolation that was asked for, as far as it can be read.
    pub(super) end: u64,
    pub(super) aborted: AbortedTransactions,
    pub(super) batches: Vec<u8>,
}

/// Reads what a fetch has brought.
pub(super) fn fetched(answer: &[u8], isolation: ReadIsolation) -> Result<Fetched, BrokerError> {
    let mut reader = WireReader::new(answer);
    reader.i32()?;
    let partitions = of_partitions(&mut reader, |one| {
        let (_, error, end, stable) = (one.i32()?, one.i16()?, one.i64()?, one.i64()?);
        let end = if isolation == ReadIsolation::Committed && stable >= 0 { stable } else { end };
        let aborted = one.items(|one| Ok((one.i64()?, one.i64()?)))?;
        let batches = one.run()?.to_vec();
        Ok(Fetched { error, end: u64::try_from(end).unwrap_or(0), aborted, batches })
    })?;
    partitions.into_iter().next().ok_or_else(|| BrokerError::Unread("no partition was answered for".to_owned()))
}

/// An offset that was asked for.
pub(super) fn listed(answer: &[u8], what: &str) -> Result<u64, BrokerError> {
    let mut reader = WireReader::new(answer);
    reader.i32()?;
    let offsets = of_partitions(&mut reader, |one| {
        let (_, error, _, offset) = (one.i32()?, one.i16()?, one.i64()?, one.i64()?);
        check(error, what)?;
        Ok(offset)
    })?;
    offset_of(offsets.into_iter().next())
}

/// Looks whether records were deleted.
pub(super) fn deleted(answer: &[u8], what: &str) -> Result<(), BrokerError> {
    let mut reader = WireReader::new(answer);
    reader.i32()?;
    of_partitions(&mut reader, |one| {
        let (_, _, error) = (one.i32()?, one.i64()?, one.i16()?);
        check(error, what)
    })?;
    Ok(())
}

/// Looks whether the server takes the mechanism.
pub(super) fn shaken(answer: &[u8]) -> Result<(), BrokerError> {
    check(WireReader::new(answer).i16()?, "the login")
}

/// Looks whether the server lets this host in.
pub(super) fn authenticated(answer: &[u8]) -> Result<(), BrokerError> {
    let mut reader = WireReader::new(answer);
    let (error, text) = (reader.i16()?, reader.text()?);
    if error == 0 { Ok(()) } else { Err(told(error, "the login", text)) }
}

fn offset_of(offset: Option<i64>) -> Result<u64, BrokerError> {
    let offset = offset.and_then(|offset| u64::try_from(offset).ok());
    offset.ok_or_else(|| BrokerError::Unread("no offset was answered".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_answer_of_a_stranger_breaks_the_reader(answer in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = (versions(&answer), place(&answer), created(&answer), described(&answer, "x"));
            let _ = (coordinator(&answer, "x"), epoch(&answer, "x"), produced(&answer, "x"), listed(&answer, "x"));
            let _ = (fetched(&answer, ReadIsolation::Committed), deleted(&answer, "x"), authenticated(&answer));
        }
    }

    #[test]
    fn the_leader_and_the_controller_are_found_by_their_numbers() {
        let mut answer = WireWriter::default();
        answer.i32(0).length(2).i32(4).text("a").i32(9092).no_text().i32(7).text("::1").i32(1).no_text();
        answer.no_text().i32(4).length(1).i16(0).text("t").i8(0).length(2);
        for (number, leader) in [(1, 4), (0, 7)] {
            answer.i16(0).i32(number).i32(leader).length(1).i32(leader).length(0);
        }
        let expected =
            TopicPlace { error: 0, partitions: 2, leader: Some("[::1]:1".into()), controller: Some("a:9092".into()) };
        assert_eq!(place(answer.bytes()).unwrap(), expected);
    }

    #[test]
    fn no_password_is_in_a_debug_text() {
        let request = KafkaRequest::sasl_plain("atoll", "s3cret");
        assert_eq!(format!("{request:?}"), "KafkaRequest(SaslAuthenticate of 17 bytes)");
        let mut writer = WireWriter::default();
        assert_eq!(format!("{:?}", writer.text("s3cret")), "WireWriter(8 bytes)");
        assert!(!format!("{:?}", WireReader::new(writer.bytes())).contains("115"), "as a number");
    }

    #[test]
    fn the_end_is_that_of_what_may_be_read() {
        let mut answer = WireWriter::default();
        answer.i32(0).length(1).text("t").length(1).i32(0).i16(0).i64(9).i64(5).length(1).i64(7).i64(2).run(b"abc");
        let read = |isolation| fetched(answer.bytes(), isolation).unwrap();
        assert_eq!((read(ReadIsolation::Uncommitted).end, read(ReadIsolation::Committed).end), (9, 5));
        let found = read(ReadIsolation::Committed);
        assert_eq!((found.aborted, &*found.batches), (vec![(7, 2)], &b"abc"[..]));
    }
}
