//! The compact form: round trips of random values, and random bytes.

use super::*;
use crate::contract::json::{Integer, Value};
use crate::contract::testing::{SampleValue, enumeration, flags, record, typed, types, variant};
use crate::contract::wit::Type;
use proptest::prelude::*;
use std::sync::Arc;

fn form(ty: &Type, value: &SampleValue) -> Vec<u8> {
    let mut out = Vec::new();
    write_compact(ty, value, &mut out).expect("a value of its type");
    out
}

fn read(ty: &Type, bytes: &[u8]) -> Result<SampleValue, CompactError> {
    read_compact(std::iter::once(ty), bytes).map(|mut values| values.remove(0))
}

/// The form is what other nodes read, of another version perhaps: it never changes.
#[test]
fn the_form_of_each_type_is_as_it_is_described() {
    use SampleValue as V;
    let s = |text: &str| V::String(text.into());
    let user = record("user", &[("id", Type::U32), ("name", Type::String), ("old", Type::Option(Arc::new(Type::U8)))]);
    let fields = vec![("id".into(), V::Integer(300)), ("name".into(), s("Ann")), ("old".into(), V::Option(None))];
    let kinds: Vec<String> = (0..9).map(|at| format!("f{at}")).collect();
    let nine = flags("nine", &kinds.iter().map(String::as_str).collect::<Vec<_>>());
    let table: Vec<(Type, SampleValue, &[u8])> = vec![
        (Type::Bool, V::Bool(true), &[1]),
        (Type::U8, V::Integer(200), &[200]),
        (Type::S8, V::Integer(-1), &[0xff]),
        (Type::U16, V::Integer(300), &[0xac, 2]),
        (Type::S32, V::Integer(-2), &[3]),
        (Type::F32, V::F32(0x3fc0_0001), &[1, 0, 0xc0, 0x3f]),
        (Type::F64, V::F64(1), &[1, 0, 0, 0, 0, 0, 0, 0]),
        (Type::Char, V::Char('ä'), &[0xe4, 1]),
        (Type::String, s("hé"), &[3, b'h', 0xc3, 0xa9]),
        (Type::List(Arc::new(Type::U8)), V::List(vec![V::Integer(7), V::Integer(8)]), &[2, 7, 8]),
        (Type::FixedList(Arc::new(Type::U8), 2), V::FixedList(vec![V::Integer(7), V::Integer(8)]), &[7, 8]),
        (
            Type::Map(Arc::new(Type::String), Arc::new(Type::Bool)),
            V::Map(vec![(s("a"), V::Bool(false))]),
            &[1, 1, b'a', 0],
        ),
        (Type::Option(Arc::new(Type::U8)), V::Option(Some(Box::new(V::Integer(5)))), &[1, 5]),
        (Type::Result { ok: None, err: Some(Arc::new(Type::Char)) }, V::Result(Ok(None)), &[0]),
        (
            Type::Result { ok: None, err: Some(Arc::new(Type::Char)) },
            V::Result(Err(Some(Box::new(V::Char('x'))))),
            &[1, b'x'],
        ),
        (Type::Tuple(vec![Type::U8, Type::Bool].into()), V::Tuple(vec![V::Integer(1), V::Bool(true)]), &[1, 1]),
        (user, V::Record(fields), &[0xac, 2, 3, b'A', b'n', b'n', 0]),
        (
            variant("v", &[("none", None), ("some", Some(Type::U8))]),
            V::Variant("some".into(), Some(Box::new(V::Integer(9)))),
            &[1, 9],
        ),
        (enumeration("e", &["a", "b", "c"]), V::Enum("c".into()), &[2]),
        (nine, V::Flags(vec!["f0".into(), "f7".into(), "f8".into()]), &[0x81, 1]),
    ];
    for (ty, value, bytes) in table {
        assert_eq!(form(&ty, &value), bytes, "{ty:?}");
        assert_eq!(read(&ty, bytes), Ok(value), "{ty:?}");
    }
}

#[test]
fn bytes_that_are_no_value_are_refused() {
    let list = |ty: Type| Type::List(Arc::new(ty));
    let nothing = || Type::Tuple(Vec::new().into());
    let table: Vec<(Type, &[u8], CompactError)> = vec![
        (Type::Bool, &[], CompactError::Short),
        (Type::Bool, &[2], CompactError::Form("a bool")),
        (Type::Bool, &[1, 1], CompactError::Long),
        (Type::U16, &[0x80, 0x80, 4], CompactError::Form("a whole number")),
        (Type::U16, &[0x80, 0], CompactError::Form("a whole number")),
        (Type::S16, &[0x80, 0x80, 4], CompactError::Form("a whole number")),
        (Type::Char, &[0x80, 0xb0, 3], CompactError::Form("a char")),
        (Type::String, &[2, b'a'], CompactError::Short),
        (Type::String, &[1, 0xff], CompactError::Form("a string")),
        (Type::String, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], CompactError::Short),
        (list(Type::U8), &[4, 1, 2, 3], CompactError::Short),
        (list(list(Type::U8)), &[0xff, 0xff, 0xff, 0x7f], CompactError::Short),
        // Items without a byte: as many as there may be parts, and no more.
        (list(nothing()), &[0xff, 0xff, 0xff, 0x7f], CompactError::Short),
        (enumeration("e", &["a"]), &[1], CompactError::Form("an enum")),
        (variant("v", &[("a", None)]), &[1], CompactError::Form("a variant")),
        (flags("f", &["a", "b"]), &[4], CompactError::Form("flags")),
        (Type::Stream(None), &[], CompactError::Form("a type that crosses")),
    ];
    for (ty, bytes, error) in table {
        assert_eq!(read(&ty, bytes), Err(error), "{ty:?} {bytes:?}");
    }
}

#[test]
fn the_parts_of_all_values_together_have_a_bound() {
    let nothing = Type::List(Arc::new(Type::Tuple(Vec::new().into())));
    let bytes = Type::List(Arc::new(Type::U8));
    let read = |parts, bytes_of: &[u8]| {
        compact_reader::read_within::<SampleValue>([&nothing, &bytes].into_iter(), bytes_of, parts).map(|_| ())
    };
    // A list of three items without a byte, and one of two bytes: seven parts.
    let both = [3, 2, 7, 8];
    assert_eq!(read(7, &both), Ok(()));
    assert_eq!(read(6, &both), Err(CompactError::Parts));
    assert_eq!(read(4, &both), Err(CompactError::Parts));
    assert_eq!(read(3, &both), Err(CompactError::Short), "it announces more items than there may be parts");
}

#[test]
fn a_nan_is_written_bit_by_bit() {
    assert_eq!(form(&Type::F32, &SampleValue::F32(0x7fa0_0001)), [1, 0, 0xa0, 0x7f]);
}

#[test]
fn a_value_of_another_type_is_not_written() {
    let user = record("user", &[("id", Type::U32)]);
    let wrong = [
        (Type::Bool, SampleValue::Integer(1)),
        (Type::U8, SampleValue::Integer(256)),
        (Type::U32, SampleValue::Integer(-1)),
        (user.clone(), SampleValue::Record(vec![("name".into(), SampleValue::Integer(1))])),
        (user, SampleValue::Record(Vec::new())),
        (enumeration("e", &["a"]), SampleValue::Enum("b".into())),
        (variant("v", &[("a", None)]), SampleValue::variant("a".into(), Some(SampleValue::Bool(true)))),
        (flags("f", &["a"]), SampleValue::Flags(vec!["b".into()])),
        (Type::FixedList(Arc::new(Type::U8), 2), SampleValue::FixedList(Vec::new())),
        (Type::Stream(None), SampleValue::integer(Integer::U8, 1)),
    ];
    for (ty, value) in wrong {
        assert!(write_compact(&ty, &value, &mut Vec::new()).is_err(), "{ty:?} {value:?}");
    }
}

proptest! {
    #[test]
    fn a_value_is_read_as_it_was_written(several in proptest::collection::vec(typed(), 0..4)) {
        let mut out = Vec::new();
        for (ty, value) in &several {
            write_compact(ty, value, &mut out).expect("a value of its type");
        }
        let read: Vec<SampleValue> = read_compact(several.iter().map(|(ty, _)| ty), &out).unwrap();
        prop_assert!(read.iter().eq(several.iter().map(|(_, value)| value)));
        // One form for each value: what is cut off, or longer, is another one or none.
        if !out.is_empty() {
            let cut: Result<Vec<SampleValue>, _> =
                read_compact(several.iter().map(|(ty, _)| ty), &out[..out.len() - 1]);
            prop_assert!(cut.is_err());
        }
    }

    /// And what is read from them, if they are a value, has these very bytes.
    #[test]
    fn random_bytes_are_a_value_or_an_error(ty in types(), bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(value) = read(&ty, &bytes) {
            let nan = format!("{value:?}").contains("F32") || format!("{value:?}").contains("F64");
            prop_assert!(nan || form(&ty, &value) == bytes);
        }
    }
}
