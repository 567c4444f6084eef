//! The worlds of WIT sources: what a component exports that is built from one of them.

use super::interface::InterfaceName;
use std::collections::{HashMap, HashSet};
use wit_parser::{AstItem, SourceMap, Stability, UnresolvedPackage, WorldId, WorldItem, WorldKey};

/// For each world of a package that exports something, the interfaces that it exports, each with its place, and those
/// of the package's worlds that it includes. What is behind a feature is left out.
pub(super) fn world_exports(package: &UnresolvedPackage, map: &SourceMap) -> Vec<Vec<(InterfaceName, String)>> {
    let (mut interfaces, mut foreign_worlds) = (HashMap::new(), HashSet::new());
    for (id, interface) in package.interfaces.iter() {
        interfaces.extend(interface.name.as_ref().map(|name| (id, package.name.interface_id(name))));
    }
    for (other, items) in &package.foreign_deps {
        for (name, (item, _)) in items {
            match item {
                AstItem::Interface(id) => drop(interfaces.insert(*id, other.interface_id(name))),
                AstItem::World(id) => drop(foreign_worlds.insert(*id)),
            }
        }
    }
    let exports_of = |world: WorldId| {
        let (mut found, mut seen, mut next) = (Vec::new(), HashSet::new(), vec![world]);
        while let Some(id) = next.pop() {
            if foreign_worlds.contains(&id) || !seen.insert(id) {
                continue;
            }
            let world = &package.worlds[id];
            let includes = world.includes.iter().filter(|include| !is_unstable(&include.stability));
            next.extend(includes.map(|include| include.id));
            for (key, item) in &world.exports {
                if let (WorldKey::Interface(id), WorldItem::Interface { stability, span, .. }) = (key, item)
                    && !is_unstable(stability)
                    && !is_unstable(&package.interfaces[*id].stability)
                    && let Some(name) = interfaces.get(id)
                {
                    found.push((InterfaceName::new(name), map.render_location(*span)));
                }
            }
        }
        found
    };
    let own = package.worlds.iter().filter(|(id, _)| !foreign_worlds.contains(id)).map(|(id, _)| exports_of(id));
    own.filter(|exports| !exports.is_empty()).collect()
}

/// Whether an item is behind a feature. What is parsed has it all the same: features count where packages are resolved.
pub(super) fn is_unstable(stability: &Stability) -> bool {
    matches!(stability, Stability::Unstable { .. })
}
