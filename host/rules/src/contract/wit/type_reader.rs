//! Describes the interfaces, functions and types that `wit-parser` has read.

use super::interface::{Function, Interface, Param};
use super::types::{Alias, Case, Enum, Field, Flags, Record, Type, Variant};
use std::collections::HashMap;
use std::ops::Index;
use std::sync::Arc;
use wit_parser::{self as wit, Handle, TypeDef, TypeDefKind, TypeId, TypeOwner};

/// Makes descriptions from `wit-parser`'s definitions. One definition becomes one shared type, however often it is
/// used.
pub(super) struct TypeReader<'a> {
    definitions: &'a dyn Index<TypeId, Output = TypeDef>,
    /// The types that have been made so far.
    made: HashMap<TypeId, Type>,
}

impl<'a> TypeReader<'a> {
    pub(super) fn new(definitions: &'a dyn Index<TypeId, Output = TypeDef>) -> Self {
        Self { definitions, made: HashMap::new() }
    }

    pub(super) fn interface(&mut self, interface: &wit::Interface) -> Interface {
        let functions = interface.functions.values().filter_map(|function| self.function(function));
        let functions = functions.map(|function| (function.name.clone(), function)).collect();
        Interface { docs: docs(&interface.docs), functions }
    }

    /// `None` for a function that belongs to a resource: its constructor, its methods, its static functions.
    pub(super) fn function(&mut self, function: &wit::Function) -> Option<Function> {
        let (wit::FunctionKind::Freestanding | wit::FunctionKind::AsyncFreestanding) = function.kind else {
            return None;
        };
        let params = function.params.iter().map(|param| Param { name: param.name.clone(), ty: self.ty(param.ty) });
        Some(Function {
            name: function.name.clone(),
            docs: docs(&function.docs),
            asynchronous: function.kind.is_async(),
            params: params.collect(),
            result: function.result.map(|ty| self.ty(ty)),
        })
    }

    /// The type of this definition.
    pub(super) fn named(&mut self, id: TypeId) -> Type {
        self.ty(wit::Type::Id(id))
    }

    fn ty(&mut self, ty: wit::Type) -> Type {
        match ty {
            wit::Type::Bool => Type::Bool,
            wit::Type::U8 => Type::U8,
            wit::Type::U16 => Type::U16,
            wit::Type::U32 => Type::U32,
            wit::Type::U64 => Type::U64,
            wit::Type::S8 => Type::S8,
            wit::Type::S16 => Type::S16,
            wit::Type::S32 => Type::S32,
            wit::Type::S64 => Type::S64,
            wit::Type::F32 => Type::F32,
            wit::Type::F64 => Type::F64,
            wit::Type::Char => Type::Char,
            wit::Type::String => Type::String,
            wit::Type::ErrorContext => Type::ErrorContext,
            wit::Type::Id(id) => {
                if let Some(made) = self.made.get(&id) {
                    return made.clone();
                }
                let made = self.definition(&self.definitions[id]);
                self.made.insert(id, made.clone());
                made
            }
        }
    }

    fn definition(&mut self, definition: &TypeDef) -> Type {
        let name = definition.name.clone().unwrap_or_default();
        let docs = docs(&definition.docs);
        let ty = match &definition.kind {
            TypeDefKind::Record(record) => {
                let fields = record.fields.iter().map(|field| self.field(field)).collect();
                return Type::Record(Arc::new(Record { name, docs, fields }));
            }
            TypeDefKind::Variant(variant) => {
                let cases = variant.cases.iter().map(|case| self.case(case)).collect();
                return Type::Variant(Arc::new(Variant { name, docs, cases }));
            }
            TypeDefKind::Enum(enumeration) => {
                let cases = enumeration.cases.iter().map(enum_case).collect();
                return Type::Enum(Arc::new(Enum { name, docs, cases }));
            }
            TypeDefKind::Flags(flags) => {
                let flags = flags.flags.iter().map(|flag| flag.name.clone()).collect();
                return Type::Flags(Arc::new(Flags { name, docs, flags }));
            }
            // `Unknown` is a type of a package whose sources are absent: as opaque as a resource. No component has such
            // types.
            TypeDefKind::Resource | TypeDefKind::Unknown => return Type::Resource(name.into()),
            TypeDefKind::Handle(Handle::Own(id) | Handle::Borrow(id)) => self.ty(wit::Type::Id(*id)).resolved().clone(),
            TypeDefKind::Type(ty) if self.is_use(definition, *ty) => return self.ty(*ty),
            TypeDefKind::Type(ty) => self.ty(*ty),
            TypeDefKind::List(ty) => Type::List(self.shared(*ty)),
            TypeDefKind::FixedLengthList(ty, length) => Type::FixedList(self.shared(*ty), *length),
            TypeDefKind::Map(key, value) => Type::Map(self.shared(*key), self.shared(*value)),
            TypeDefKind::Option(ty) => Type::Option(self.shared(*ty)),
            TypeDefKind::Result(result) => {
                Type::Result { ok: result.ok.map(|ty| self.shared(ty)), err: result.err.map(|ty| self.shared(ty)) }
            }
            TypeDefKind::Tuple(tuple) => Type::Tuple(tuple.types.iter().map(|ty| self.ty(*ty)).collect()),
            TypeDefKind::Stream(ty) => Type::Stream(ty.map(|ty| self.shared(ty))),
            TypeDefKind::Future(ty) => Type::Future(ty.map(|ty| self.shared(ty))),
        };
        if definition.name.is_some() { Type::Alias(Arc::new(Alias { name, docs, ty })) } else { ty }
    }

    /// Whether a definition comes from a `use` of another interface's type. An alias, unlike a `use`, has the same
    /// owner as its type.
    fn is_use(&self, definition: &TypeDef, ty: wit::Type) -> bool {
        let wit::Type::Id(id) = ty else { return false };
        let owner = self.definitions[id].owner;
        owner != TypeOwner::None && owner != definition.owner
    }

    fn shared(&mut self, ty: wit::Type) -> Arc<Type> {
        Arc::new(self.ty(ty))
    }

    fn field(&mut self, field: &wit::Field) -> Field {
        Field { name: field.name.clone(), docs: docs(&field.docs), ty: self.ty(field.ty) }
    }

    fn case(&mut self, case: &wit::Case) -> Case {
        Case { name: case.name.clone(), docs: docs(&case.docs), ty: case.ty.map(|ty| self.ty(ty)) }
    }
}

fn enum_case(case: &wit::EnumCase) -> Case {
    Case { name: case.name.clone(), docs: docs(&case.docs), ty: None }
}

fn docs(docs: &wit::Docs) -> Option<String> {
    let text = docs.contents.as_deref()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
