//! The view of a contract that a tool can take: one folder, made of the sources, so that a contract has one source.

use crate::platform;
use crate::world_part::{TypeSearch, WorldPart};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use wit_bindgen_core::wit_parser::{
    Function, FunctionKind, InterfaceId, PackageId, Resolve, Type, TypeDefKind, TypeOwner, WorldId, WorldItem,
};
use wit_component::WitPrinter;

/// What a file of a view begins with. Only such files are removed when the contract no longer has them.
pub const VIEW_MARK: &str = "// Made by `atoll wit view`; edit its source instead.\n";

/// A tool that makes a component of code in its language, and what it can take of a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComponentTool {
    /// JavaScript by StarlingMonkey: it knows no `async func`; a 64-bit integer is a BigInt.
    ComponentizeJs,
    /// Python: it takes contracts as they are.
    ComponentizePy,
    /// JavaScript by QuickJS: it cannot import an `async func`; a 64-bit integer is a number, which holds 53 bits.
    ComponentizeQjs,
}

impl ComponentTool {
    /// Its name, as its package has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ComponentizeJs => "componentize-js",
            Self::ComponentizePy => "componentize-py",
            Self::ComponentizeQjs => "componentize-qjs",
        }
    }
}

/// The files of the view of a world, by their paths in its folder.
///
/// # Errors
/// Where a value would be wrong without a word.
pub(crate) fn view(
    resolve: &Resolve,
    world: WorldId,
    tool: ComponentTool,
) -> Result<BTreeMap<PathBuf, Vec<u8>>, String> {
    let mut resolve = resolve.clone();
    match tool {
        ComponentTool::ComponentizePy => {}
        ComponentTool::ComponentizeJs => synchronous(&mut resolve, world, true),
        ComponentTool::ComponentizeQjs => {
            if let Some(place) = wide_integer(&resolve, world) {
                return Err(format!(
                    "{place}: componentize-qjs makes a number of it, which is another one above 2^53; take \
                     componentize-js, which makes a BigInt of it, or give the contract a text of digits"
                ));
            }
            synchronous(&mut resolve, world, false);
        }
    }
    let main = only_world(&mut resolve, world);
    let print = |package: PackageId| -> Result<Vec<u8>, String> {
        let mut printer = WitPrinter::default();
        printer.print(&resolve, package, &[]).map_err(|error| format!("{error:#}"))?;
        Ok((VIEW_MARK.to_owned() + &printer.output.to_string()).into_bytes())
    };
    let mut files = BTreeMap::from([(PathBuf::from("world.wit"), print(main)?)]);
    for package in referred(&resolve, world, main) {
        let name = resolve.packages[package].name.to_string().replace([':', '@'], "-");
        files.insert(PathBuf::from(format!("deps/{name}.wit")), print(package)?);
    }
    Ok(files)
}

/// Makes a `func` of each `async func` that the world imports, and with `exports` also of those that it exports. The
/// binary format takes both for one: who calls sees no difference.
fn synchronous(resolve: &mut Resolve, world: WorldId, exports: bool) {
    let waits = |function: &mut Function| {
        function.kind = match function.kind {
            FunctionKind::AsyncFreestanding => FunctionKind::Freestanding,
            FunctionKind::AsyncMethod(of) => FunctionKind::Method(of),
            FunctionKind::AsyncStatic(of) => FunctionKind::Static(of),
            _ => return,
        };
    };
    let found = &mut resolve.worlds[world];
    let sides = [Some(&mut found.imports), exports.then_some(&mut found.exports)];
    let mut interfaces = Vec::new();
    for item in sides.into_iter().flatten().flat_map(|side| side.values_mut()) {
        match item {
            WorldItem::Interface { id, .. } => interfaces.push(*id),
            WorldItem::Function(function) => waits(function),
            WorldItem::Type { .. } => {}
        }
    }
    for id in interfaces {
        resolve.interfaces[id].functions.values_mut().for_each(waits);
    }
}

/// Takes all other worlds away: they would bring in what this one does not need. Returns the package of the world.
fn only_world(resolve: &mut Resolve, world: WorldId) -> PackageId {
    let main = resolve.worlds[world].package.expect("a world that was selected has a package");
    for (_, package) in &mut resolve.packages {
        package.worlds.retain(|_, id| *id == world);
    }
    main
}

/// The packages that the world and its package refer to, through others too.
fn referred(resolve: &Resolve, world: WorldId, main: PackageId) -> BTreeSet<PackageId> {
    let of_interface = |id: InterfaceId| resolve.interfaces[id].package;
    let world = &resolve.worlds[world];
    let items = world.imports.values().chain(world.exports.values());
    let mut open: Vec<_> = items
        .filter_map(|item| match item {
            WorldItem::Interface { id, .. } => Some(*id),
            _ => None,
        })
        .chain(resolve.packages[main].interfaces.values().copied())
        .collect();
    let (mut seen, mut packages) = (BTreeSet::new(), BTreeSet::new());
    while let Some(interface) = open.pop() {
        if !seen.insert(interface) {
            continue;
        }
        if let Some(package) = of_interface(interface)
            && packages.insert(package)
        {
            open.extend(resolve.packages[package].interfaces.values().copied());
        }
        for id in resolve.interfaces[interface].types.values() {
            if let TypeDefKind::Type(Type::Id(used)) = resolve.types[*id].kind
                && let TypeOwner::Interface(other) = resolve.types[used].owner
            {
                open.push(other);
            }
        }
    }
    packages.remove(&main);
    packages
}

/// The first function of a service's contract that has a 64-bit integer, and where.
pub(crate) fn wide_integer(resolve: &Resolve, world: WorldId) -> Option<String> {
    let mut search = TypeSearch::new(resolve, |ty| match ty {
        Type::U64 => Some("u64"),
        Type::S64 => Some("s64"),
        _ => None,
    });
    let parts = WorldPart::all(resolve, world).into_iter().filter(|part| !counts_what_is_small(resolve, part));
    parts.flat_map(|part| part.values()).find_map(|(place, ty)| {
        let wide = search.first(ty)?;
        Some(format!("{place} has a {wide}"))
    })
}

/// Whether it is the platform's, whose numbers are small by what they count: versions of commits, times. Those of
/// `atomics` are the service's own, and those of random bits have all 64.
fn counts_what_is_small(resolve: &Resolve, part: &WorldPart) -> bool {
    let Some((id, _)) = part.interface else { return false };
    let interface = &resolve.interfaces[id];
    let package = interface.package.map(|package| &resolve.packages[package].name);
    let is_any_number = matches!(interface.name.as_deref(), Some("atomics" | "random" | "insecure" | "insecure-seed"));
    package.is_some_and(platform::offers) && !is_any_number
}
