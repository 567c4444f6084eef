//! What cannot be handed from one service to another: each lives in a store of its own.

use super::interface::Function;
use super::place::{TypePosition, described};
use super::types::Type;

/// Why a function cannot be called from another service, if it cannot: which of its types does not cross, and where it is.
///
/// Resources and error-contexts are handles into the store of the service that made them. Streams and futures are passed on item by
/// item, so they may stand anywhere, but carry only what is whole in itself: `bool`, numbers, `char`, `string`, or nothing.
pub fn uncallable(function: &Function) -> Option<String> {
    let params = function.params.iter().find_map(|param| obstacle(TypePosition::param(&param.name), &param.ty));
    params.or_else(|| obstacle(TypePosition::result(), function.result.as_ref()?))
}

/// What does not cross within the type of a place.
fn obstacle(place: TypePosition<'_>, ty: &Type) -> Option<String> {
    let (found, reason) = match within(place, ty)? {
        Obstacle::Here(found, reason) => (found, reason),
        Obstacle::Told(text) => return Some(text),
    };
    let verb = if std::ptr::eq(found, ty.resolved()) { place.verb() } else { "holds" };
    Some(format!("{place} {verb} {}: {reason}", described(Some(found))))
}

enum Obstacle<'a> {
    /// This type, for this reason; the place is that of the type looked at.
    Here(&'a Type, &'static str),
    /// Somewhere within a field or a case, which has told its place already.
    Told(String),
}

fn within<'a>(place: TypePosition<'_>, ty: &'a Type) -> Option<Obstacle<'a>> {
    let inner = |ty: &'a Type| within(place, ty);
    let ty = ty.resolved();
    match ty {
        Type::Resource(_) => Some(Obstacle::Here(ty, "a resource cannot leave its service")),
        Type::ErrorContext => Some(Obstacle::Here(ty, "an error-context cannot leave its service")),
        Type::Stream(Some(item)) | Type::Future(Some(item)) if !item.is_scalar() => Some(Obstacle::Here(
            ty,
            "between services a stream or future carries bool, numbers, char, string or nothing, and no other type",
        )),
        Type::Map(key, _) if key.has_streams() => Some(Obstacle::Here(ty, "a key cannot be a stream or future")),
        Type::Map(key, value) => inner(key).or_else(|| inner(value)),
        Type::List(ty) | Type::FixedList(ty, _) | Type::Option(ty) => inner(ty),
        Type::Result { ok, err } => [ok, err].into_iter().flatten().find_map(|ty| inner(ty)),
        Type::Tuple(types) => types.iter().find_map(inner),
        Type::Record(record) => {
            let mut fields = record.fields.iter();
            fields.find_map(|field| obstacle(place.field(field, &record.name), &field.ty)).map(Obstacle::Told)
        }
        Type::Variant(variant) => {
            let mut cases = variant.cases.iter();
            cases.find_map(|case| obstacle(place.case(case, &variant.name), case.ty.as_ref()?)).map(Obstacle::Told)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::specimen;
    use super::*;
    use std::sync::Arc;

    /// What is said of `f` in an interface with this body.
    fn said(body: &str) -> Option<String> {
        uncallable(&specimen::interface(body).functions["f"])
    }

    #[test]
    fn values_and_plain_streams_cross() {
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
            assert_eq!(said(&body), None, "{ty}");
        }
    }

    #[test]
    fn what_does_not_cross_is_told_with_its_place() {
        let carries =
            "between services a stream or future carries bool, numbers, char, string or nothing, and no other type";
        let cases = [
            ("f: func(a: u8, c: own<conn>);", "parameter `c` is resource `conn`: a resource cannot leave its service"),
            ("f: func(c: borrow<conn>);", "parameter `c` is resource `conn`: a resource cannot leave its service"),
            ("f: func() -> list<conn>;", "the result holds resource `conn`: a resource cannot leave its service"),
            (
                "record line { number: u8, by: option<conn> } f: func(order: list<line>);",
                "parameter `order`: field `by` of record `line` holds resource `conn`: a resource cannot leave its service",
            ),
            (
                "variant fault { no, yes(error-context) } f: func() -> result<_, fault>;",
                "the result: case `yes` of variant `fault` carries error-context: an error-context cannot leave its service",
            ),
            ("type b = stream<list<u8>>; f: func(b: b);", &format!("parameter `b` is stream<list<u8>>: {carries}")),
            ("f: func() -> future<stream<u8>>;", &format!("the result is future<stream<u8>>: {carries}")),
            ("f: func() -> option<future<result>>;", &format!("the result holds future<result>: {carries}")),
        ];
        for (body, text) in cases {
            assert_eq!(said(&format!("resource conn {{}} {body}")).as_deref(), Some(text), "{body}");
        }
    }

    #[test]
    fn a_stream_as_a_key_does_not_cross() {
        // WIT has no such maps today; the type of this room could hold one.
        let mut function = specimen::interface("f: func(a: u8);").functions.remove("f").unwrap();
        function.params[0].ty = Type::Map(Arc::new(Type::Stream(None)), Arc::new(Type::U8));
        let text = "parameter `a` is map<stream, u8>: a key cannot be a stream or future";
        assert_eq!(uncallable(&function).as_deref(), Some(text));
    }
}
