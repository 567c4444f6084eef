//! What a world imports and exports, part by part, and the types in it with the places where they stand.

use std::collections::BTreeSet;
use wit_bindgen_core::wit_parser::{
    Function, InterfaceId, Resolve, Type, TypeDefKind, TypeId, WorldId, WorldItem, WorldKey,
};

/// An interface of a world, or one of its own functions or types.
pub(crate) struct WorldPart<'a> {
    /// What its name in errors is.
    pub(crate) name: String,
    pub(crate) is_import: bool,
    /// Its interface, with the key under which the world has it.
    pub(crate) interface: Option<(InterfaceId, &'a WorldKey)>,
    pub(crate) functions: Vec<&'a Function>,
    pub(crate) types: Vec<(&'a str, TypeId)>,
}

impl<'a> WorldPart<'a> {
    /// All parts of a world, its imports first.
    pub(crate) fn all(resolve: &'a Resolve, world: WorldId) -> Vec<Self> {
        let world = &resolve.worlds[world];
        let imports = world.imports.iter().map(|item| (true, item));
        let items = imports.chain(world.exports.iter().map(|item| (false, item)));
        let part = |(is_import, (key, item)): (bool, (&'a WorldKey, &'a WorldItem))| {
            let (mut functions, mut types, mut interface) = (Vec::new(), Vec::new(), None);
            let name = match (key, item) {
                (WorldKey::Name(_), WorldItem::Function(_) | WorldItem::Type { .. }) => "the world".to_owned(),
                _ => resolve.name_world_key(key),
            };
            match item {
                WorldItem::Interface { id, .. } => {
                    interface = Some((*id, key));
                    functions.extend(resolve.interfaces[*id].functions.values());
                    types.extend(resolve.interfaces[*id].types.iter().map(|(name, id)| (name.as_str(), *id)));
                }
                WorldItem::Function(function) => functions.push(function),
                WorldItem::Type { id, .. } => types.extend(resolve.types[*id].name.as_deref().map(|name| (name, *id))),
            }
            Self { name, is_import, interface, functions, types }
        };
        items.map(part).collect()
    }

    /// The types of the parameters and answers, with their places.
    pub(crate) fn values(&self) -> Vec<(String, Type)> {
        let mut values = Vec::new();
        for Function { name, params, result, .. } in &self.functions {
            let params = params.iter();
            values.extend(params.map(|param| (format!("`{}` of `{name}` in {}", param.name, self.name), param.ty)));
            values.extend(result.map(|ty| (format!("the answer of `{name}` in {}", self.name), ty)));
        }
        values
    }

    /// Its own types, with their places.
    pub(crate) fn own_types(&self) -> Vec<(String, Type)> {
        let place = |name| format!("the type `{name}` of {}", self.name);
        self.types.iter().map(|(name, id)| (place(name), Type::Id(*id))).collect()
    }
}

/// A search in types for what there may be in one, which looks at each type once: it has one question.
pub(crate) struct TypeSearch<'a, F> {
    resolve: &'a Resolve,
    find: F,
    seen: BTreeSet<TypeId>,
}

impl<'a, T, F: Fn(Type) -> Option<T>> TypeSearch<'a, F> {
    pub(crate) fn new(resolve: &'a Resolve, find: F) -> Self {
        Self { resolve, find, seen: BTreeSet::new() }
    }

    /// What is found first, of this type and all that it consists of, and was not looked at before.
    pub(crate) fn first(&mut self, ty: Type) -> Option<T> {
        let mut open = vec![ty];
        while let Some(ty) = open.pop() {
            if let Some(found) = (self.find)(ty) {
                return Some(found);
            }
            if let Type::Id(id) = ty
                && self.seen.insert(id)
            {
                open.extend(constituents(self.resolve, id).into_iter().rev());
            }
        }
        None
    }
}

/// The types that a type is made of, in their order.
pub(crate) fn constituents(resolve: &Resolve, id: TypeId) -> Vec<Type> {
    match &resolve.types[id].kind {
        TypeDefKind::Record(record) => record.fields.iter().map(|field| field.ty).collect(),
        TypeDefKind::Tuple(tuple) => tuple.types.clone(),
        TypeDefKind::Variant(variant) => variant.cases.iter().filter_map(|case| case.ty).collect(),
        TypeDefKind::Result(result) => result.ok.into_iter().chain(result.err).collect(),
        TypeDefKind::Map(key, value) => vec![*key, *value],
        TypeDefKind::Option(ty)
        | TypeDefKind::List(ty)
        | TypeDefKind::FixedLengthList(ty, _)
        | TypeDefKind::Type(ty) => vec![*ty],
        TypeDefKind::Future(ty) | TypeDefKind::Stream(ty) => ty.iter().copied().collect(),
        TypeDefKind::Resource
        | TypeDefKind::Handle(_)
        | TypeDefKind::Flags(_)
        | TypeDefKind::Enum(_)
        | TypeDefKind::Unknown => Vec::new(),
    }
}
