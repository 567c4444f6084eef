//! The form that a type has in JSON and in a query.

use super::integer::IntegerRange;
use crate::contract::wit::Type;

/// Whether `null` is the JSON of a value of the type. An option of such a type cannot use `null` for "nothing", so its
/// JSON is an array of at most one item.
pub fn is_nullable(ty: &Type) -> bool {
    matches!(ty.resolved(), Type::Option(inner) if !is_nullable(inner))
}

/// Whether a value of the type is one short text, so that it can stand in a path, a query or a header: `bool`, numbers,
/// `char`, `string`, enums, and options of these (an absent text is `none`).
pub fn is_textual(ty: &Type) -> bool {
    match ty.resolved() {
        Type::Option(inner) => is_plain_text(inner),
        other => is_plain_text(other),
    }
}

/// As [`is_textual`], but without options.
pub(super) fn is_plain_text(ty: &Type) -> bool {
    ty.is_scalar() || matches!(ty.resolved(), Type::Enum(_))
}

/// Whether a value of the type is a list of short texts, so that it can be a query parameter that is repeated. A list
/// of bytes is not: it is base64.
pub fn is_list_of_textual(ty: &Type) -> bool {
    matches!(ty.resolved(), Type::List(item) if !is_byte(item) && is_plain_text(item))
}

/// Whether a list of this type is a string in base64.
pub fn is_byte(ty: &Type) -> bool {
    matches!(ty.resolved(), Type::U8)
}

/// The first part of the type that has no JSON, in words: "a stream". `None` if the whole type has JSON.
pub fn unmappable(ty: &Type) -> Option<String> {
    let own = match ty {
        Type::Stream(_) => Some("a stream".to_owned()),
        Type::Future(_) => Some("a future".to_owned()),
        Type::Resource(name) => Some(format!("the resource `{name}`")),
        Type::ErrorContext => Some("an error-context".to_owned()),
        Type::Map(key, _) if !is_map_key(key) => Some("a map whose keys have no text form".to_owned()),
        Type::Bool
        | Type::S8
        | Type::U8
        | Type::S16
        | Type::U16
        | Type::S32
        | Type::U32
        | Type::S64
        | Type::U64
        | Type::F32
        | Type::F64
        | Type::Char
        | Type::String
        | Type::List(_)
        | Type::FixedList(..)
        | Type::Map(..)
        | Type::Option(_)
        | Type::Result { .. }
        | Type::Tuple(_)
        | Type::Record(_)
        | Type::Variant(_)
        | Type::Enum(_)
        | Type::Flags(_)
        | Type::Alias(_) => None,
    };
    own.or_else(|| {
        let mut found = None;
        ty.any_part(&mut |part| {
            found = unmappable(part);
            found.is_some()
        });
        found
    })
}

/// Whether the type may be the key of a map: the types that WIT allows, which are no floats.
fn is_map_key(ty: &Type) -> bool {
    let ty = ty.resolved();
    IntegerRange::of(ty).is_some() || matches!(ty, Type::Bool | Type::Char | Type::String)
}
