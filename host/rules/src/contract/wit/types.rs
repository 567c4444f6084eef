//! The types of WIT. WIT has no recursive types, so a type is a tree; equal branches are shared.

use std::sync::Arc;

/// A WIT type.
#[derive(Debug, Clone)]
pub enum Type {
    /// `bool`
    Bool,
    /// `s8`
    S8,
    /// `u8`
    U8,
    /// `s16`
    S16,
    /// `u16`
    U16,
    /// `s32`
    S32,
    /// `u32`
    U32,
    /// `s64`
    S64,
    /// `u64`
    U64,
    /// `f32`
    F32,
    /// `f64`
    F64,
    /// `char`
    Char,
    /// `string`
    String,
    /// `list<T>`
    List(Arc<Type>),
    /// `list<T, N>`
    FixedList(Arc<Type>, u32),
    /// `map<K, V>`
    Map(Arc<Type>, Arc<Type>),
    /// `option<T>`
    Option(Arc<Type>),
    /// `result<T, E>`; either side may be `_`
    Result {
        /// The type of a success.
        ok: Option<Arc<Type>>,
        /// The type of an error.
        err: Option<Arc<Type>>,
    },
    /// `tuple<…>`
    Tuple(Arc<[Type]>),
    /// `record`
    Record(Arc<Record>),
    /// `variant`
    Variant(Arc<Variant>),
    /// `enum`
    Enum(Arc<Enum>),
    /// `flags`
    Flags(Arc<Flags>),
    /// `type NAME = T`: another name for a type, perhaps with docs of its own.
    Alias(Arc<Alias>),
    /// `stream<T>`; without a type it carries nothing but its end
    Stream(Option<Arc<Type>>),
    /// `future<T>`
    Future(Option<Arc<Type>>),
    /// `own<T>` or `borrow<T>` of the resource with this name
    Resource(Arc<str>),
    /// `error-context`
    ErrorContext,
}

/// Another name for a type.
#[derive(Debug)]
pub struct Alias {
    /// In kebab-case, as all names here.
    pub name: String,
    /// The docs that the author of the contract wrote.
    pub docs: Option<String>,
    /// The type that it stands for; it may be an alias, too.
    pub ty: Type,
}

/// A record.
#[derive(Debug)]
pub struct Record {
    /// Its name in the interface.
    pub name: String,
    /// The docs that the author of the contract wrote.
    pub docs: Option<String>,
    /// In the order of the contract.
    pub fields: Vec<Field>,
}

/// A field of a record.
#[derive(Debug)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// The docs that the author of the contract wrote.
    pub docs: Option<String>,
    /// Its type.
    pub ty: Type,
}

/// A variant.
#[derive(Debug)]
pub struct Variant {
    /// Its name in the interface.
    pub name: String,
    /// The docs that the author of the contract wrote.
    pub docs: Option<String>,
    /// In the order of the contract.
    pub cases: Vec<Case>,
}

/// A case of a variant or of an enum.
#[derive(Debug)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// The docs that the author of the contract wrote.
    pub docs: Option<String>,
    /// The type of its payload; `None` for a case without one, and for every case of an enum.
    pub ty: Option<Type>,
}

/// An enum.
#[derive(Debug)]
pub struct Enum {
    /// Its name in the interface.
    pub name: String,
    /// The docs that the author of the contract wrote.
    pub docs: Option<String>,
    /// In the order of the contract; none has a payload.
    pub cases: Vec<Case>,
}

/// Flags.
#[derive(Debug)]
pub struct Flags {
    /// Their name in the interface.
    pub name: String,
    /// The docs that the author of the contract wrote.
    pub docs: Option<String>,
    /// The names of the flags, in the order of the contract.
    pub flags: Vec<String>,
}

/// The definition in an interface that makes a type.
#[derive(Debug, Clone, Copy)]
pub struct Definition<'a> {
    /// The keyword of WIT: `record`.
    pub keyword: &'static str,
    /// The name of the type in its interface.
    pub name: &'a str,
}

impl Type {
    /// The type behind aliases.
    pub fn resolved(&self) -> &Self {
        let mut ty = self;
        while let Self::Alias(alias) = ty {
            ty = &alias.ty;
        }
        ty
    }

    /// Whether `other` is the same type by structure: the names of fields, cases and flags count, and so does their
    /// order; the names of types, aliases and docs do not.
    pub fn same(&self, other: &Self) -> bool {
        let optional = |a: &Option<Arc<Self>>, b: &Option<Arc<Self>>| match (a, b) {
            (Some(a), Some(b)) => a.same(b),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        let other = other.resolved();
        match self.resolved() {
            Self::List(a) => matches!(other, Self::List(b) if a.same(b)),
            Self::FixedList(a, n) => matches!(other, Self::FixedList(b, m) if n == m && a.same(b)),
            Self::Map(a, x) => matches!(other, Self::Map(b, y) if a.same(b) && x.same(y)),
            Self::Option(a) => matches!(other, Self::Option(b) if a.same(b)),
            Self::Result { ok: a, err: x } => {
                matches!(other, Self::Result { ok: b, err: y } if optional(a, b) && optional(x, y))
            }
            Self::Tuple(a) => {
                let alike = |b: &[Self]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b));
                matches!(other, Self::Tuple(b) if alike(b))
            }
            Self::Record(a) => matches!(other, Self::Record(b) if same_fields(&a.fields, &b.fields)),
            Self::Variant(a) => matches!(other, Self::Variant(b) if same_cases(&a.cases, &b.cases)),
            Self::Enum(a) => matches!(other, Self::Enum(b) if same_cases(&a.cases, &b.cases)),
            Self::Flags(a) => matches!(other, Self::Flags(b) if a.flags == b.flags),
            Self::Alias(a) => a.ty.same(other),
            Self::Stream(a) => matches!(other, Self::Stream(b) if optional(a, b)),
            Self::Future(a) => matches!(other, Self::Future(b) if optional(a, b)),
            Self::Resource(a) => matches!(other, Self::Resource(b) if a == b),
            // These have no parts: the same kind is the same type.
            a @ (Self::Bool
            | Self::S8
            | Self::U8
            | Self::S16
            | Self::U16
            | Self::S32
            | Self::U32
            | Self::S64
            | Self::U64
            | Self::F32
            | Self::F64
            | Self::Char
            | Self::String
            | Self::ErrorContext) => std::mem::discriminant(a) == std::mem::discriminant(other),
        }
    }

    /// Whether it is a `bool`, a number, a `char` or a `string`: one value without parts. Aliases are looked through.
    pub fn is_scalar(&self) -> bool {
        match self.resolved() {
            Self::Bool
            | Self::S8
            | Self::U8
            | Self::S16
            | Self::U16
            | Self::S32
            | Self::U32
            | Self::S64
            | Self::U64
            | Self::F32
            | Self::F64
            | Self::Char
            | Self::String => true,
            Self::List(_)
            | Self::FixedList(..)
            | Self::Map(..)
            | Self::Option(_)
            | Self::Result { .. }
            | Self::Tuple(_)
            | Self::Record(_)
            | Self::Variant(_)
            | Self::Enum(_)
            | Self::Flags(_)
            | Self::Alias(_)
            | Self::Stream(_)
            | Self::Future(_)
            | Self::Resource(_)
            | Self::ErrorContext => false,
        }
    }

    /// The definition of the type, if an interface defines it under a name. An alias is not looked through, and has
    /// none.
    pub fn definition(&self) -> Option<Definition<'_>> {
        let (keyword, name) = match self {
            Self::Record(record) => ("record", record.name.as_str()),
            Self::Variant(variant) => ("variant", variant.name.as_str()),
            Self::Enum(enumeration) => ("enum", enumeration.name.as_str()),
            Self::Flags(flags) => ("flags", flags.name.as_str()),
            Self::Resource(name) => ("resource", &**name),
            Self::Bool
            | Self::S8
            | Self::U8
            | Self::S16
            | Self::U16
            | Self::S32
            | Self::U32
            | Self::S64
            | Self::U64
            | Self::F32
            | Self::F64
            | Self::Char
            | Self::String
            | Self::List(_)
            | Self::FixedList(..)
            | Self::Map(..)
            | Self::Option(_)
            | Self::Result { .. }
            | Self::Tuple(_)
            | Self::Alias(_)
            | Self::Stream(_)
            | Self::Future(_)
            | Self::ErrorContext => return None,
        };
        Some(Definition { keyword, name })
    }

    /// Whether a value of the type may hold a stream or a future.
    pub fn has_streams(&self) -> bool {
        self.any(&|ty| matches!(ty, Self::Stream(_) | Self::Future(_)))
    }

    /// Whether `wanted` holds for this type or for a type that it is made of, at any depth. The type of a stream's
    /// items counts, too.
    pub fn any(&self, wanted: &dyn Fn(&Self) -> bool) -> bool {
        wanted(self) || self.any_part(&mut |part| part.any(wanted))
    }

    /// Calls `visit` with each type that this type is directly made of, in the order of the contract, until one call
    /// returns `true`; returns whether one did. The part of an alias is the type that it stands for.
    ///
    /// Every walk through types goes through here, so that a new type of WIT is a compile error at one place and not a
    /// gap in each walk.
    pub fn any_part<'a>(&'a self, visit: &mut dyn FnMut(&'a Self) -> bool) -> bool {
        match self {
            Self::List(ty) | Self::FixedList(ty, _) | Self::Option(ty) => visit(ty),
            Self::Map(key, value) => visit(key) || visit(value),
            Self::Result { ok, err } => [ok, err].into_iter().flatten().any(|ty| visit(ty)),
            Self::Tuple(types) => types.iter().any(visit),
            Self::Record(record) => record.fields.iter().any(|field| visit(&field.ty)),
            Self::Variant(variant) => variant.cases.iter().filter_map(|case| case.ty.as_ref()).any(visit),
            Self::Alias(alias) => visit(&alias.ty),
            Self::Stream(ty) | Self::Future(ty) => ty.as_ref().is_some_and(|ty| visit(ty)),
            Self::Bool
            | Self::S8
            | Self::U8
            | Self::S16
            | Self::U16
            | Self::S32
            | Self::U32
            | Self::S64
            | Self::U64
            | Self::F32
            | Self::F64
            | Self::Char
            | Self::String
            | Self::Enum(_)
            | Self::Flags(_)
            | Self::Resource(_)
            | Self::ErrorContext => false,
        }
    }
}

fn same_fields(a: &[Field], b: &[Field]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.name == b.name && a.ty.same(&b.ty))
}

fn same_cases(a: &[Case], b: &[Case]) -> bool {
    let same_payload = |a: &Case, b: &Case| match (&a.ty, &b.ty) {
        (Some(a), Some(b)) => a.same(b),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.name == b.name && same_payload(a, b))
}
