//! `atoll:events/delivery`: the event that the guest handles now.

use crate::base::HandledEvent;
use crate::runtime::context::context::{Context, caller};
use bindings::atoll::events::delivery as contract;
use wasmtime::AsContextMut;
use wasmtime::component::{Access, HasData, Linker};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit/events",
        inline: "package atoll:host; world delivery { import atoll:events/delivery@0.1.0; }",
        world: "atoll:host/delivery",
        imports: { default: store | trappable },
    });
}

/// Adds `atoll:events/delivery` to `linker`.
pub(super) fn add_to(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    contract::add_to_linker::<_, DeliveryImport>(linker, |context| context)
}

/// The name by which the linker knows this implementation.
struct DeliveryImport;

impl HasData for DeliveryImport {
    type Data<'a> = &'a mut Context;
}

impl contract::Host for Context {}

impl contract::HostWithStore<Context> for DeliveryImport {
    fn current(mut access: Access<'_, Context, Self>) -> wasmtime::Result<Option<contract::Handled>> {
        let context = caller(&mut access.as_context_mut());
        Ok(context.event.as_deref().map(contract::Handled::from))
    }
}

impl From<&HandledEvent> for contract::Handled {
    fn from(event: &HandledEvent) -> Self {
        let HandledEvent { topic, number, key, time, attempt, .. } = event;
        let (topic, key) = (topic.clone(), key.clone());
        Self { topic, number: *number, key, time: *time, attempt: *attempt }
    }
}
