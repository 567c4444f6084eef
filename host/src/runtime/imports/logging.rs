//! `wasi:logging/logging`: a guest logs a line, with a level of its own choice.
//!
//! The interface has no released version. Some toolchains import it as `0.1.0-draft`, others without a version; both
//! are the same function.

use crate::runtime::context::context::Context;
use crate::runtime::context::line_fields::LineFields;
use tracing::Level;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker};

/// Under these names guests import the interface.
const NAMES: [&str; 2] = ["wasi:logging/logging@0.1.0-draft", "wasi:logging/logging"];
/// The longest message that is logged of one call, in bytes: as much as all streams of a call may hold twice.
const LONGEST: usize = 512 << 10;

/// The level of a line, in the words of the interface.
#[derive(Debug, Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "the derived `Lift` makes them where the compiler does not look")]
enum GuestLevel {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
    #[component(name = "critical")]
    Critical,
}

/// Adds `wasi:logging/logging` to `linker`, under both of its names.
pub(super) fn add_to(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    for name in NAMES {
        linker.instance(name)?.func_wrap("log", log)?;
    }
    Ok(())
}

fn log(
    mut store: StoreContextMut<'_, Context>,
    (level, topic, message): (GuestLevel, String, String),
) -> wasmtime::Result<()> {
    let level = match level {
        GuestLevel::Trace => Level::TRACE,
        GuestLevel::Debug => Level::DEBUG,
        GuestLevel::Info => Level::INFO,
        GuestLevel::Warn => Level::WARN,
        GuestLevel::Error | GuestLevel::Critical => Level::ERROR,
    };
    let message = &message[..message.floor_char_boundary(LONGEST)];
    store.data_mut().log(level, &LineFields { topic: &topic, ..LineFields::default() }, message);
    Ok(())
}
