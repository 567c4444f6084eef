//! Everything that a small saga can do, walked through.

mod journals;
mod waits;
mod walk;

use super::{Binding, BindingPath, SagaDefinition, SagaStep, StepAction, StepCall};
use crate::base::ServiceName;
use std::sync::Arc;
use std::time::Duration;

/// A saga of `steps` steps, each undone by its own function; `pivot` is the position of its pivot.
fn definition(steps: usize, pivot: Option<usize>, pivot_has_undo: bool) -> Arc<SagaDefinition> {
    let call = |function: &str| StepCall {
        service: ServiceName::new("shop").unwrap(),
        function: function.to_owned(),
        with: vec![("key".to_owned(), Binding::Path(BindingPath::parse("$saga.key").unwrap()))],
    };
    let step = |at: usize| {
        let is_pivot = pivot == Some(at);
        let undone = pivot.is_none_or(|pivot| at < pivot || (at == pivot && pivot_has_undo));
        SagaStep {
            name: format!("step-{at}").into(),
            action: StepAction::Call(call("act")),
            undo: undone.then(|| call("undo")),
            pivot: is_pivot,
            timeout: None,
            tries: 2,
        }
    };
    Arc::new(SagaDefinition {
        name: "walk".into(),
        input: None,
        deadline: Duration::from_secs(60),
        lock: None,
        steps: (0..steps).map(step).collect(),
    })
}
