//! A world of a contract, from which bindings and components are made.

use crate::binding_gap::binding_gap;
use crate::go_module;
use crate::package_sources::PackageSources;
use crate::platform;
use crate::view::{self, ComponentTool};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use thiserror::Error;
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_bindgen_core::wit_parser::{PackageId, Resolve, UnresolvedPackageGroup, WorldId};
use wit_bindgen_core::{AsyncFilterSet, Files, WorldGenerator};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

/// A component begins so, and not with the version of a core module (the component model's binary format).
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// Each module and component begins so.
const WEBASSEMBLY: &[u8] = b"\0asm";

/// A language that bindings are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindingLanguage {
    /// C: a header and a source file. C++ and Zig take them as well.
    C,
    /// Go: packages of the module `wit_component`.
    Go,
}

/// Why there are no bindings, or no component.
#[derive(Debug, Error)]
pub enum BindingsError {
    /// The WIT cannot be read, or has no such world.
    #[error("cannot take a world out of {}: {reason:#}", .wit.display())]
    Wit {
        /// The file or folder.
        wit: PathBuf,
        /// Why.
        reason: anyhow::Error,
    },
    /// There are several worlds, and none was named.
    #[error("{} has several worlds: {}", .wit.display(), .worlds.join(", "))]
    Worlds {
        /// The file or folder.
        wit: PathBuf,
        /// Their names.
        worlds: Vec<String>,
    },
    /// The bindings have no form for something in the world.
    #[error("the bindings for {language:?} {reason}")]
    Unsupported {
        /// The language.
        language: BindingLanguage,
        /// What they have not, and where it is.
        reason: String,
    },
    /// The tool would make something else of the contract, or cannot take it.
    #[error("{} can take no view of this world: {reason}", .tool.name())]
    View {
        /// The tool.
        tool: ComponentTool,
        /// Why not.
        reason: String,
    },
    /// No code can be begun from this contract.
    #[error("no service can be begun from {}: {reason}", .wit.display())]
    Stub {
        /// The file or folder.
        wit: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The bytes are a component.
    #[error("this is a component already; only the core module that a compiler makes has to become one")]
    ComponentAlready,
    /// The bytes are of another kind of file.
    #[error(
        "this is no WebAssembly, which begins with `\\0asm`; only the core module that a compiler makes becomes a \
             component"
    )]
    NoModule,
    /// The module does not fit the world, or is damaged.
    #[error("the module makes no component of this world: {0:#}")]
    Module(anyhow::Error),
}

/// A world, with all that its contract refers to.
#[derive(Debug, Clone)]
pub struct ContractWorld {
    resolve: Resolve,
    world: WorldId,
}

impl ContractWorld {
    /// A world that was read.
    pub(crate) fn new(resolve: Resolve, world: WorldId) -> Self {
        Self { resolve, world }
    }

    /// The world `name` of the WIT in the last of these files and folders; without a name its only one. Those before
    /// are what it refers to, in an order in which each refers to the ones before it. What the host offers need not
    /// be among them. A package that several of them have is taken once, if it is the same contract in each.
    ///
    /// # Errors
    /// [`BindingsError::Wit`], [`BindingsError::Worlds`].
    pub fn read<P: AsRef<Path>>(paths: &[P], name: Option<&str>) -> Result<Self, BindingsError> {
        let (resolve, world) = read_with_platform(|resolve| {
            let mut read = Path::new("");
            let (mut main, mut sources) = (None, PackageSources::default());
            let taken = paths.iter().try_for_each(|path| {
                read = path.as_ref();
                sources.take(resolve, read).map(|package| main = Some(package))
            });
            let wit = |reason| BindingsError::Wit { wit: read.to_owned(), reason };
            taken.map_err(wit)?;
            let worlds = main.map(|package| &resolve.packages[package].worlds);
            if let (Some(worlds), None) = (worlds.filter(|worlds| worlds.len() > 1), name) {
                let worlds = worlds.keys().cloned().collect();
                return Err(BindingsError::Worlds { wit: read.to_owned(), worlds });
            }
            resolve.select_world(main.as_slice(), name.map(explicit).as_deref()).map_err(wit)
        })?;
        Ok(Self { resolve, world })
    }

    /// The package of the WIT in a file or folder, with all that it refers to.
    ///
    /// # Errors
    /// [`BindingsError::Wit`].
    pub(crate) fn packages(path: &Path) -> Result<(Resolve, PackageId), BindingsError> {
        read_with_platform(|resolve| {
            let read = PackageSources::push(resolve, path);
            read.map_err(|reason| BindingsError::Wit { wit: path.to_owned(), reason })
        })
    }

    /// The files of the view of this world that a tool can take, by their paths in the folder that they are for.
    ///
    /// # Errors
    /// [`BindingsError::View`].
    pub fn view(&self, tool: ComponentTool) -> Result<BTreeMap<PathBuf, Vec<u8>>, BindingsError> {
        view::view(&self.resolve, self.world, tool).map_err(|reason| BindingsError::View { tool, reason })
    }

    /// The files of the bindings, by their paths in the folder that they are for.
    ///
    /// # Errors
    /// [`BindingsError::Unsupported`].
    pub fn bindings(&self, language: BindingLanguage) -> Result<BTreeMap<PathBuf, Vec<u8>>, BindingsError> {
        let unsupported = |reason| BindingsError::Unsupported { language, reason };
        if let Some(gap) = binding_gap(&self.resolve, self.world, language) {
            return Err(unsupported(gap));
        }
        let failed = |reason| unsupported(format!("cannot be made of this world: {reason}"));
        let Self { mut resolve, world } = self.alone().map_err(|error| failed(format!("{error:#}")))?;
        // A generator may end in a panic. What it is known not to have is refused above.
        let generated = catch_unwind(AssertUnwindSafe(|| {
            let mut files = Files::default();
            generator(language).generate(&mut resolve, world, &mut files).map(|()| files)
        }));
        let files = match generated {
            Ok(files) => files.map_err(|error| failed(format!("{error:#}")))?,
            Err(panic) => return Err(failed(told(panic.as_ref()))),
        };
        let mut files: BTreeMap<_, _> =
            files.iter().map(|(path, bytes)| (PathBuf::from(path), bytes.to_vec())).collect();
        if language == BindingLanguage::Go {
            go_module::complete(&mut files);
        }
        Ok(files)
    }

    /// The world with what it refers to, and nothing else: generators name a package by its version too where there are
    /// several of it, and what the host offers has two of most.
    fn alone(&self) -> anyhow::Result<Self> {
        let name = self.resolve.worlds[self.world].name.clone();
        let files = view::view(&self.resolve, self.world, ComponentTool::ComponentizePy).map_err(anyhow::Error::msg)?;
        let (mut main, mut others) = (None, Vec::new());
        for (path, bytes) in files {
            let text = String::from_utf8(bytes)?;
            let group = UnresolvedPackageGroup::parse(&path, &text).map_err(|(_, error)| error)?;
            if path == Path::new("world.wit") {
                main = Some(group);
            } else {
                others.push(group);
            }
        }
        let mut resolve = Resolve::default();
        let main = resolve.push_groups(main.expect("a view has its world"), others)?;
        let world = resolve.select_world(&[main], Some(&explicit(&name)))?;
        Ok(Self { resolve, world })
    }

    /// The component of this world that `module`, a core module, implements. Its calls of WASI preview 1, which these
    /// languages' own libraries are made of, become calls of WASI 0.2.
    ///
    /// # Errors
    /// [`BindingsError::ComponentAlready`], [`BindingsError::NoModule`], [`BindingsError::Module`].
    pub fn component(&self, module: &[u8]) -> Result<Vec<u8>, BindingsError> {
        if module.starts_with(COMPONENT) {
            return Err(BindingsError::ComponentAlready);
        }
        if !module.starts_with(WEBASSEMBLY) {
            return Err(BindingsError::NoModule);
        }
        let mut module = module.to_vec();
        embed_component_metadata(&mut module, &self.resolve, self.world, StringEncoding::UTF8, false)
            .and_then(|()| {
                let mut encoder = ComponentEncoder::default();
                encoder.validate(true).module(&module)?;
                encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?.encode()
            })
            .map_err(BindingsError::Module)
    }
}

/// A name, or a path like `a:b/c@1.0.0`, with the mark by which the parser takes a keyword for a name, too.
fn explicit(path: &str) -> String {
    let (names, version) = path.find('@').map_or((path, ""), |at| path.split_at(at));
    let marked = |name: &str| if name.starts_with('%') { name.to_owned() } else { format!("%{name}") };
    names.split_inclusive([':', '/']).map(marked).collect::<String>() + version
}

/// A name as it is written in WIT: a keyword has a `%` before it.
pub(crate) fn written(name: &str) -> String {
    let taken = UnresolvedPackageGroup::parse("", &format!("package a:b; interface {name} {{}}"));
    if taken.is_ok() { name.to_owned() } else { format!("%{name}") }
}

/// Reads packages, and in a second try those of the platform first. Who brings some of these along has them all, and
/// would have them twice.
fn read_with_platform<T>(
    read: impl Fn(&mut Resolve) -> Result<T, BindingsError>,
) -> Result<(Resolve, T), BindingsError> {
    let mut own = Resolve::default();
    match read(&mut own) {
        Ok(found) => Ok((own, found)),
        Err(error) if own.packages.iter().any(|(_, package)| platform::offers(&package.name)) => Err(error),
        Err(_) => {
            let mut all = platform::resolve();
            let found = read(&mut all)?;
            Ok((all, found))
        }
    }
}

fn generator(language: BindingLanguage) -> Box<dyn WorldGenerator> {
    let mut synchronous = AsyncFilterSet::default();
    synchronous.push("all");
    match language {
        // The source file refers to the object file with the type of the world, so it is linked too.
        BindingLanguage::C => wit_bindgen_c::Opts { async_: synchronous, ..Default::default() }.build(),
        // gofmt may be there or not; the same contract makes the same bindings.
        BindingLanguage::Go => {
            let format = wit_bindgen_go::Format::False;
            wit_bindgen_go::Opts { format, async_: synchronous, quiet: true, ..Default::default() }.build()
        }
    }
}

/// What a panic said.
fn told(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked").to_owned()
}
