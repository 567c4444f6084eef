//! The types of WIT. There is no recursion among them, so a type is a tree that shares its branches.

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
    /// `type NAME = T`: a name, with docs perhaps, for another type.
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

/// A name for another type.
#[derive(Debug)]
pub struct Alias {
    /// In kebab-case, as all names here.
    pub name: String,
    /// What its author says of it.
    pub docs: Option<String>,
    /// What it stands for.
    pub ty: Type,
}

/// A record.
#[derive(Debug)]
pub struct Record {
    /// Its name in the interface.
    pub name: String,
    /// What its author says of it.
    pub docs: Option<String>,
    /// In the order of the contract.
    pub fields: Vec<Field>,
}

/// A field of a record.
#[derive(Debug)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What its author says of it.
    pub docs: Option<String>,
    /// Its type.
    pub ty: Type,
}

/// A variant.
#[derive(Debug)]
pub struct Variant {
    /// Its name in the interface.
    pub name: String,
    /// What its author says of it.
    pub docs: Option<String>,
    /// In the order of the contract.
    pub cases: Vec<Case>,
}

/// A case of a variant or of an enum.
#[derive(Debug)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// What its author says of it.
    pub docs: Option<String>,
    /// What it carries; nothing in an enum.
    pub ty: Option<Type>,
}

/// An enum.
#[derive(Debug)]
pub struct Enum {
    /// Its name in the interface.
    pub name: String,
    /// What its author says of it.
    pub docs: Option<String>,
    /// In the order of the contract; none carries anything.
    pub cases: Vec<Case>,
}

/// Flags.
#[derive(Debug)]
pub struct Flags {
    /// Their name in the interface.
    pub name: String,
    /// What their author says of them.
    pub docs: Option<String>,
    /// The names, in the order of the contract.
    pub flags: Vec<String>,
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

    /// Whether `other` is the same type by structure: names of fields, cases and flags count and so does their order; names of types,
    /// aliases and docs do not.
    pub fn same(&self, other: &Self) -> bool {
        let optional = |a: &Option<Arc<Self>>, b: &Option<Arc<Self>>| match (a, b) {
            (Some(a), Some(b)) => a.same(b),
            (None, None) => true,
            _ => false,
        };
        let cases = |a: &[Case], b: &[Case]| {
            a.len() == b.len()
                && a.iter().zip(b).all(|(a, b)| {
                    let carried = match (&a.ty, &b.ty) {
                        (Some(a), Some(b)) => a.same(b),
                        (None, None) => true,
                        _ => false,
                    };
                    a.name == b.name && carried
                })
        };
        match (self.resolved(), other.resolved()) {
            (Self::List(a), Self::List(b)) | (Self::Option(a), Self::Option(b)) => a.same(b),
            (Self::FixedList(a, n), Self::FixedList(b, m)) => n == m && a.same(b),
            (Self::Map(a, c), Self::Map(b, d)) => a.same(b) && c.same(d),
            (Self::Result { ok: a, err: c }, Self::Result { ok: b, err: d }) => optional(a, b) && optional(c, d),
            (Self::Tuple(a), Self::Tuple(b)) => a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.same(b)),
            (Self::Record(a), Self::Record(b)) => {
                let fields = || a.fields.iter().zip(&b.fields);
                a.fields.len() == b.fields.len() && fields().all(|(a, b)| a.name == b.name && a.ty.same(&b.ty))
            }
            (Self::Variant(a), Self::Variant(b)) => cases(&a.cases, &b.cases),
            (Self::Enum(a), Self::Enum(b)) => cases(&a.cases, &b.cases),
            (Self::Flags(a), Self::Flags(b)) => a.flags == b.flags,
            (Self::Stream(a), Self::Stream(b)) | (Self::Future(a), Self::Future(b)) => optional(a, b),
            (Self::Resource(a), Self::Resource(b)) => a == b,
            (Self::ErrorContext, Self::ErrorContext) => true,
            // What is left is made of nothing else: the same kind is the same type.
            (a, b) => a.is_scalar() && std::mem::discriminant(a) == std::mem::discriminant(b),
        }
    }

    /// Whether it is one value that is whole in itself: a truth value, a number, a character, a string.
    pub(super) fn is_scalar(&self) -> bool {
        use Type as T;
        matches!(
            self.resolved(),
            T::Bool
                | T::S8
                | T::U8
                | T::S16
                | T::U16
                | T::S32
                | T::U32
                | T::S64
                | T::U64
                | T::F32
                | T::F64
                | T::Char
                | T::String
        )
    }

    /// Whether a value of it may hold a stream or a future.
    pub fn has_streams(&self) -> bool {
        self.any(&|ty| matches!(ty, Self::Stream(_) | Self::Future(_)))
    }

    /// Whether `wanted` holds for this type or for one that it is made of. What a stream carries counts, too.
    pub fn any(&self, wanted: &dyn Fn(&Self) -> bool) -> bool {
        let inner = |ty: &Option<Arc<Self>>| ty.as_ref().is_some_and(|ty| ty.any(wanted));
        wanted(self)
            || match self {
                Self::List(ty) | Self::FixedList(ty, _) | Self::Option(ty) => ty.any(wanted),
                Self::Map(key, value) => key.any(wanted) || value.any(wanted),
                Self::Result { ok, err } => inner(ok) || inner(err),
                Self::Tuple(types) => types.iter().any(|ty| ty.any(wanted)),
                Self::Record(record) => record.fields.iter().any(|field| field.ty.any(wanted)),
                Self::Variant(variant) => {
                    variant.cases.iter().any(|case| case.ty.as_ref().is_some_and(|ty| ty.any(wanted)))
                }
                Self::Alias(alias) => alias.ty.any(wanted),
                Self::Stream(ty) | Self::Future(ty) => inner(ty),
                _ => false,
            }
    }
}
