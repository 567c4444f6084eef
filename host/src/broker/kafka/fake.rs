//! A server of the Kafka protocol in memory, for tests: it has one topic, of one partition, and does on demand what
//! servers seldom do.

use super::batch::crc32c;
use super::cluster::KafkaCluster;
use super::error::{OFFSET_OUT_OF_RANGE, OLD_EPOCH, OUT_OF_ORDER};
use super::records::{LogRecord, ProducerTurn, encode};
use super::wire::{WireReader, WireWriter};
use crate::broker::settings::{BrokerKind, BrokerSettings};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// A running server. It ends with the test's runtime.
#[derive(Clone)]
pub(super) struct FakeKafka {
    port: u16,
    state: Arc<Mutex<FakeState>>,
}

/// What it has, what it does next, and what it was asked.
#[derive(Default)]
pub(super) struct FakeState {
    /// The batches: the offset of each, that behind it, and its bytes.
    batches: Vec<(u64, u64, Vec<u8>)>,
    /// Where a transaction of others begins that has not ended.
    pub(super) open: Option<u64>,
    /// The producer's id that it gives, and the latest epoch of it.
    pub(super) producer: (i64, i16),
    /// The epoch of each producer's id, and the sequence that follows.
    pub(super) epochs: BTreeMap<i64, (i16, i32)>,
    /// The errors with which it answers what comes of a producer's id.
    pub(super) refused: BTreeMap<i64, i16>,
    /// The next append does not arrive yet, and its connection ends.
    pub(super) holds: bool,
    late: Option<Vec<u8>>,
    /// The answers to so many fetches are damaged on their way.
    pub(super) flips: usize,
    /// With each fetch somebody has published.
    pub(super) grows: bool,
    /// The kinds of all requests.
    pub(super) asked: Vec<i16>,
}

/// A batch of a stranger with these attributes.
pub(super) fn batch(values: &[&str], attributes: i16) -> Vec<u8> {
    let record = |value: &&str| LogRecord { value: value.as_bytes().to_vec(), ..LogRecord::default() };
    let records: Vec<_> = values.iter().map(record).collect();
    let mut batch = encode(&records, ProducerTurn { id: -1, epoch: -1, sequence: -1 });
    batch[21..23].copy_from_slice(&attributes.to_be_bytes());
    let crc = crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

impl FakeKafka {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = FakeState { producer: (1, -1), ..FakeState::default() };
        let fake = Self { port, state: Arc::new(Mutex::new(state)) };
        let serving = fake.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let one = serving.clone();
                // A client that has gone ends its connection.
                tokio::spawn(async move { drop(one.serve(stream).await) });
            }
        });
        fake
    }

    pub(super) async fn cluster(&self) -> Arc<KafkaCluster> {
        KafkaCluster::connect(&settings(vec![format!("127.0.0.1:{}", self.port)])).await.unwrap()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, FakeState> {
        self.state.lock().unwrap()
    }

    async fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        loop {
            let mut request = vec![0; usize::try_from(stream.read_i32().await?).unwrap()];
            stream.read_exact(&mut request).await?;
            let mut reader = WireReader::new(&request);
            let (key, _, number) = (reader.i16().unwrap(), reader.i16().unwrap(), reader.i32().unwrap());
            reader.text().unwrap();
            let Some((answer, wait)) = self.state().answer(key, reader, self.port) else { return Ok(()) };
            sleep(wait).await;
            let mut message = WireWriter::default();
            message.length(answer.bytes().len() + 4).i32(number).raw(answer.bytes());
            stream.write_all(message.bytes()).await?;
        }
    }
}

/// How it is reached.
pub(super) fn settings(servers: Vec<String>) -> BrokerSettings {
    BrokerSettings {
        kind: BrokerKind::Kafka,
        servers,
        namespace: String::new(),
        tls: false,
        ca: None,
        login: None,
        replicas: 1,
        outbox: 1 << 20,
    }
}

impl FakeState {
    /// Somebody publishes.
    pub(super) fn publish(&mut self, mut batch: Vec<u8>) -> u64 {
        let (first, count) = (self.end(), i32::from_be_bytes(*batch[57..].first_chunk().unwrap()));
        batch[..8].copy_from_slice(&first.to_be_bytes());
        self.batches.push((first, first + u64::from(count.unsigned_abs()), batch));
        first
    }

    pub(super) fn end(&self) -> u64 {
        self.batches.last().map_or(0, |(_, next, _)| *next)
    }

    fn stable(&self) -> u64 {
        self.open.unwrap_or_else(|| self.end())
    }

    /// The append that was held arrives. Returns its error.
    pub(super) fn arrive(&mut self) -> i16 {
        let late = self.late.take().expect("an append was held");
        self.append(late).0
    }

    /// The error of an append, and the offset of its batch.
    fn append(&mut self, batch: Vec<u8>) -> (i16, u64) {
        let id = i64::from_be_bytes(*batch[43..].first_chunk().unwrap());
        let epoch = i16::from_be_bytes(*batch[51..].first_chunk().unwrap());
        let sequence = i32::from_be_bytes(*batch[53..].first_chunk().unwrap());
        let count = i32::from_be_bytes(*batch[57..].first_chunk().unwrap());
        let (known, next) = self.epochs.get(&id).copied().unwrap_or((-1, 0));
        let error = match self.refused.get(&id) {
            Some(error) => *error,
            None if epoch < known => OLD_EPOCH,
            None if sequence != (if epoch > known { 0 } else { next }) => OUT_OF_ORDER,
            None => 0,
        };
        if error != 0 {
            return (error, u64::MAX);
        }
        self.epochs.insert(id, (epoch, sequence + count));
        (0, self.publish(batch))
    }

    /// The answer, and after which time it comes; `None`: the connection ends.
    fn answer(&mut self, key: i16, mut reader: WireReader<'_>, port: u16) -> Option<(WireWriter, Duration)> {
        self.asked.push(key);
        let (mut answer, mut wait) = (WireWriter::default(), Duration::ZERO);
        let (host, port) = ("127.0.0.1", i32::from(port));
        match key {
            0 => {
                reader.take(2 + 2 + 4 + 4).unwrap();
                let topic = reader.text().unwrap().unwrap();
                reader.take(4 + 4).unwrap();
                let batch = reader.run().unwrap().to_vec();
                if std::mem::take(&mut self.holds) {
                    self.late = Some(batch);
                    return None;
                }
                let (error, offset) = self.append(batch);
                answer.length(1).text(&topic).length(1).i32(0).i16(error).i64(offset.cast_signed()).i64(-1).i32(0);
            }
            1 => wait = self.fetch(&mut reader, &mut answer),
            2 => {
                let (_, isolation) = (reader.i32().unwrap(), reader.i8().unwrap());
                reader.take(4).unwrap();
                let topic = reader.text().unwrap().unwrap();
                reader.take(4 + 4).unwrap();
                let offset = match (reader.i64().unwrap(), isolation) {
                    (-2, _) => self.batches.first().map_or(0, |(first, _, _)| *first),
                    (_, 0) => self.end(),
                    _ => self.stable(),
                };
                answer.i32(0).length(1).text(&topic).length(1).i32(0).i16(0).i64(-1).i64(offset.cast_signed());
            }
            3 => {
                reader.take(4).unwrap();
                let topic = reader.text().unwrap().unwrap();
                answer.i32(0).length(1).i32(0).text(host).i32(port).no_text().no_text().i32(0);
                answer.length(1).i16(0).text(&topic).i8(0).length(1).i16(0).i32(0).i32(0);
                answer.length(1).i32(0).length(1).i32(0);
            }
            10 => {
                answer.i32(0).i16(0).no_text().i32(0).text(host).i32(port);
            }
            18 => {
                let known = [0, 1, 2, 3, 10, 17, 18, 19, 21, 22, 32, 36];
                answer.i16(0).length(known.len());
                for key in known {
                    answer.i16(key).i16(0).i16(9);
                }
            }
            22 => {
                self.producer.1 += 1;
                let (id, epoch) = self.producer;
                // Its header has tagged fields, and it has some, too.
                answer.i8(0).i32(0).i16(0).i64(id).i16(epoch).i8(0);
            }
            32 => {
                answer.i32(0).length(0);
            }
            _ => return None,
        }
        Some((answer, wait))
    }

    /// Whole batches, at least one if there is one that may be read.
    fn fetch(&mut self, reader: &mut WireReader<'_>, answer: &mut WireWriter) -> Duration {
        let (_, wait, _) = (reader.i32().unwrap(), reader.i32().unwrap(), reader.i32().unwrap());
        let (most, isolation) = (reader.i32().unwrap(), reader.i8().unwrap());
        reader.take(4).unwrap();
        let topic = reader.text().unwrap().unwrap();
        reader.take(4 + 4).unwrap();
        let offset = reader.i64().unwrap().cast_unsigned();
        if self.grows {
            self.publish(batch(&["{}"], 0));
        }
        let readable = if isolation == 0 { self.end() } else { self.stable() };
        let mut found = Vec::new();
        for (_, _, bytes) in self.batches.iter().filter(|(first, next, _)| *next > offset && *first < readable) {
            if found.is_empty() || found.len() + bytes.len() <= usize::try_from(most).unwrap() {
                found.extend_from_slice(bytes);
            }
        }
        let error = if offset > self.end() { OFFSET_OUT_OF_RANGE } else { 0 };
        let wait = if found.is_empty() && error == 0 { u64::from(wait.unsigned_abs()) } else { 0 };
        if self.flips > 0 && !found.is_empty() {
            self.flips -= 1;
            *found.last_mut().unwrap() ^= 1;
        }
        answer.i32(0).length(1).text(&topic).length(1).i32(0).i16(error).i64(self.end().cast_signed());
        answer.i64(self.stable().cast_signed()).length(0).run(&found);
        Duration::from_millis(wait)
    }
}
