//! The names of schemas: a type of the contract that has a name becomes one schema, and all of its uses refer to it.

use crate::contract::json::Names;
use crate::contract::wit::Type;
use std::collections::{BTreeMap, BTreeSet};

/// The named types that the operations of a document use, each once, with the names of their schemas.
pub(super) struct SchemaNames<'a> {
    /// By the type's name in PascalCase: the different types of that name.
    types: BTreeMap<String, Vec<NamedType<'a>>>,
    /// The names that no type may get.
    taken: BTreeSet<String>,
}

/// A type of the contract that has a schema of its own.
pub(super) struct NamedType<'a> {
    pub(super) ty: &'a Type,
    /// The name of its schema.
    pub(super) schema: String,
    /// Where the type is used first.
    pub(super) user: TypeUser<'a>,
}

/// The user of a type: an operation's function.
#[derive(Debug, Clone, Copy)]
pub(super) struct TypeUser<'a> {
    pub(super) service: &'a str,
    /// The short name of the interface.
    pub(super) interface: &'a str,
    /// How names are written in JSON.
    pub(super) names: Names,
}

impl<'a> SchemaNames<'a> {
    /// No names yet; no type will get the name `reserved`.
    pub(super) fn new(reserved: &str) -> Self {
        Self { types: BTreeMap::new(), taken: BTreeSet::from([reserved.to_owned()]) }
    }

    /// Adds the named types within `ty`, `ty` included. [`Self::give_names`] must follow the last one.
    pub(super) fn add(&mut self, ty: &'a Type, user: TypeUser<'a>) {
        if let Some(name) = wit_name(ty) {
            let entries = self.types.entry(pascal(name)).or_default();
            // The parts of a known type were added with it.
            if entries.iter().any(|entry| have_one_schema(entry.ty, ty)) {
                return;
            }
            entries.push(NamedType { ty, schema: String::new(), user });
        }
        ty.any_part(&mut |part| {
            // The schema of an alias refers to the type behind all aliases, so the aliases between have no schemas.
            self.add(if matches!(ty, Type::Alias(_)) { part.resolved() } else { part }, user);
            false
        });
    }

    /// Gives each type the name of its schema: `Price`, or `ProductsPrice` where services have different types of one
    /// name.
    pub(super) fn give_names(&mut self) {
        // Types whose name is unique come first, so that no longer name can take theirs.
        let taken = &mut self.taken;
        let (alone, shared): (Vec<_>, Vec<_>) =
            self.types.iter_mut().partition(|(pascal, entries)| entries.len() == 1 && !taken.contains(*pascal));
        for (pascal, entries) in alone {
            for entry in entries {
                entry.schema.clone_from(pascal);
            }
            taken.insert(pascal.clone());
        }
        for (name, entries) in shared {
            for entry in entries {
                let (service, interface) = (pascal(entry.user.service), pascal(entry.user.interface));
                let long = format!("{service}{interface}{name}");
                let numbered = (2..).map(|number| format!("{long}{number}"));
                let choices = [format!("{service}{name}"), long.clone()].into_iter().chain(numbered);
                entry.schema = choices.into_iter().find(|name| !taken.contains(name)).expect("numbers do not end");
                taken.insert(entry.schema.clone());
            }
        }
    }

    /// The name of the schema of a type; `None` for a type without a name.
    pub(super) fn of(&self, ty: &Type) -> Option<&str> {
        let entries = self.types.get(&pascal(wit_name(ty)?))?;
        entries.iter().find(|entry| have_one_schema(entry.ty, ty)).map(|entry| entry.schema.as_str())
    }

    /// All named types.
    pub(super) fn iter(&self) -> impl Iterator<Item = &NamedType<'a>> {
        self.types.values().flatten()
    }
}

/// Whether one schema describes both types. An alias and the type behind it have two: the schema of the alias refers to
/// the other one.
fn have_one_schema(a: &Type, b: &Type) -> bool {
    matches!(a, Type::Alias(_)) == matches!(b, Type::Alias(_)) && a.same(b)
}

/// The name that the contract gives to a type.
fn wit_name(ty: &Type) -> Option<&str> {
    match ty {
        Type::Alias(alias) => Some(&alias.name),
        other => other.definition().map(|definition| definition.name),
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
