//! The names of schemas: a type of the contract that has a name becomes one schema, and all of its uses refer to it. A
//! type with a record in it becomes two if clients both send and get it: what they send must have no other members, and
//! what they get may have more.

use crate::contract::json::{Direction, Names};
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
    /// The direction that the schema is for; `None` if it is for both.
    direction: Option<Direction>,
}

/// The schemas of one direction.
#[derive(Clone, Copy)]
pub(super) struct DirectedSchemas<'s, 'a> {
    names: &'s SchemaNames<'a>,
    pub(super) direction: Direction,
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
    /// No names yet; no type will get one of the names `reserved`.
    pub(super) fn new(reserved: &[&str]) -> Self {
        Self { types: BTreeMap::new(), taken: reserved.iter().map(|&name| name.to_owned()).collect() }
    }

    /// Adds the named types within `ty`, `ty` included, as values that go in `direction`. [`Self::give_names`] must
    /// follow the last one.
    pub(super) fn add(&mut self, ty: &'a Type, direction: Direction, user: TypeUser<'a>) {
        if let Some(name) = wit_name(ty) {
            let entries = self.types.entry(pascal(name)).or_default();
            // The parts of a known type were added with it.
            if entries.iter().any(|entry| entry.describes(ty, direction)) {
                return;
            }
            let has_record = ty.any(&|part| matches!(part, Type::Record(_)));
            entries.push(NamedType { ty, schema: String::new(), user, direction: has_record.then_some(direction) });
        }
        ty.any_part(&mut |part| {
            // The schema of an alias refers to the type behind all aliases, so the aliases between have no schemas.
            self.add(if matches!(ty, Type::Alias(_)) { part.resolved() } else { part }, direction, user);
            false
        });
    }

    /// Gives each type the name of its schema: `Price`, or `ProductsPrice` where services have different types of one
    /// name. Of the two schemas of one type, that of what clients send is `PriceInput`.
    pub(super) fn give_names(&mut self) {
        let taken = &mut self.taken;
        let mut groups: Vec<(&String, Vec<&mut NamedType>, Vec<&mut NamedType>)> = Vec::new();
        for (pascal, entries) in &mut self.types {
            let answered = |entry: &NamedType| entry.direction == Some(Direction::Answered);
            let got: Vec<&Type> = entries.iter().filter(|entry| answered(entry)).map(|entry| entry.ty).collect();
            let is_second = |entry: &NamedType| {
                entry.direction == Some(Direction::Sent) && got.iter().any(|ty| have_one_schema(ty, entry.ty))
            };
            let (inputs, firsts) = entries.iter_mut().partition(|entry| is_second(entry));
            groups.push((pascal, firsts, inputs));
        }
        // Types whose name is unique come first, so that no longer name can take theirs.
        groups.sort_by_key(|(pascal, firsts, _)| firsts.len() > 1 || taken.contains(*pascal));
        for (name, firsts, _) in &mut groups {
            let is_alone = firsts.len() == 1;
            for entry in firsts {
                let (service, interface) = (pascal(entry.user.service), pascal(entry.user.interface));
                let long = format!("{service}{interface}{name}");
                let short = is_alone.then(|| (*name).clone());
                entry.schema = free(short.into_iter().chain([format!("{service}{name}"), long.clone()]), &long, taken);
            }
        }
        for (_, firsts, inputs) in &mut groups {
            for entry in inputs {
                let first = firsts.iter().find(|first| have_one_schema(first.ty, entry.ty));
                let name = format!("{}Input", first.map_or("", |first| first.schema.as_str()));
                entry.schema = free([name.clone()].into_iter(), &name, taken);
            }
        }
    }

    /// The schemas of values that go in `direction`.
    pub(super) fn toward(&self, direction: Direction) -> DirectedSchemas<'_, 'a> {
        DirectedSchemas { names: self, direction }
    }

    /// All named types.
    pub(super) fn iter(&self) -> impl Iterator<Item = &NamedType<'a>> {
        self.types.values().flatten()
    }
}

impl NamedType<'_> {
    /// Whether its schema describes values of `ty` that go in `direction`.
    fn describes(&self, ty: &Type, direction: Direction) -> bool {
        have_one_schema(self.ty, ty) && self.direction.is_none_or(|own| own == direction)
    }

    /// The direction in which the parts of its schema go; any, if it is for both.
    pub(super) fn direction(&self) -> Direction {
        self.direction.unwrap_or(Direction::Sent)
    }
}

impl DirectedSchemas<'_, '_> {
    /// The name of the schema of a type; `None` for a type without a name.
    pub(super) fn of(&self, ty: &Type) -> Option<&str> {
        let entries = self.names.types.get(&pascal(wit_name(ty)?))?;
        entries.iter().find(|entry| entry.describes(ty, self.direction)).map(|entry| entry.schema.as_str())
    }
}

/// The first of `choices`, or else `numbered` with a number, that is not taken; it is taken then.
fn free(choices: impl Iterator<Item = String>, numbered: &str, taken: &mut BTreeSet<String>) -> String {
    let numbers = (2..).map(|number| format!("{numbered}{number}"));
    let name = choices.chain(numbers).find(|name| !taken.contains(name)).expect("numbers do not end");
    taken.insert(name.clone());
    name
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
