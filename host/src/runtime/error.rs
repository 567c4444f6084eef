//! The errors of this room: a component that cannot be loaded, and a call that an instance did not answer.

use crate::base::{Cause, ErrorKind, log_safe};
use crate::contract::HOW_TO_BUILD;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use wasmtime::{FrameInfo, WasmBacktrace};

/// A component that cannot serve. The host has changed nothing when it returns one of these.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The bytes are no component that this engine compiles.
    #[error("is not a valid WebAssembly component: {0}")]
    Invalid(String),
    /// It is a component, but it exports nothing that a caller could call.
    #[error(
        "exports nothing to call: it needs an interface of its own with a function, or a handler of HTTP, which is \
         `wasi:http/handler@0.3.x` (world wasi:http/service) or `wasi:http/incoming-handler@0.2.x` (world \
         wasi:http/proxy); it exports {0}"
    )]
    NothingToCall(String),
    /// It has a function with a type that cannot cross from one instance to another.
    #[error("has a function that no other service can call: {0}")]
    Uncallable(String),
    /// It imports what this host does not have.
    #[error("imports what this host does not offer: {}", .0.join(", "))]
    UnknownImports(Vec<String>),
    /// It imports functions as `async func`, and each call of them would trap.
    #[error(
        "exports only `func`s (a handler of WASI 0.2 is one), which may not wait for an `async func`, so that each \
         call of these imports would trap: {}", .0.join(", ")
    )]
    CannotWait(Vec<String>),
    /// It starts with more memory than an instance of its service may have.
    #[error(
        "starts with {} of memory, and `limits.memory` of [service.{service}] is {}", in_units(*.starts),
        in_units(*.limit as u64)
    )]
    TooLarge {
        /// The bytes with which an instance starts, all its memories together.
        starts: u64,
        /// The bytes that an instance may have.
        limit: usize,
        /// The service that it was loaded for.
        service: String,
    },
    /// It imports what its service is not granted.
    #[error("imports {interface}, which needs `{grant}` in [service.{service}] of the manifest")]
    NotGranted {
        /// The interface that it imports.
        interface: String,
        /// The line that would grant it.
        grant: &'static str,
        /// The service that it was loaded for.
        service: String,
    },
    /// Its imports do not fit the host's, or it does not fit the pool.
    #[error("does not link: {0}")]
    Link(String),
}

impl LoadError {
    /// How to correct it.
    pub fn help(&self) -> String {
        match self {
            Self::Read { .. } => "build it first, or correct the path".into(),
            Self::Invalid(_) => HOW_TO_BUILD.into(),
            Self::NothingToCall(exports) if exports.contains("wasi:cli/run@") => {
                "it is a program that runs once (wasi:cli/run); a service exports an interface, or the handler of WASI \
                 HTTP"
                    .into()
            }
            Self::NothingToCall(_) => {
                "export an interface, or the handler of WASI HTTP; the README shows the smallest service".into()
            }
            Self::Uncallable(_) => "pass values, or streams and futures of numbers, characters and strings".into(),
            Self::UnknownImports(unknown) if unknown.iter().any(|import| import.contains("there is")) => {
                "build it against a version that is there; a later version of the same 0.2 or 0.3 fits too, a \
                 prerelease only if it is the very same"
                    .into()
            }
            Self::UnknownImports(_) => "of WASI a service may import 0.2 and 0.3, wasi:config and wasi:keyvalue".into(),
            Self::CannotWait(_) => {
                "declare them as `func` in the WIT that this component is built from: the host links an import by what \
                 the component declares"
                    .into()
            }
            Self::TooLarge { starts, service, .. } => format!(
                "set limits = {{ memory = \"{}MiB\" }} or more in [service.{service}], or build it with a smaller \
                 initial memory",
                starts.div_ceil(1 << 20)
            ),
            Self::NotGranted { grant, service, .. } => format!("add `{grant}` to [service.{service}]"),
            Self::Link(_) => "rebuild it against the host's version of its imports".into(),
        }
    }
}

/// A number of bytes, in MiB if that is a whole number.
fn in_units(bytes: u64) -> String {
    if bytes.is_multiple_of(1 << 20) {
        format!("{} MiB", bytes >> 20)
    } else {
        format!("{} KiB", bytes.div_ceil(1 << 10))
    }
}

/// How the text of Wasmtime's `WasmBacktrace` begins.
const BACKTRACE: &str = "error while executing at wasm backtrace:";

/// A call or a request without an answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{kind}: {detail}")]
pub struct InvokeError {
    /// What happened.
    pub kind: ErrorKind,
    /// The text for the log, with the texts of all causes. It is never shown outside.
    pub detail: String,
    /// The error that caused this one, if the cause was an error.
    #[source]
    pub source: Option<Cause>,
    /// Where in the guest's code it happened, if it happened there.
    pub place: Option<Box<GuestLocation>>,
    /// Whether it is known that no instance was given the call: it may go elsewhere, whatever it does.
    pub not_begun: bool,
}

/// A place in a guest's code, and what happened there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestLocation {
    /// The innermost frame: its offset in the file of the module, and the function's name if the component has it.
    pub frame: String,
    /// A hash of all frames. The innermost one does not tell two places apart: in most languages it is that of `abort`.
    pub stack: u64,
    /// The innermost error: `wasm trap: wasm `unreachable` instruction executed`.
    pub cause: String,
    /// The functions on the stack, demangled, the innermost first. They are safe for the log.
    pub functions: Vec<String>,
    /// Where each of them stood in the component's file, in bytes; empty if that is not known of all.
    pub offsets: Vec<u32>,
    /// The backtrace in lines, safe for the log: the names of functions are the component's own.
    backtrace: String,
}

impl InvokeError {
    pub(crate) fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), source: None, place: None, not_begun: false }
    }

    /// A call that no instance was given.
    pub(crate) fn not_begun(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { not_begun: true, ..Self::new(kind, detail) }
    }

    /// A task of the host has failed.
    pub fn of_host(error: &impl std::fmt::Display) -> Self {
        Self::new(ErrorKind::Host, error.to_string())
    }

    /// An error with the texts of `error` and of all its causes as its detail, and `error` as its source. The guest's
    /// backtrace is left out of the detail: every room above logs the detail, and [`InvokeError::in_full`] has it.
    pub(crate) fn caused_by(kind: ErrorKind, error: wasmtime::Error) -> Self {
        let texts = error.chain().map(ToString::to_string).filter(|text| !text.starts_with(BACKTRACE));
        let detail = texts.collect::<Vec<_>>().join(": ");
        let place = GuestLocation::of(&error).map(Box::new);
        Self { kind, detail, source: Some(error.into_boxed_dyn_error().into()), place, not_begun: false }
    }

    /// The detail, with the guest's backtrace if there is one.
    pub(crate) fn in_full(&self) -> String {
        match &self.place {
            Some(place) => format!("{}: {}", place.backtrace, self.detail),
            None => self.detail.clone(),
        }
    }

    /// The same error with `what` went wrong before its detail.
    pub(crate) fn within(self, what: &str) -> Self {
        Self { detail: format!("{what}: {}", self.detail), ..self }
    }
}

impl GuestLocation {
    /// The place of `error`, if the guest ran when it came.
    fn of(error: &wasmtime::Error) -> Option<Self> {
        let backtrace = error.downcast_ref::<WasmBacktrace>()?;
        let frame = backtrace.frames().first()?;
        let mut stack = DefaultHasher::new();
        backtrace.frames().iter().for_each(|frame| frame.module_offset().hash(&mut stack));
        let name = frame.func_name().unwrap_or_default();
        let frame = match frame.module_offset() {
            Some(offset) => format!("{offset:#x} {name}"),
            None => name.to_owned(),
        };
        let offsets: Vec<_> = backtrace.frames().iter().filter_map(FrameInfo::module_offset).collect();
        let backtrace = safe_backtrace(backtrace);
        let functions = functions(&backtrace);
        let offsets = offsets.into_iter().map(|offset| u32::try_from(offset).unwrap_or(u32::MAX));
        Some(Self {
            frame: frame.trim_end().to_owned(),
            stack: stack.finish(),
            cause: error.root_cause().to_string(),
            offsets: Some(offsets.collect()).filter(|all: &Vec<_>| all.len() == functions.len()).unwrap_or_default(),
            functions,
            backtrace,
        })
    }
}

/// The functions of a backtrace in lines: `    0: 0x30 - module!shop::order::h0123456789abcdef`. The hash that Rust
/// adds to a name differs from build to build, and is left out.
fn functions(backtrace: &str) -> Vec<String> {
    let mut functions: Vec<String> = Vec::new();
    for line in backtrace.lines().skip(1) {
        let line = line.trim_start();
        let Some((number, rest)) = line.split_once(':') else { continue };
        let Some((_, name)) = rest.split_once(" - ").filter(|_| number.bytes().all(|b| b.is_ascii_digit())) else {
            continue;
        };
        let name = name.split_once('!').map_or(name, |(_, function)| function);
        let hash = name.rsplit_once("::h").filter(|(_, hash)| hash.len() == 16 && hash.bytes().all(is_hex));
        functions.push(hash.map_or(name, |(plain, _)| plain).to_owned());
    }
    functions
}

fn is_hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

/// The backtrace in lines, none of which is forged by a name with a line break.
fn safe_backtrace(backtrace: &WasmBacktrace) -> String {
    let frames = backtrace.frames();
    let names = frames.iter().flat_map(|frame| [frame.module().name(), frame.func_name()].into_iter().flatten());
    let text = if names.into_iter().any(|name| name.contains('\n')) {
        // Such a name is no compiler's, so nothing is lost if it is not demangled.
        let lines = frames.iter().enumerate().map(|(number, frame)| {
            let (module, offset) = (frame.module().name().unwrap_or("<unknown>"), frame.module_offset().unwrap_or(0));
            let function = frame.func_name().unwrap_or("<unknown>");
            log_safe(&format!("  {number:>3}: {offset:#8x} - {module}!{function}")).into_owned()
        });
        std::iter::once(BACKTRACE.to_owned()).chain(lines).collect()
    } else {
        // Each line break is Wasmtime's own.
        backtrace.to_string().trim_end().split('\n').map(|line| log_safe(line).into_owned()).collect::<Vec<_>>()
    };
    text.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmtime::{Engine, Instance, Module, Store};

    /// What a trap in a function of this name leaves.
    fn trap_in(name: &str) -> InvokeError {
        let engine = Engine::default();
        let text = format!("(module (func (@name \"{name}\") (export \"run\") unreachable))");
        let module = Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let run = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();
        InvokeError::caused_by(ErrorKind::Trap, run.call(&mut store, ()).unwrap_err())
    }

    #[test]
    fn the_functions_of_a_trap_have_plain_names_that_no_build_changes() {
        for (name, function) in [
            ("run", "run"),
            ("_ZN4shop5order17h0123456789abcdefE", "shop::order"),
            ("_ZN4shop5order17hfedcba9876543210E", "shop::order"),
            ("a\\nb", "a\\nb"),
        ] {
            let place = trap_in(name).place.unwrap();
            assert_eq!(place.functions, [function]);
            assert!(place.frame.starts_with(&format!("{:#x} ", place.offsets[0])), "{place:?}");
        }
        let text = "head\n    0:   0x10 - a!one\n    1: 0x2 - <unknown>!two";
        assert_eq!(functions(text), ["one", "two"]);
    }

    #[test]
    fn a_function_name_forges_no_line_of_the_backtrace() {
        let table = [
            ("run", "!run"),
            ("_ZN4shop5order17h0123456789abcdefE", "!shop::order"),
            ("a\\nERROR forged", "!a\\nERROR forged"),
            ("\\n", "!\\n"),
            ("a\\r\\u{202e}b", "!a\\r\\u{202e}b"),
        ];
        for (name, shown) in table {
            let text = trap_in(name).in_full();
            let lines: Vec<_> = text.split('\n').collect();
            assert_eq!(lines[0], BACKTRACE, "{text}");
            assert!(lines.len() == 2 && lines[1].starts_with("    0: "), "{text}");
            assert!(lines[1].contains(shown) && !lines[1].contains(char::is_control), "{text}");
            assert!(lines[1].ends_with("instruction executed"), "{text}");
        }
    }
}
