//! What the bindings of a language have no form for. It is looked for before the generators begin, so that an error
//! names the function and the place.

use crate::go_module::MOST_FIELDS;
use crate::world::BindingLanguage;
use crate::world_part::{TypeSearch, WorldPart, constituents};
use std::collections::{BTreeMap, BTreeSet};
use wit_bindgen_core::wit_parser::{Function, FunctionKind, Resolve, Type, TypeDefKind, TypeId, TypeOwner, WorldId};

/// The most values of the parameters and the answer of one function. The generators write code for each of them, and
/// records in records are a list of all that is in them: at 10,000 it is 9 MB of C, for which they need half a second
/// (measured on 2026-11-29). A contract that people write has some hundred.
const MOST_VALUES: u64 = 10_000;

/// The most types in each other, of which a component can have no more.
const MOST_LEVELS: usize = 100;

/// The first thing in a world that the bindings of a language do not have, where it stands, and what to write instead.
pub(crate) fn binding_gap(resolve: &Resolve, world: WorldId, language: BindingLanguage) -> Option<String> {
    let parts = WorldPart::all(resolve, world);
    let mut search = TypeSearch::new(resolve, |ty| unknown_type(resolve, ty, language));
    for part in &parts {
        for (place, ty) in part.values().into_iter().chain(part.own_types()) {
            if let Some((kinds, mend)) = search.first(ty) {
                return Some(format!("have no {kinds}: {place} has one; {mend}"));
            }
        }
    }
    excess(resolve, &parts).map(|reason| format!("are not made of so much: {reason}")).or_else(|| match language {
        BindingLanguage::C => same_name(resolve, world, &parts),
        BindingLanguage::Go => parts.iter().find_map(accessor),
    })
}

/// The kind of a type that a language has no form for, in the plural, and what to do about it.
fn unknown_type(resolve: &Resolve, ty: Type, language: BindingLanguage) -> Option<(&'static str, &'static str)> {
    let is_go = language == BindingLanguage::Go;
    let id = match ty {
        Type::ErrorContext => return Some(("error-contexts", "take a variant, or a `string`")),
        Type::Id(id) => id,
        _ => return None,
    };
    match &resolve.types[id].kind {
        TypeDefKind::FixedLengthList(..) => Some(("fixed-length lists", "take a `list` of any length, or a tuple")),
        TypeDefKind::Tuple(tuple) if is_go && tuple.types.len() > MOST_FIELDS => {
            Some(("tuples of more than 16", "take a record"))
        }
        TypeDefKind::Stream(_) if is_go => Some(("streams, which stock Go cannot wait for", "take a `list`")),
        TypeDefKind::Future(_) if is_go => Some(("futures, which stock Go cannot wait for", "take an `async func`")),
        _ => None,
    }
}

/// Why code for each value of these functions would be too much, if it is.
pub(crate) fn excess(resolve: &Resolve, parts: &[WorldPart]) -> Option<String> {
    let mut sizes = TypeSizes { resolve, known: BTreeMap::new() };
    for part in parts {
        for (place, ty) in part.values().into_iter().chain(part.own_types()) {
            if sizes.of(ty, MOST_LEVELS).is_none() {
                return Some(format!("{place} has more than {MOST_LEVELS} types in each other, as no component has"));
            }
        }
        for Function { name, params, result, .. } in &part.functions {
            let types = params.iter().map(|param| param.ty).chain(*result);
            let sizes = types.filter_map(|ty| sizes.of(ty, MOST_LEVELS));
            if sizes.fold(0_u64, |all, size| all.saturating_add(size.values)) > MOST_VALUES {
                return Some(format!(
                    "`{name}` in {} takes and gives more than {MOST_VALUES} values, with what stands in each record \
                     and variant; let it take and give less, or a list of what is of one type",
                    part.name
                ));
            }
        }
    }
    None
}

/// How much there is in a type.
#[derive(Clone, Copy)]
struct TypeSize {
    /// Itself and all that is in it, each as often as it is there.
    values: u64,
    /// How many types are in each other.
    levels: usize,
}

/// The sizes of types, each counted once.
struct TypeSizes<'a> {
    resolve: &'a Resolve,
    known: BTreeMap<TypeId, TypeSize>,
}

impl TypeSizes<'_> {
    /// The size of a type, unless there are more types in each other than `most`.
    fn of(&mut self, ty: Type, most: usize) -> Option<TypeSize> {
        let Type::Id(id) = ty else { return Some(TypeSize { values: 1, levels: 0 }) };
        if let Some(known) = self.known.get(&id) {
            return (known.levels <= most).then_some(*known);
        }
        let inner = most.checked_sub(1)?;
        let mut size = TypeSize { values: 1, levels: 1 };
        for ty in constituents(self.resolve, id) {
            let one = self.of(ty, inner)?;
            size.values = size.values.saturating_add(one.values);
            size.levels = size.levels.max(one.levels + 1);
        }
        self.known.insert(id, size);
        Some(size)
    }
}

/// Two functions or types that would have one name in C, where a name has no places but what it begins with.
fn same_name(resolve: &Resolve, world: WorldId, parts: &[WorldPart]) -> Option<String> {
    let world = resolve.worlds[world].name.as_str();
    let (renamed, mut taken) = (std::collections::HashMap::new(), BTreeMap::new());
    for part in parts {
        let functions = part.functions.iter().map(|function| {
            let key = part.interface.map(|(_, key)| key);
            let name = wit_bindgen_c::c_func_name(part.is_import, resolve, world, key, function, &renamed);
            (name, format!("`{}` in {}", function.name, part.name))
        });
        let types = part.types.iter().flat_map(|(name, id)| {
            let place = format!("the type `{name}` of {}", part.name);
            c_type_names(resolve, world, part, *id).into_iter().map(move |name| (name, place.clone()))
        });
        for (name, place) in functions.chain(types) {
            if let Some(other) = taken.insert(name.clone(), place.clone()) {
                return Some(format!("have one name, {name}, for {other} and {place}; give one of them another"));
            }
        }
    }
    None
}

/// What the bindings for C make of a type of a world's part: the type itself, and the functions that go with it.
fn c_type_names(resolve: &Resolve, world: &str, part: &WorldPart, id: TypeId) -> Vec<String> {
    let is_its_own = match (resolve.types[id].owner, part.interface) {
        (TypeOwner::Interface(owner), Some((interface, _))) => owner == interface,
        (owner, None) => matches!(owner, TypeOwner::World(_)),
        _ => false,
    };
    if !is_its_own {
        return Vec::new();
    }
    let renamed = std::collections::HashMap::new();
    let space = wit_bindgen_c::owner_namespace(part.interface, part.is_import, world.to_owned(), resolve, id, &renamed);
    let (_, name) = wit_bindgen_c::gen_type_name(resolve, id);
    let own = |ends: &[&str]| ends.iter().map(|end| format!("{space}_{name}_{end}")).collect::<Vec<_>>();
    let origin = dealiased(resolve, id);
    if !matches!(resolve.types[origin].kind, TypeDefKind::Resource) {
        return own(if is_freed(resolve, id) { &["t", "free"] } else { &["t"] });
    }
    if origin != id {
        // Who takes a resource from elsewhere uses what is there.
        return Vec::new();
    }
    let handles = [format!("{space}_own_{name}_t"), format!("{space}_borrow_{name}_t")];
    let mut names = match part.is_import {
        true => own(&["drop_own", "drop_borrow"]),
        false => own(&["t", "drop_own", "new", "rep", "destructor"]),
    };
    names.extend(part.is_import.then(|| format!("{space}_borrow_{name}")));
    names.extend(handles);
    names
}

/// The type that this one is another name of, or itself.
fn dealiased(resolve: &Resolve, mut id: TypeId) -> TypeId {
    while let TypeDefKind::Type(Type::Id(of)) = resolve.types[id].kind {
        id = of;
    }
    id
}

/// Whether the bindings for C have a function that frees what a value of this type holds. It looks at each type once.
fn is_freed(resolve: &Resolve, id: TypeId) -> bool {
    let (mut open, mut seen) = (vec![Type::Id(id)], BTreeSet::new());
    while let Some(ty) = open.pop() {
        let id = match ty {
            Type::String => return true,
            Type::Id(id) if seen.insert(id) => id,
            _ => continue,
        };
        match &resolve.types[id].kind {
            TypeDefKind::List(_)
            | TypeDefKind::Map(..)
            | TypeDefKind::Option(_)
            | TypeDefKind::Result(_)
            | TypeDefKind::Variant(_) => return true,
            TypeDefKind::Record(_) | TypeDefKind::Tuple(_) | TypeDefKind::Type(_) => {
                open.extend(constituents(resolve, id));
            }
            _ => {}
        }
    }
    false
}

/// A getter or setter, which only a resource or an interface of a new kind has.
fn accessor(part: &WorldPart) -> Option<String> {
    let is_accessor = |function: &&&Function| {
        matches!(
            function.kind,
            FunctionKind::Getter
                | FunctionKind::Setter
                | FunctionKind::MethodGetter(_)
                | FunctionKind::MethodSetter(_)
                | FunctionKind::StaticGetter(_)
                | FunctionKind::StaticSetter(_)
        )
    };
    let function = part.functions.iter().find(is_accessor)?;
    Some(format!("have no getters and setters: `{}` in {} is one; take a `func`", function.name, part.name))
}
