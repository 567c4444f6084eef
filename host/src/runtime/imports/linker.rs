//! The linker with every interface that the host offers itself.

use super::{caller, delivery, keyvalue, logging, otel, publisher, sent_http, timers, transactions, transactions_0_2};
use crate::runtime::context::context::Context;
use wasmtime::Engine;
use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime_wasi_config::WasiConfig;
use wasmtime_wasi_io::bindings::wasi::io::{error, poll, streams};

/// A linker with every interface of the host, and those of WASI 0.2 and 0.3. All components use it. What a service may
/// use is decided before, by its grants, and at each call by its context.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Context>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    add_streams(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_config::add_to_linker(&mut linker, |context: &mut Context| {
        if let Some(notes) = context.notes() {
            notes.config();
        }
        WasiConfig::new(context.identity.grants.config())
    })?;
    timers::add_to(&mut linker)?;
    sent_http::add_to(&mut linker)?;
    caller::add_to(&mut linker)?;
    transactions::add_to(&mut linker)?;
    transactions_0_2::add_to(&mut linker)?;
    publisher::add_to(&mut linker)?;
    delivery::add_to(&mut linker)?;
    keyvalue::add_to(&mut linker)?;
    logging::add_to(&mut linker)?;
    otel::add_to(&mut linker)?;
    Ok(linker)
}

/// Links the streams of WASI 0.2 with the table of resources alone. Wasmtime's own link gets the table out of the whole
/// of the guest's WASI, which an instance makes when it is first asked for; and nearly every answer is a stream.
fn add_streams(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    error::add_to_linker::<_, HasSelf<ResourceTable>>(linker, |context| &mut context.table)?;
    poll::add_to_linker::<_, HasSelf<ResourceTable>>(linker, |context| &mut context.table)?;
    streams::add_to_linker::<_, HasSelf<ResourceTable>>(linker, |context| &mut context.table)?;
    linker.allow_shadowing(false);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::runtime::offer::PACKAGES;
    use wasmtime::{Config, Engine};

    /// A name that each interface with functions or resources defines.
    const MEMBERS: [(&str, &str); 44] = [
        ("caller", "current"),
        ("delivery", "current"),
        ("publisher", "publish"),
        ("transactions", "commit"),
        ("environment", "get-environment"),
        ("exit", "exit"),
        ("stdin", "get-stdin"),
        ("stdin", "read-via-stream"),
        ("stdout", "get-stdout"),
        ("stdout", "write-via-stream"),
        ("stderr", "get-stderr"),
        ("stderr", "write-via-stream"),
        ("terminal-input", "terminal-input"),
        ("terminal-output", "terminal-output"),
        ("terminal-stdin", "get-terminal-stdin"),
        ("terminal-stdout", "get-terminal-stdout"),
        ("terminal-stderr", "get-terminal-stderr"),
        ("monotonic-clock", "now"),
        ("wall-clock", "now"),
        ("system-clock", "now"),
        ("store", "get"),
        ("store", "open"),
        ("atomics", "increment"),
        ("batch", "get-many"),
        ("types", "descriptor"),
        ("types", "fields"),
        ("types", "tcp-socket"),
        ("logging", "log"),
        ("tracing", "current-span-context"),
        ("metrics", "export"),
        ("logs", "on-emit"),
        ("preopens", "get-directories"),
        ("outgoing-handler", "handle"),
        ("client", "send"),
        ("error", "error"),
        ("poll", "poll"),
        ("streams", "input-stream"),
        ("random", "get-random-u64"),
        ("insecure", "get-insecure-random-u64"),
        ("insecure-seed", "get-insecure-seed"),
        ("insecure-seed", "insecure-seed"),
        ("instance-network", "instance-network"),
        ("ip-name-lookup", "resolve-addresses"),
        ("network", "network"),
    ];

    /// Whether the linker has `member` of `interface` in exactly this version: then it refuses to define it again.
    fn has(interface: &str, member: &str) -> bool {
        let mut config = Config::new();
        config.wasm_component_model_async(true).wasm_component_model_map(true);
        let engine = Engine::new(&config).unwrap();
        let mut linker = super::linker(&engine).unwrap();
        let mut instance = linker.instance(interface).unwrap();
        instance.func_wrap(member, |_, (): ()| Ok(())).is_err()
    }

    #[test]
    fn the_linker_has_each_interface_in_the_version_that_is_listed() {
        for (package, version, interfaces) in PACKAGES {
            for interface in interfaces {
                let versioned = if version.is_empty() { String::new() } else { format!("@{version}") };
                let name = format!("{package}/{interface}{versioned}");
                let only_types = ["wasi:cli/types", "wasi:clocks/types", "wasi:otel/types"];
                let only_types = only_types.iter().any(|types| name.starts_with(types));
                let own = MEMBERS.iter().filter(|(of, _)| of == interface).map(|(_, member)| *member);
                // The sockets of 0.2 and their makers.
                let own = own.chain(["tcp-socket", "udp-socket", "create-tcp-socket", "create-udp-socket"]);
                assert!(only_types || own.into_iter().any(|member| has(&name, member)), "{name}");
            }
        }
    }
}
