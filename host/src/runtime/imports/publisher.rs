//! `atoll:events/publisher`: publishes on the topics that the manifest grants.

use super::blocking_function::define;
use super::outbox::{CommitFailure, CommitScope};
use crate::events::{NewEvent, RefusedEvent};
use crate::runtime::context::context::Context;
use crate::state::{StateError, Transaction};
use bindings::atoll::events::publisher as contract;
use wasmtime::AsContextMut;
use wasmtime::component::{Accessor, HasData, Linker, LinkerInstance};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit/events",
        inline: "package atoll:host; world publisher { import atoll:events/publisher@0.1.0; }",
        world: "atoll:host/publisher",
        imports: { default: trappable },
    });
}

/// Adds `atoll:events/publisher` to `linker`.
pub(super) fn add_to(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    contract::add_to_linker::<_, PublisherImport>(linker, |context| context)
}

/// Defines the function of this name as a `func`.
pub(super) fn define_blocking(instance: &mut LinkerInstance<'_, Context>, function: &str) -> wasmtime::Result<()> {
    match function {
        "publish" => define(instance, "publish", |scope, (events,)| publish(scope, events)),
        _ => Ok(()),
    }
}

/// The name by which the linker knows this implementation.
struct PublisherImport;

impl HasData for PublisherImport {
    type Data<'a> = &'a mut Context;
}

impl contract::Host for Context {}

impl contract::HostWithStore<Context> for PublisherImport {
    async fn publish(
        accessor: &Accessor<Context, Self>,
        events: Vec<contract::Event>,
    ) -> wasmtime::Result<Result<(), contract::Error>> {
        let scope = accessor.with(|mut access| CommitScope::of(&mut access.as_context_mut(), "publish"));
        Ok(publish(scope, events).await)
    }
}

async fn publish(scope: CommitScope, events: Vec<contract::Event>) -> Result<(), contract::Error> {
    let event = |contract::Event { topic, key, payload }| (topic, NewEvent { key, payload });
    match scope.commit(Transaction::default(), events.into_iter().map(event).collect()).await {
        Ok(_) => Ok(()),
        Err(CommitFailure::NotGranted(topic)) => Err(contract::Error::NotGranted(not_granted(&topic))),
        Err(CommitFailure::Refused(refused)) => Err(match refused {
            RefusedEvent::Payload(_) => contract::Error::Invalid(refused.to_string()),
            RefusedEvent::TooLong(_) => contract::Error::TooLarge(refused.to_string()),
            RefusedEvent::Full { .. } => contract::Error::Unavailable(refused.to_string()),
        }),
        Err(CommitFailure::State(error)) => Err(state_error(&error)),
        Err(CommitFailure::Replayed(_, text)) => Err(contract::Error::Invalid(text)),
    }
}

/// What the guest reads if it may not publish on `topic`.
pub(super) fn not_granted(topic: &str) -> String {
    format!("`{topic}` is none of the topics that `publish` grants to this service")
}

fn state_error(error: &StateError) -> contract::Error {
    let text = error.for_guest();
    match error {
        StateError::TooLarge { .. } | StateError::Replayed { too_large: true, .. } => contract::Error::TooLarge(text),
        StateError::Overloaded | StateError::Closed | StateError::Replayed { .. } => contract::Error::Unavailable(text),
        _ => {
            tracing::error!(target: "store", error = error.with_causes(), "the store failed");
            contract::Error::Unavailable(text)
        }
    }
}
