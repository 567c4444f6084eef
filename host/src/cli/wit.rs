//! `atoll wit`: bindings of a contract, and components of core modules, for languages whose compilers make neither.

use super::terminal;
use anyhow::Context;
use bindings::{BindingLanguage, ContractWorld};
use clap::{Args, Subcommand, ValueEnum};
use std::fs;
use std::path::{Path, PathBuf};

/// The verbs for contracts. They need no running host and no manifest.
#[derive(Debug, Subcommand)]
pub(super) enum WitVerb {
    /// Write the bindings of a contract: the code by which C, C++, Zig or Go implement and call it
    ///
    /// An `async func` of the contract is bound like a `func`: who implements it need not
    /// know `async`, and a call of it waits for its answer. Callers see no difference. A
    /// file that is as it should be is not written again.
    #[command(verbatim_doc_comment)]
    Bindings {
        #[command(flatten)]
        world: WorldArgs,
        /// The language
        #[arg(long, value_name = "LANGUAGE", value_enum)]
        lang: BindingLanguageArg,
        /// The folder to write them to; made where it is not there
        #[arg(long, value_name = "FOLDER", default_value = "bindings")]
        out: PathBuf,
    },

    /// Make a component of a core module, which is what compilers for C, Zig and Go make
    ///
    /// The module implements the world; what its language's library wants of the system
    /// (WASI preview 1) is adapted to WASI 0.2.
    #[command(verbatim_doc_comment)]
    Component {
        /// The core module, a `.wasm` file
        module: PathBuf,
        #[command(flatten)]
        world: WorldArgs,
        /// The component, a `.wasm` file
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
    },
}

/// Which world of which contract.
#[derive(Debug, Args)]
pub(super) struct WorldArgs {
    /// The contract: a file, or a folder with its dependencies in `deps`
    #[arg(long, value_name = "PATH", default_value = "wit")]
    wit: PathBuf,
    /// The world [default: the only one of the contract]
    #[arg(long, value_name = "NAME")]
    world: Option<String>,
}

/// The language of bindings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum BindingLanguageArg {
    /// A header and a source file in C, which C++ and Zig take too
    C,
    /// Packages of the module `wit_component`
    Go,
}

impl From<BindingLanguageArg> for BindingLanguage {
    fn from(language: BindingLanguageArg) -> Self {
        match language {
            BindingLanguageArg::C => Self::C,
            BindingLanguageArg::Go => Self::Go,
        }
    }
}

impl WorldArgs {
    fn read(&self) -> anyhow::Result<ContractWorld> {
        Ok(ContractWorld::read(&self.wit, self.world.as_deref())?)
    }
}

/// Executes a verb, and says what it has written.
///
/// # Errors
/// Why nothing is written.
pub(super) fn execute(verb: WitVerb) -> anyhow::Result<()> {
    match verb {
        WitVerb::Bindings { world, lang, out } => {
            for (path, bytes) in world.read()?.bindings(lang.into())? {
                // The module of Go is the service's, and may require more than the bindings do.
                if path == Path::new("go.mod") && out.join(&path).exists() {
                    continue;
                }
                if write_changed(&out.join(&path), &bytes)? {
                    terminal::note(&format!("wrote {}", out.join(path).display()));
                }
            }
        }
        WitVerb::Component { module, world, output } => {
            let bytes = fs::read(&module).with_context(|| format!("reading {}", module.display()))?;
            let component = world.read()?.component(&bytes).with_context(|| module.display().to_string())?;
            // Also if it was so before: `atoll build` goes by its time.
            fs::write(&output, component).with_context(|| format!("writing {}", output.display()))?;
        }
    }
    Ok(())
}

/// Writes a file if it is not so already: a compiler that goes by the time of a file then has nothing to do. Returns
/// whether it was written.
fn write_changed(path: &Path, bytes: &[u8]) -> anyhow::Result<bool> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(false);
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let made = if folder.as_os_str().is_empty() { Ok(()) } else { fs::create_dir_all(folder) };
    made.and_then(|()| fs::write(path, bytes)).with_context(|| format!("writing {}", path.display()))?;
    Ok(true)
}
