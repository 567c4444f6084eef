//! The session that writes: what a batch depends on is read, the batch is reckoned, and one script writes it if nothing
//! has been written since.

use super::failure;
use super::pages::{self, VERSION_BYTES};
use super::resp::{RespArguments, RespReply};
use super::script::{self, RedisScript};
use super::session::{LONGEST, RedisServers, RedisSession, SessionError};
use crate::base::ServiceName;
use crate::state::batch_plan::{BatchPlan, Before, BucketKey, PlannedBatch};
use crate::state::error::{StateError, StorageCause};
use crate::state::remote::{DataTenure, ErasedPart, RemoteWriter, Settling};
use crate::state::transaction::{Committed, Key, Transaction};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// The format of the data.
const FORMAT: &str = "1";
/// How long the data stay this host's after it was heard of last, in milliseconds. A start waits for longer. It keeps
/// nobody from writing: that does the name of the holder, which each script compares.
const LEASE: &str = "10000";
/// How long after the server's start the data stay the holder's, whatever its lease says: it could not renew it
/// meanwhile, and opens another session after 3 s at most.
const YOUNG: Duration = Duration::from_secs(10);
/// The name of the holder while several hosts share the data.
const SHARED: &str = "shared";
/// How long whoever has come second waits at most, where hosts share.
const AGAIN: Duration = Duration::from_millis(10);
/// How many keys one part of an erasure looks at.
const ERASED_AT_ONCE: &str = "1000";

/// Writes batches, one after the other.
pub(in crate::state) struct RedisWriter {
    servers: Arc<RedisServers>,
    /// Whether other hosts write too.
    shared: bool,
    namespace: String,
    tenure: DataTenure,
    /// The number of the last batch that was begun. Batches have even numbers: the one after each is left, for noting
    /// that the batch is given up.
    number: u64,
    /// `None`: there is none, or the one before has left a question open.
    session: Option<RedisSession>,
    /// Version of the data, and their last batch, as this host has left them, while nobody else can have written.
    left: Option<FencingToken>,
}

/// Where the data stand. A batch shows it, and the script that writes refuses one that shows another.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FencingToken {
    version: u64,
    /// The last batch that was written, and whose it was. Not two batches have the same.
    batch: Vec<u8>,
}

/// A part of an erasure that follows.
pub(in crate::state) struct ErasePart {
    latest: u64,
    after: Key,
}

/// What a script that writes has answered.
enum WriteAnswer {
    Written(Vec<RespReply>),
    /// The data are not where they were. Nothing was applied.
    Moved,
}

impl RedisWriter {
    /// Opens the session, with the lease.
    ///
    /// # Errors
    /// The server's; [`StateError::Taken`] where another host has the data.
    pub(super) async fn open(servers: Arc<RedisServers>, namespace: &str, shared: bool) -> Result<Self, StateError> {
        let tenure = DataTenure::new(&servers.place, shared);
        let namespace = namespace.to_owned();
        let mut writer = Self { servers, shared, namespace, tenure, number: 0, session: None, left: None };
        writer.session = Some(writer.open_session().await?);
        Ok(writer)
    }

    /// Reckons what a batch leaves behind, and of which state of the data.
    async fn plan<'a>(
        &mut self,
        session: &RedisSession,
        plan: BatchPlan<'a>,
    ) -> Result<(FencingToken, PlannedBatch<'a>), StateError> {
        let needs = plan.needs();
        // Whoever writes is told by the script if this is not where the data stand.
        let only_writes = needs.is_empty() && plan.0.iter().any(|(_, transaction)| !transaction.is_empty());
        let known = self.left.take().filter(|_| only_writes && !self.shared);
        if let Some(known) = known {
            let planned = plan.outcome(known.version, &BTreeMap::new());
            return Ok((known, planned));
        }
        let mut arguments = self.servers.arguments();
        for ((bucket, key), is_value) in &needs {
            arguments.push(bucket.as_str());
            arguments.push(key);
            arguments.push(if *is_value { "1" } else { "0" });
        }
        let answer = self.answer(session, &script::BEFORE, &arguments).await?;
        let found = self.check(&answer)?;
        self.tenure.written(found.version);
        let mut before = BTreeMap::<BucketKey<'a>, Before>::new();
        for (((bucket, key), is_value), reply) in needs.into_iter().zip(answer.into_iter().skip(3)) {
            let RespReply::Text(stored) = reply else { continue };
            let there = pages::versioned(&stored).map_err(|_| self.servers.odd_answer())?;
            let known = Before { version: there.version, value: is_value.then_some(there.value) };
            before.insert((bucket, Cow::Borrowed(key)), known);
        }
        let planned = plan.outcome(found.version, &before);
        Ok((found, planned))
    }

    /// Asks whose the data are, and where they stand.
    async fn look(&mut self, session: &RedisSession) -> Result<FencingToken, StateError> {
        let arguments = self.lease_arguments();
        let answer = self.answer(session, &script::LOOK, &arguments).await?;
        let found = self.check(answer.get(1..).unwrap_or_default())?;
        self.tenure.written(found.version);
        Ok(found)
    }

    /// Holds version, holder and last batch against what this host knows.
    fn check(&self, facts: &[RespReply]) -> Result<FencingToken, StateError> {
        let [RespReply::Text(_), RespReply::Text(holder), RespReply::Text(batch), ..] = facts else {
            return Err(self.servers.odd_answer());
        };
        let version = pages::number(facts.first()).map_err(|_| self.servers.odd_answer())?;
        let holder = String::from_utf8_lossy(holder);
        self.tenure.check(version, &holder)?;
        if self.shared && holder != SHARED {
            return Err(StateError::Taken { place: self.servers.place.clone(), namespace: self.namespace.clone() });
        }
        Ok(FencingToken { version, batch: batch.clone() })
    }

    /// Has a script write. If its answer is lost, the next session tells whether it has.
    async fn apply(
        &mut self,
        session: RedisSession,
        script: &RedisScript,
        arguments: &RespArguments,
    ) -> Result<WriteAnswer, StateError> {
        self.left = None;
        let error = match timeout(LONGEST, session.run(script, arguments)).await {
            Ok(Ok(answer)) => match pages::status(&answer) {
                b"ok" => {
                    self.session = Some(session);
                    return Ok(WriteAnswer::Written(answer));
                }
                b"moved" => {
                    self.check(answer.get(1..).unwrap_or_default())?;
                    self.session = Some(session);
                    return Ok(WriteAnswer::Moved);
                }
                b"unfit" => {
                    self.session = Some(session);
                    return Err(self.unfit(answer));
                }
                _ => return Err(self.servers.odd_answer()),
            },
            Ok(Err(error @ SessionError::Damaged { .. })) => {
                self.session = Some(session);
                return Err(self.servers.error(error));
            }
            // What it has done until then is not taken back.
            Ok(Err(SessionError::Refused(text))) if failure::is_of_running_script(&text) => {
                let problem = "the server has ended the script that writes while it ran: the commit may be there in \
                               part";
                let source = Some(StorageCause::new(self.servers.error(SessionError::Refused(text))));
                return Err(StateError::Io { path: self.servers.place.clone().into(), problem, source });
            }
            Ok(Err(error @ SessionError::Refused(_))) => {
                // A full server is still the same one.
                self.session = Some(session).filter(|_| error.leaves_the_session());
                return Err(self.servers.error(error));
            }
            Ok(Err(error)) => self.servers.error(error),
            Err(_) => self.servers.silent(),
        };
        drop(session);
        self.settle(error).await
    }

    /// What has become of the last batch. If it is not written, it never will be.
    async fn settle(&self, error: StateError) -> Result<WriteAnswer, StateError> {
        let (settling, number) = (Settling::begin(&self.servers.place), self.number);
        loop {
            let asked = async {
                let session = self.servers.open().await?;
                let arguments = self.servers.arguments().with(self.tenure.id());
                let arguments = arguments.with(number.to_string()).with((number + 1).to_string());
                let answer = self.answer(&session, &script::SETTLE, &arguments).await?;
                match pages::status(&answer) {
                    b"written" => Ok(true),
                    b"lost" => Ok(false),
                    _ => Err(self.servers.odd_answer()),
                }
            };
            match settling.ask(asked).await? {
                Some(true) => return Ok(WriteAnswer::Written(Vec::new())),
                Some(false) => return Err(error),
                None => {}
            }
        }
    }

    /// The answer to a question that may be asked again.
    async fn answer(
        &self,
        session: &RedisSession,
        script: &RedisScript,
        arguments: &RespArguments,
    ) -> Result<Vec<RespReply>, StateError> {
        let answer = timeout(LONGEST, session.run(script, arguments)).await.map_err(|_| self.servers.silent())?;
        answer.map_err(|error| self.servers.error(error))
    }

    /// The arguments with which a script that writes begins, for the batch with this number.
    fn begin_write(&self) -> RespArguments {
        let arguments = self.servers.arguments().with(self.holder()).with(self.tenure.id());
        arguments.with(self.number.to_string())
    }

    fn lease_arguments(&self) -> RespArguments {
        self.servers.arguments().with(self.holder()).with(self.tenure.id()).with(LEASE)
    }

    /// What `meta` says while this host may write.
    fn holder(&self) -> &str {
        if self.shared { SHARED } else { self.tenure.id() }
    }

    /// The name of the batch that was begun last, as the data have it.
    fn last_token(&self) -> Vec<u8> {
        format!("{}/{}", self.tenure.id(), self.number).into_bytes()
    }

    /// A script has found, before its first write, that it could not do all of it.
    fn unfit(&self, answer: Vec<RespReply>) -> StateError {
        let problem = answer.into_iter().nth(1).and_then(RespReply::text).unwrap_or_default();
        let problem = String::from_utf8_lossy(&problem).into_owned();
        StateError::Unfit { place: self.servers.place.clone(), problem }
    }

    /// The session, for one batch with the next number.
    async fn take_session(&mut self) -> Result<RedisSession, StateError> {
        self.number += 2;
        self.usable_session().await
    }

    async fn usable_session(&mut self) -> Result<RedisSession, StateError> {
        self.tenure.is_on()?;
        match self.session.take().filter(|open| !open.is_closed()) {
            Some(open) => Ok(open),
            None => self.open_session().await,
        }
    }

    /// Opens a session, and takes the lease, if nobody has written since the one before it.
    async fn open_session(&mut self) -> Result<RedisSession, StateError> {
        self.tenure.is_on()?;
        self.left = None;
        let session = self.servers.open().await?;
        let claims = if self.tenure.must_claim() { "1" } else { "0" };
        // For whoever looks at the list of clients; it may be refused.
        let name = client_name(self.tenure.id());
        let _ = timeout(LONGEST, session.ask(&[b"CLIENT", b"SETNAME", name.as_bytes()])).await;
        let rights = self.answer(&session, &script::RIGHTS, &self.servers.arguments()).await?;
        if pages::status(&rights) != b"ok" {
            return Err(self.unfit(rights));
        }
        let arguments = self.lease_arguments().with(FORMAT).with(claims);
        let arguments = arguments.with(if session.uptime < YOUNG { "1" } else { "0" });
        let answer = self.answer(&session, &script::CLAIM, &arguments).await?;
        match pages::status(&answer) {
            b"ok" if claims == "1" => {
                self.check(answer.get(1..).unwrap_or_default())?;
                self.tenure.claimed(pages::number(answer.get(1)).map_err(|_| self.servers.odd_answer())?);
            }
            b"ok" | b"moved" => drop(self.check(answer.get(1..).unwrap_or_default())?),
            b"taken" => {
                return Err(StateError::Taken { place: self.servers.place.clone(), namespace: self.namespace.clone() });
            }
            b"format" => {
                let found = answer.into_iter().nth(1).and_then(RespReply::text).unwrap_or_default();
                let found = String::from_utf8_lossy(&found).into_owned();
                let problem = format!("its data have format {found}, and this version of the program reads {FORMAT}");
                return Err(StateError::Unfit { place: self.servers.place.clone(), problem });
            }
            _ => return Err(self.servers.odd_answer()),
        }
        // The server may be another one now, of several: reads must not stay with the one before.
        self.servers.begin_epoch(session.server);
        Ok(session)
    }
}

impl RemoteWriter for RedisWriter {
    type ErasePart = ErasePart;

    async fn write(
        &mut self,
        batch: &[(ServiceName, Transaction)],
    ) -> Result<Vec<Result<Committed, StateError>>, StateError> {
        let (plan, until) = (BatchPlan(batch), Instant::now() + LONGEST);
        loop {
            // Whatever fails, and whoever drops this future, closes the session: it is not in `self` meanwhile.
            let session = self.take_session().await?;
            let (found, planned) = match self.plan(&session, plan).await {
                Err(error @ StateError::Damaged { .. }) => {
                    // The server has answered, so the session is as good as before; the next batch needs it.
                    self.session = Some(session);
                    return Err(error);
                }
                planned => planned?,
            };
            if planned.writes.is_empty() {
                (self.session, self.left) = (Some(session), Some(found));
                return Ok(planned.answers);
            }
            let mut arguments = self.begin_write().with(&found.batch).with(planned.version.to_string()).with(LEASE);
            add_writes(&mut arguments, &planned);
            if let WriteAnswer::Written(_) = self.apply(session, &script::WRITE, &arguments).await? {
                self.tenure.written(planned.version);
                self.left = Some(FencingToken { version: planned.version, batch: self.last_token() });
                return Ok(planned.answers);
            }
            if Instant::now() >= until {
                return Err(failure::away(&self.servers.place, "other hosts have written all the time"));
            }
            if self.shared {
                // Whoever comes again at once meets the same others.
                sleep(AGAIN.mul_f64(rand::random::<f64>())).await;
            }
        }
    }

    /// All at once, or a part of it while somebody reads a snapshot or writes.
    async fn erase_part(
        &mut self,
        bucket: &ServiceName,
        part: Option<ErasePart>,
    ) -> Result<ErasedPart<ErasePart>, StateError> {
        let session = self.take_session().await?;
        let part = match part {
            Some(part) => part,
            None => ErasePart { latest: self.look(&session).await?.version, after: Key::new() },
        };
        let from = if part.after.is_empty() { b"-".to_vec() } else { [b"(", part.after.as_slice()].concat() };
        let arguments = self.begin_write().with(LEASE).with(bucket.as_str());
        let arguments = arguments.with(part.latest.to_string()).with(from).with(ERASED_AT_ONCE);
        let WriteAnswer::Written(answer) = self.apply(session, &script::ERASE, &arguments).await? else {
            return Err(failure::away(&self.servers.place, "other hosts have the data now"));
        };
        // Where the answer was lost, and the part is there, it may have been the last one or not: the same part tells.
        // Commits may have come between: so it looks at the version of each key.
        if let Ok(version) = pages::number(answer.get(3)) {
            self.tenure.written(version);
        }
        let count = pages::number(answer.get(1)).unwrap_or(1);
        let after = match answer.get(2) {
            Some(RespReply::Text(after)) => after.clone(),
            _ => return Ok(ErasedPart { count, next: Some(part) }),
        };
        let next = (!after.is_empty()).then_some(ErasePart { latest: part.latest, after });
        Ok(ErasedPart { count, next })
    }

    /// Opens the session if there is none, and asks in it.
    async fn probe(&mut self) -> Result<(), StateError> {
        let session = self.usable_session().await?;
        timeout(LONGEST, self.servers.admit(&session)).await.map_err(|_| self.servers.silent())??;
        self.look(&session).await?;
        let may_write = timeout(LONGEST, session.run(&script::MAY_WRITE, &self.servers.arguments())).await;
        match may_write.map_err(|_| self.servers.silent())? {
            Ok(answer) => {
                self.session = Some(session);
                if pages::status(&answer) == b"ok" { Ok(()) } else { Err(self.unfit(answer)) }
            }
            Err(error) => {
                self.session = Some(session).filter(|_| error.leaves_the_session());
                Err(self.servers.error(error))
            }
        }
    }

    /// If it cannot be given back, the lease ends by itself.
    async fn release(&mut self) -> Result<(), StateError> {
        self.tenure.is_on()?;
        // A probe that was ended has taken its session along.
        let session = match self.session.take().filter(|open| !open.is_closed()) {
            Some(open) => open,
            None => self.servers.open().await?,
        };
        let arguments = self.servers.arguments().with(self.tenure.id());
        self.answer(&session, &script::RELEASE, &arguments).await.map(drop)
    }

    /// The lease stays until it ends.
    fn close(&mut self) {
        self.session = None;
    }
}

/// The name of the connection on which a host writes, in the server's list of clients.
fn client_name(writer: &str) -> String {
    format!("atoll:{writer}")
}

/// The writes of a batch, as arguments of the script.
fn add_writes(arguments: &mut RespArguments, planned: &PlannedBatch<'_>) {
    for ((bucket, key), write) in &planned.writes {
        arguments.push(if write.value.is_some() { "p" } else { "d" });
        arguments.push(bucket.as_str());
        arguments.push(key);
        let version = write.version.to_be_bytes();
        debug_assert_eq!(version.len(), VERSION_BYTES, "a value has its version before it");
        arguments.push_parts(&[&version, write.value.as_deref().unwrap_or_default()]);
    }
}
