//! What the admin, the gateway and the metrics ask of sagas, from `coordinator`.

use crate::admin::{OperationError, OperationErrorKind, SagaAnswer, SagaCommand, SagaStart, SagaStartView};
use crate::base::Digest;
use crate::contract::Names;
use crate::coordinator::{Coordinator, MeshPerformer, SagaError, SagaOrder, SagaStatus, StartedSaga};
use crate::gateway::{SagaDoor, SagaDoorFuture, SagaRefusal};
use crate::telemetry::{SagaSample, SagaSource};
use bytes::Bytes;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The sagas of the host.
pub(super) type HostSagas = Arc<Coordinator<MeshPerformer>>;

/// The longest key of a start, in bytes.
const LONGEST_KEY: usize = 200;

/// Carries out what an operator wants. `None`: the manifest has no sagas.
pub(super) async fn carry_out(
    sagas: Option<&HostSagas>,
    names: Names,
    command: SagaCommand,
) -> Result<SagaAnswer, OperationError> {
    let Some(sagas) = sagas else {
        return match command {
            SagaCommand::List { .. } | SagaCommand::Ended { .. } => Ok(SagaAnswer::Sagas(Vec::new())),
            _ => Err(OperationError::new(OperationErrorKind::NoSaga, "the manifest has no sagas")),
        };
    };
    answer(sagas, names, command).await.map_err(refusal)
}

async fn answer(sagas: &HostSagas, names: Names, command: SagaCommand) -> Result<SagaAnswer, SagaError> {
    let (id, order) = match command {
        SagaCommand::List { parked, most } => return Ok(SagaAnswer::Sagas(sagas.list(parked, most))),
        SagaCommand::Ended { after, most } => {
            return Ok(SagaAnswer::Sagas(sagas.list_ended(after.as_deref(), most).await?));
        }
        SagaCommand::Show(id) => return Ok(SagaAnswer::Saga(Box::new(sagas.show(&id).await?))),
        SagaCommand::Start(SagaStart { saga, key, input }) => {
            let id = key.map(|key| id_of(&saga, "operator", &key)).transpose()?;
            let started = sagas.begin(&saga, id, input.get().as_bytes(), names).await?;
            let StartedSaga { id, existed } = started;
            return Ok(SagaAnswer::Started(SagaStartView { id, existed }));
        }
        SagaCommand::Retry(id) => (id, SagaOrder::Retry),
        SagaCommand::Skip(id) => (id, SagaOrder::Skip),
        SagaCommand::Compensate(id) => (id, SagaOrder::Compensate),
    };
    sagas.order(&id, order).await?;
    Ok(SagaAnswer::Saga(Box::new(sagas.show(&id).await?)))
}

/// The id of the saga that `who` starts with `key`. Nobody can guess it who does not know the key, and two clients who
/// took the same key start two sagas.
fn id_of(saga: &str, who: &str, key: &str) -> Result<String, SagaError> {
    let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
    if key.is_empty() || key.len() > LONGEST_KEY || !visible {
        return Err(SagaError::Input(format!("the key must be 1 to {LONGEST_KEY} visible ASCII characters")));
    }
    // The parts have no space, but for the last one perhaps.
    let digest = Digest::of(format!("{saga} {key} {who}").as_bytes()).to_string();
    let hexadecimal: String = digest.chars().rev().take(32).collect();
    Ok(hexadecimal)
}

fn refusal(error: SagaError) -> OperationError {
    let kind = match &error {
        SagaError::Unknown(_) => OperationErrorKind::NoSaga,
        SagaError::Input(_) => OperationErrorKind::BadInput,
        SagaError::OtherInput | SagaError::Full(_) | SagaError::Refused(_) | SagaError::Stopping => {
            OperationErrorKind::Conflict
        }
        SagaError::State(_) => OperationErrorKind::Internal,
    };
    OperationError::caused_by(kind, error)
}

/// The gateway's way to the sagas. They begin after the gateway is built.
pub(super) struct HostSagaDoor {
    pub(super) sagas: Arc<OnceLock<HostSagas>>,
    pub(super) names: Names,
}

impl SagaDoor for HostSagaDoor {
    fn start<'a>(
        &'a self,
        saga: &'a str,
        (who, key): (&'a str, Option<&'a str>),
        input: Bytes,
        wait: Duration,
    ) -> SagaDoorFuture<'a> {
        Box::pin(async move {
            let sagas = self.sagas.get().ok_or(SagaRefusal::Unavailable)?;
            let id = key.map(|key| id_of(saga, who, key)).transpose().map_err(outside)?;
            let started = {
                let (sagas, saga, names) = (Arc::clone(sagas), saga.to_owned(), self.names);
                // A task of its own: a client that leaves must not leave a saga on disk that nobody drives.
                let begun = tokio::spawn(async move { sagas.begin(&saga, id, &input, names).await });
                begun.await.map_err(|_| SagaRefusal::Unavailable)?.map_err(outside)?
            };
            if wait.is_zero() {
                return sagas.show(&started.id).await.map_err(outside);
            }
            sagas.wait(&started.id, wait).await.map_err(outside)
        })
    }

    fn show<'a>(&'a self, saga: &'a str, id: &'a str) -> SagaDoorFuture<'a> {
        Box::pin(async move {
            let sagas = self.sagas.get().ok_or(SagaRefusal::Unavailable)?;
            let status: SagaStatus = sagas.show(id).await.map_err(outside)?;
            if status.saga == saga { Ok(status) } else { Err(SagaRefusal::Unknown) }
        })
    }
}

/// What the outside learns of a failure.
fn outside(error: SagaError) -> SagaRefusal {
    match error {
        SagaError::Unknown(_) => SagaRefusal::Unknown,
        SagaError::Input(text) => SagaRefusal::Input(text),
        SagaError::OtherInput => SagaRefusal::OtherInput,
        SagaError::Full(_) | SagaError::Stopping | SagaError::Refused(_) => SagaRefusal::Unavailable,
        SagaError::State(error) => {
            tracing::error!(target: "saga", %error, "a saga could not be started or read");
            SagaRefusal::Unavailable
        }
    }
}

/// Lends the metrics what the coordinator counts.
pub(super) struct SagaSamples(pub(super) HostSagas);

impl SagaSource for SagaSamples {
    fn sagas(&self) -> Vec<SagaSample> {
        let sample = |counts: crate::coordinator::SagaCounts| SagaSample {
            saga: counts.saga,
            live: [counts.running, counts.compensating, counts.parked],
            ended: [counts.completed, counts.compensated],
            failures: counts.failures,
        };
        self.0.counts().into_iter().map(sample).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_key_is_that_of_its_client_and_saga() {
        let id = |saga, who, key| id_of(saga, who, key).unwrap();
        assert_eq!(id("a", "ada", "1"), id("a", "ada", "1"));
        assert_eq!(id("a", "ada", "1").len(), 32);
        for (saga, who, key) in [("b", "ada", "1"), ("a", "bob", "1"), ("a", "ada", "2")] {
            assert_ne!(id(saga, who, key), id("a", "ada", "1"));
        }
        for wrong in ["", "a b", "é", &"x".repeat(201)] {
            assert!(id_of("a", "ada", wrong).is_err(), "{wrong:?}");
        }
    }
}
