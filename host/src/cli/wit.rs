//! `atoll wit`: bindings of a contract, and components of core modules, for languages whose compilers make neither; and
//! views of a contract for tools that cannot take all of it.

use super::terminal;
use crate::base::ServiceName;
use crate::project::{ContractCode, Language, ServiceFace};
use anyhow::Context;
use bindings::{BindingLanguage, ComponentTool, ContractWorld, ServiceStub, StubLanguage, VIEW_MARK};
use clap::{Args, Subcommand, ValueEnum};
use std::collections::BTreeMap;
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

    /// Write the view of a contract that a tool can take: one folder of WIT
    ///
    /// componentize-js takes each function as `func`; componentize-qjs takes imports so,
    /// and no 64-bit integers, which it would make wrong numbers of; componentize-py takes
    /// contracts as they are. A `func` is implemented and called like an `async func`, so
    /// others see no difference. The world is of the last `--wit`; those before it are
    /// what it refers to.
    #[command(verbatim_doc_comment)]
    View {
        #[command(flatten)]
        world: WorldArgs,
        /// The tool
        #[arg(long, value_name = "TOOL", value_enum)]
        tool: ComponentToolArg,
        /// The folder to write it to; made where it is not there
        #[arg(long, value_name = "FOLDER", default_value = "target/wit")]
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
    /// The contract: a file, or a folder with its dependencies in `deps`; given several
    /// times, the last is the contract and the others what it refers to
    #[arg(long, value_name = "PATH", default_value = "wit", verbatim_doc_comment)]
    wit: Vec<PathBuf>,
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

/// The tool of a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ComponentToolArg {
    /// JavaScript by StarlingMonkey
    #[value(name = "componentize-js")]
    Js,
    /// Python
    #[value(name = "componentize-py")]
    Py,
    /// JavaScript by QuickJS
    #[value(name = "componentize-qjs")]
    Qjs,
}

impl From<ComponentToolArg> for ComponentTool {
    fn from(tool: ComponentToolArg) -> Self {
        match tool {
            ComponentToolArg::Js => Self::ComponentizeJs,
            ComponentToolArg::Py => Self::ComponentizePy,
            ComponentToolArg::Qjs => Self::ComponentizeQjs,
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
        WitVerb::View { world, tool, out } => {
            let files = world.read()?.view(tool.into())?;
            refuse_sources(&out)?;
            remove_stale(&out, &files)?;
            for (path, bytes) in &files {
                write_changed(&out.join(path), bytes)?;
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

/// What a new service begins with that implements the contract at `path`.
///
/// # Errors
/// Why none can be begun from it.
pub(super) fn begin(path: &Path, name: &ServiceName, language: Language) -> anyhow::Result<ServiceFace> {
    let stub = match language {
        Language::Rust => StubLanguage::Rust,
        Language::JavaScript => StubLanguage::JavaScript,
        Language::TypeScript => StubLanguage::TypeScript,
        Language::Python => StubLanguage::Python,
        Language::C => StubLanguage::C,
        Language::Zig => StubLanguage::Zig,
        Language::Go => StubLanguage::Go,
    };
    let ServiceStub { wit, code, packages, wide } = ServiceStub::of(path, name.as_str(), stub)?;
    let wit = wit.into_iter().map(|(path, bytes)| (Path::new("wit").join(path), bytes));
    Ok(ServiceFace::Contract(ContractCode { files: wit.chain(packages).collect(), code, narrow: !wide }))
}

/// Refuses a folder that has WIT which no view has made: the view would take its place, or be read together with it.
fn refuse_sources(out: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(out).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_wit = path.extension().is_some_and(|extension| extension == "wit");
        if is_wit && !fs::read(&path).is_ok_and(|text| text.starts_with(VIEW_MARK.as_bytes())) {
            anyhow::bail!("{} is no view: name a folder for views alone with --out", path.display());
        }
    }
    Ok(())
}

/// Removes what an earlier view wrote and this one does not have: a package with two versions of itself, or one that
/// refers to what is gone, is not read. Files that others wrote stay.
fn remove_stale(out: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) -> anyhow::Result<()> {
    for folder in [Path::new(""), Path::new("deps")] {
        for entry in fs::read_dir(out.join(folder)).into_iter().flatten().flatten() {
            let path = folder.join(entry.file_name());
            let ours = fs::read(entry.path()).is_ok_and(|text| text.starts_with(VIEW_MARK.as_bytes()));
            if ours && !files.contains_key(&path) {
                fs::remove_file(entry.path()).with_context(|| format!("removing {}", entry.path().display()))?;
            }
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
