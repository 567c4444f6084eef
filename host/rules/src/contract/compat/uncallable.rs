//! Which functions cannot be called from another service: services live in stores of their own, and some values cannot
//! leave a store.

use super::type_position::TypePosition;
use crate::contract::wit::{Function, Type, described};

/// Why a function cannot be called from another service: the first of its types that cannot be passed, with its
/// position and the reason. `None` for a function that can be called.
///
/// A resource or an error-context is a handle into the store of the service that made it. A stream or a future is
/// passed on item by item, so it may be anywhere in the signature, but its items must be scalars (`bool`, numbers,
/// `char`, `string`) or nothing.
pub fn uncallable(function: &Function) -> Option<String> {
    let params = function.params.iter().find_map(|param| obstacle(TypePosition::param(&param.name), &param.ty));
    params.or_else(|| obstacle(TypePosition::result(), function.result.as_ref()?))
}

/// The first obstacle within `ty`, which is the type of `position`, as a sentence.
fn obstacle(position: TypePosition<'_>, ty: &Type) -> Option<String> {
    let (found, reason) = match find(position, ty)? {
        Obstacle::Here(found, reason) => (found, reason),
        Obstacle::Described(text) => return Some(text),
    };
    let verb = if std::ptr::eq(found, ty.resolved()) { position.verb() } else { "holds" };
    Some(format!("{position} {verb} {}: {reason}", described(Some(found))))
}

enum Obstacle<'a> {
    /// This type cannot be passed, for this reason. It is within the position that is being searched.
    Here(&'a Type, &'static str),
    /// An obstacle within a field or a case; the text names that position already.
    Described(String),
}

fn find<'a>(position: TypePosition<'_>, ty: &'a Type) -> Option<Obstacle<'a>> {
    let ty = ty.resolved();
    match ty {
        Type::Resource(_) => Some(Obstacle::Here(ty, "a resource cannot leave its service")),
        Type::ErrorContext => Some(Obstacle::Here(ty, "an error-context cannot leave its service")),
        Type::Stream(Some(item)) | Type::Future(Some(item)) => (!item.is_scalar()).then_some(Obstacle::Here(
            ty,
            "between services a stream or future carries bool, numbers, char, string or nothing, and no other type",
        )),
        Type::Map(key, _) if key.has_streams() => Some(Obstacle::Here(ty, "a key cannot be a stream or future")),
        Type::Record(record) => {
            let mut fields = record.fields.iter();
            fields.find_map(|field| obstacle(position.field(field, &record.name), &field.ty)).map(Obstacle::Described)
        }
        Type::Variant(variant) => {
            let mut cases = variant.cases.iter();
            let found = cases.find_map(|case| obstacle(position.case(case, &variant.name), case.ty.as_ref()?));
            found.map(Obstacle::Described)
        }
        // What has parts without positions of their own is searched part by part; what has no parts can be passed.
        other => {
            let mut found = None;
            other.any_part(&mut |part| {
                found = find(position, part);
                found.is_some()
            });
            found
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::testing;
    use std::sync::Arc;

    /// Why `f` of an interface with this body cannot be called.
    fn reason(body: &str) -> Option<String> {
        uncallable(&testing::interface(body).functions["f"])
    }

    #[test]
    fn values_and_streams_of_scalars_can_be_passed() {
        let types = [
            "list<map<string, tuple<u8, option<char>>>>",
            "result<list<u8, 4>, string>",
            "stream<u8>",
            "stream",
            "future",
            "future<string>",
            "list<tuple<stream<id>, future<bool>>>",
            "result<stream<f64>, future<s16>>",
            "r",
        ];
        for ty in types {
            let body = format!("type id = u64; record r {{ s: stream<u8>, t: u8 }} f: async func(a: {ty}) -> {ty};");
            assert_eq!(reason(&body), None, "{ty}");
        }
    }

    #[test]
    fn the_first_type_that_cannot_be_passed_is_named_with_its_position() {
        let carries =
            "between services a stream or future carries bool, numbers, char, string or nothing, and no other type";
        let cases = [
            ("f: func(a: u8, c: own<conn>);", "parameter `c` is resource `conn`: a resource cannot leave its service"),
            ("f: func(c: borrow<conn>);", "parameter `c` is resource `conn`: a resource cannot leave its service"),
            ("f: func() -> list<conn>;", "the result holds resource `conn`: a resource cannot leave its service"),
            (
                "record line { number: u8, by: option<conn> } f: func(order: list<line>);",
                "parameter `order`: field `by` of record `line` holds resource `conn`: \
                 a resource cannot leave its service",
            ),
            (
                "variant fault { no, yes(error-context) } f: func() -> result<_, fault>;",
                "the result: case `yes` of variant `fault` carries error-context: \
                 an error-context cannot leave its service",
            ),
            ("type b = stream<list<u8>>; f: func(b: b);", &format!("parameter `b` is stream<list<u8>>: {carries}")),
            ("f: func() -> future<stream<u8>>;", &format!("the result is future<stream<u8>>: {carries}")),
            ("f: func() -> option<future<result>>;", &format!("the result holds future<result>: {carries}")),
        ];
        for (body, text) in cases {
            assert_eq!(reason(&format!("resource conn {{}} {body}")).as_deref(), Some(text), "{body}");
        }
    }

    #[test]
    fn a_stream_cannot_be_passed_as_the_key_of_a_map() {
        // WIT has no such maps today, but `Type` can hold one.
        let mut function = testing::interface("f: func(a: u8);").functions.remove("f").unwrap();
        function.params[0].ty = Type::Map(Arc::new(Type::Stream(None)), Arc::new(Type::U8));
        let text = "parameter `a` is map<stream, u8>: a key cannot be a stream or future";
        assert_eq!(uncallable(&function).as_deref(), Some(text));
    }
}
