//! The names of schemas: a type of the contract that has a name becomes one schema, to which all of its uses refer.

use super::{Operation, answers, schema};
use crate::contract::{Names, Type};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The types with a name that the operations use, each once.
pub(super) struct Named<'a> {
    /// By the name in PascalCase, those that are not the same type.
    types: BTreeMap<String, Vec<NamedEntry<'a>>>,
}

struct NamedEntry<'a> {
    ty: &'a Type,
    /// The service and the interface that used it first.
    service: &'a str,
    interface: &'a str,
    names: Names,
    /// The name of its schema.
    name: String,
}

impl<'a> Named<'a> {
    /// Finds all types with a name, and gives each a name for its schema: `Price`. Where services have different types of one name, it is
    /// `ProductsPrice`.
    pub(super) fn collect(operations: &[&'a Operation<'a>]) -> Self {
        let mut named = Self { types: BTreeMap::new() };
        for operation in operations {
            let face = operation.face;
            for param in &face.function.params {
                named.add(&param.ty, operation);
            }
            answers::carried(face).for_each(|ty| named.add(ty, operation));
        }
        named.give_names();
        named
    }

    /// The name of its schema, if the type has one.
    pub(super) fn name(&self, ty: &Type) -> Option<&str> {
        let entries = self.types.get(&pascal(wit_name(ty)?))?;
        entries.iter().find(|entry| is_one(entry.ty, ty)).map(|entry| entry.name.as_str())
    }

    /// All schemas by name.
    pub(super) fn schemas(&self) -> Map<String, Value> {
        let entries = self.types.values().flatten();
        entries.map(|entry| (entry.name.clone(), schema::shape(entry.ty, entry.names, self))).collect()
    }

    fn add(&mut self, ty: &'a Type, operation: &'a Operation<'a>) {
        if let Some(name) = wit_name(ty) {
            let entries = self.types.entry(pascal(name)).or_default();
            // Its parts have been added with it.
            if entries.iter().any(|entry| is_one(entry.ty, ty)) {
                return;
            }
            let (service, interface) = (operation.service, operation.interface.short());
            entries.push(NamedEntry { ty, service, interface, names: operation.face.names, name: String::new() });
        }
        for part in parts(ty) {
            self.add(part, operation);
        }
    }

    /// First those whose name is theirs alone, so that no longer name can take one of them.
    fn give_names(&mut self) {
        let mut taken = BTreeSet::from([answers::PROBLEM.to_owned()]);
        let (alone, shared): (Vec<_>, Vec<_>) =
            self.types.iter_mut().partition(|(pascal, entries)| entries.len() == 1 && !taken.contains(*pascal));
        for (pascal, entries) in alone {
            for entry in entries {
                entry.name.clone_from(pascal);
            }
            taken.insert(pascal.clone());
        }
        for (name, entries) in shared {
            for entry in entries {
                let (service, interface) = (pascal(entry.service), pascal(entry.interface));
                let long = format!("{service}{interface}{name}");
                let numbered = (2..).map(|number| format!("{long}{number}"));
                let choices = [format!("{service}{name}"), long.clone()].into_iter().chain(numbered);
                entry.name = choices.into_iter().find(|name| !taken.contains(name)).expect("numbers do not end");
                taken.insert(entry.name.clone());
            }
        }
    }
}

/// Whether one schema does for both. An alias is not the type behind it: its schema refers to that one's.
fn is_one(a: &Type, b: &Type) -> bool {
    matches!(a, Type::Alias(_)) == matches!(b, Type::Alias(_)) && a.same(b)
}

fn wit_name(ty: &Type) -> Option<&str> {
    match ty {
        Type::Record(it) => Some(&it.name),
        Type::Variant(it) => Some(&it.name),
        Type::Enum(it) => Some(&it.name),
        Type::Flags(it) => Some(&it.name),
        Type::Alias(it) => Some(&it.name),
        _ => None,
    }
}

/// What the schema of a type is made of.
fn parts(ty: &Type) -> Vec<&Type> {
    match ty {
        Type::List(item) | Type::FixedList(item, _) | Type::Option(item) => vec![item],
        Type::Map(key, value) => vec![key, value],
        Type::Result { ok, err } => ok.iter().chain(err).map(|ty| &**ty).collect(),
        Type::Tuple(types) => types.iter().collect(),
        Type::Record(it) => it.fields.iter().map(|field| &field.ty).collect(),
        Type::Variant(it) => it.cases.iter().filter_map(|case| case.ty.as_ref()).collect(),
        Type::Alias(it) => vec![it.ty.resolved()],
        _ => Vec::new(),
    }
}

/// `UnitPrice` for `unit-price`.
fn pascal(name: &str) -> String {
    let mut starts_word = true;
    let letters = name.chars().filter_map(|letter| {
        let first = std::mem::replace(&mut starts_word, !letter.is_ascii_alphanumeric());
        match letter {
            _ if !letter.is_ascii_alphanumeric() => None,
            _ if first => Some(letter.to_ascii_uppercase()),
            _ => Some(letter.to_ascii_lowercase()),
        }
    });
    letters.collect()
}
