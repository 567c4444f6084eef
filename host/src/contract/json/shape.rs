//! Which form a type takes in JSON and in a query.

use crate::contract::{Integer, Type};

/// Beyond these a number may change on its way through a reader that keeps doubles, so it has to be a string (RFC 7493 §2.2).
pub(in crate::contract) const MAX_SAFE: i128 = (1 << 53) - 1;

/// Whether a double stands for this number and for no other.
pub(super) fn is_safe(value: i128) -> bool {
    (-MAX_SAFE..=MAX_SAFE).contains(&value)
}

/// A kind of whole numbers with its bounds.
#[derive(Debug, Clone, Copy)]
pub(in crate::contract) struct Whole {
    pub(in crate::contract) kind: Integer,
    pub(in crate::contract) min: i128,
    pub(in crate::contract) max: i128,
}

impl Whole {
    /// The kind that a type is, behind aliases.
    pub(in crate::contract) fn of(ty: &Type) -> Option<Self> {
        let (kind, min, max) = match ty.resolved() {
            Type::S8 => (Integer::S8, i128::from(i8::MIN), i128::from(i8::MAX)),
            Type::U8 => (Integer::U8, 0, i128::from(u8::MAX)),
            Type::S16 => (Integer::S16, i128::from(i16::MIN), i128::from(i16::MAX)),
            Type::U16 => (Integer::U16, 0, i128::from(u16::MAX)),
            Type::S32 => (Integer::S32, i128::from(i32::MIN), i128::from(i32::MAX)),
            Type::U32 => (Integer::U32, 0, i128::from(u32::MAX)),
            Type::S64 => (Integer::S64, i128::from(i64::MIN), i128::from(i64::MAX)),
            Type::U64 => (Integer::U64, 0, i128::from(u64::MAX)),
            _ => return None,
        };
        Some(Self { kind, min, max })
    }

    /// Whether a string of digits is read as one.
    pub(in crate::contract) fn may_be_text(self) -> bool {
        matches!(self.kind, Integer::S64 | Integer::U64)
    }

    /// Whether the number is one of this kind.
    pub(super) fn holds(self, value: i128) -> bool {
        (self.min..=self.max).contains(&value)
    }

    /// Reads digits as they are written here: no plus, no leading zeros, no minus before a zero.
    pub(super) fn parse(self, text: &str) -> Option<i128> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let canonical = match digits.as_bytes() {
            [b'0'] => digits.len() == text.len(),
            [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
            _ => false,
        };
        // More digits than an i128 has are an error of `parse`, too.
        canonical.then(|| text.parse().ok()).flatten().filter(|&value| self.holds(value))
    }
}

/// Whether `null` may be a JSON of the type. An option of such a type cannot say `null` for "nothing", so it is an array of at most
/// one item.
pub fn is_nullable(ty: &Type) -> bool {
    matches!(ty.resolved(), Type::Option(inner) if !is_nullable(inner))
}

/// Whether a value of the type is one short text, so that it can stand in a path, a query or a header: `bool`, numbers, `char`, `string`,
/// enums, and options of these (nothing is told by absence).
pub fn is_textual(ty: &Type) -> bool {
    match ty.resolved() {
        Type::Option(inner) => is_plain_text(inner),
        other => is_plain_text(other),
    }
}

/// The same without options.
pub(super) fn is_plain_text(ty: &Type) -> bool {
    use Type as T;
    let ty = ty.resolved();
    Whole::of(ty).is_some() || matches!(ty, T::Bool | T::F32 | T::F64 | T::Char | T::String | T::Enum(_))
}

/// Whether a value of the type is a list of textual ones, so that it can be a query parameter that is repeated. Bytes are no such list.
pub fn is_list_of_textual(ty: &Type) -> bool {
    matches!(ty.resolved(), Type::List(item) if !is_byte(item) && is_plain_text(item))
}

/// Whether a list of these is a string in base64.
pub(in crate::contract) fn is_byte(ty: &Type) -> bool {
    matches!(ty.resolved(), Type::U8)
}

/// The first part of the type that has no JSON, in words: "a stream".
pub fn unmappable(ty: &Type) -> Option<String> {
    let of = |inner: Option<&Type>| inner.and_then(unmappable);
    match ty {
        Type::List(item) | Type::FixedList(item, _) | Type::Option(item) => unmappable(item),
        Type::Map(key, value) => {
            let key = (!is_map_key(key)).then(|| "a map whose keys are no text".to_owned());
            key.or_else(|| unmappable(value))
        }
        Type::Result { ok, err } => of(ok.as_deref()).or_else(|| of(err.as_deref())),
        Type::Tuple(types) => types.iter().find_map(unmappable),
        Type::Record(record) => record.fields.iter().find_map(|field| unmappable(&field.ty)),
        Type::Variant(variant) => variant.cases.iter().find_map(|case| of(case.ty.as_ref())),
        Type::Alias(alias) => unmappable(&alias.ty),
        Type::Stream(_) => Some("a stream".into()),
        Type::Future(_) => Some("a future".into()),
        Type::Resource(name) => Some(format!("the resource `{name}`")),
        Type::ErrorContext => Some("an error-context".into()),
        _ => None,
    }
}

/// Whether the type may be the key of a map: what WIT allows, and no floats.
fn is_map_key(ty: &Type) -> bool {
    let ty = ty.resolved();
    Whole::of(ty).is_some() || matches!(ty, Type::Bool | Type::Char | Type::String)
}
