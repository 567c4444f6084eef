//! What the admin, the gateway and the metrics ask of sagas, from `coordinator`.

use crate::admin::{OperationError, OperationErrorKind, SagaAnswer, SagaCommand, SagaStart, SagaStartView};
use crate::contract::Names;
use crate::coordinator::{
    Coordinator, LockHolder, MeshPerformer, SagaError, SagaOrder, SagaStarter, SagaStatus, StartedSaga,
};
use crate::gateway::{SagaDoor, SagaDoorFuture, SagaRefusal};
use crate::telemetry::{SagaSample, SagaSource};
use bytes::Bytes;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The sagas of the host.
pub(in crate::app) type HostSagas = Arc<Coordinator<MeshPerformer>>;

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
            let id = key.map(|key| sagas.id_of(&saga, SagaStarter::Operator, &key)).transpose()?;
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

fn refusal(error: SagaError) -> OperationError {
    let kind = match &error {
        SagaError::Unknown(_) => OperationErrorKind::NoSaga,
        SagaError::Input(_) => OperationErrorKind::BadInput,
        SagaError::OtherInput | SagaError::Full(_) | SagaError::Refused(_) | SagaError::Stopping => {
            OperationErrorKind::Conflict
        }
        SagaError::Locked(_) => OperationErrorKind::Conflict,
        SagaError::Unread(_) => OperationErrorKind::Internal,
        SagaError::State(_) => OperationErrorKind::Internal,
    };
    OperationError::caused_by(kind, error)
}

/// The gateway's way to the sagas. They begin after the gateway is built.
pub(in crate::app) struct HostSagaDoor {
    pub(in crate::app) sagas: Arc<OnceLock<HostSagas>>,
    pub(in crate::app) names: Names,
}

impl SagaDoor for HostSagaDoor {
    fn start<'a>(
        &'a self,
        saga: &'a str,
        (starter, key): (SagaStarter<'a>, Option<&'a str>),
        input: Bytes,
        wait: Duration,
    ) -> SagaDoorFuture<'a> {
        Box::pin(async move {
            let sagas = self.sagas.get().ok_or(SagaRefusal::Unavailable)?;
            let id = key.map(|key| sagas.id_of(saga, starter, key)).transpose().map_err(outside)?;
            let started = sagas.begin(saga, id, &input, self.names).await.map_err(outside)?;
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
        // Its id would read it: that is for its own clients.
        SagaError::Locked(LockHolder { lock, saga, until, .. }) => SagaRefusal::Locked { lock, saga, until },
        SagaError::Unread(reason) => {
            tracing::warn!(target: "saga", reason, "a saga could not be started");
            SagaRefusal::Unavailable
        }
        SagaError::Full(_) | SagaError::Stopping | SagaError::Refused(_) => SagaRefusal::Unavailable,
        SagaError::State(error) => {
            tracing::error!(target: "saga", %error, "a saga could not be started or read");
            SagaRefusal::Unavailable
        }
    }
}

/// Lends the metrics what the coordinator counts.
pub(in crate::app) struct SagaSamples(pub(in crate::app) HostSagas);

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
    use crate::coordinator::{SagaPlan, SagaSettings, StepTargets};
    use crate::mesh::{self, Mesh};
    use crate::saga::{SagaDefinition, SagaStep, StepAction};
    use crate::state::{Settings, Store};
    use std::collections::BTreeMap;
    use std::future::poll_fn;
    use std::task::Poll;
    use std::time::Instant;
    use tokio::time::sleep;

    /// A saga that waits for a moment, and calls nobody.
    fn rest() -> SagaPlan {
        let action = StepAction::Pause(Duration::from_millis(1));
        let step = SagaStep { name: "wait".into(), action, undo: None, pivot: false, timeout: None, tries: 1 };
        let deadline = Duration::from_secs(600);
        let definition = SagaDefinition { name: "rest".into(), input: None, deadline, lock: None, steps: vec![step] };
        let targets = vec![StepTargets::default()];
        SagaPlan { definition: Arc::new(definition), input: None, targets, waits: BTreeMap::new(), is_current: true }
    }

    #[tokio::test]
    async fn a_saga_whose_client_leaves_while_it_begins_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { path: folder.path().join("state.redb"), ..Settings::default() };
        let store = Store::open(&settings).unwrap();
        let mesh = MeshPerformer(Arc::new(Mesh::new(Arc::default(), mesh::Settings::default())));
        let sagas =
            Coordinator::start(&store, (vec![rest()], Vec::new()), SagaSettings::default(), Arc::new(mesh)).await;
        let sagas = Arc::new(sagas.unwrap());
        let door = HostSagaDoor { sagas: Arc::new(OnceLock::from(Arc::clone(&sagas))), names: Names::Snake };
        let input = Bytes::from_static(b"{}");
        let mut start = door.start("rest", (SagaStarter::Anybody, Some("k")), input, Duration::ZERO);
        let first = poll_fn(|context| Poll::Ready(start.as_mut().poll(context).is_pending())).await;
        assert!(first, "it has begun to write");
        drop(start);
        let began = Instant::now();
        while sagas.list_ended(None, 10).await.unwrap().is_empty() {
            assert!(began.elapsed() < Duration::from_secs(60), "nobody goes on with it");
            sleep(Duration::from_millis(2)).await;
        }
    }
}
