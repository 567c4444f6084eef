//! The table of changes of `docs/evolving-a-contract.md`, and the promise behind it for random types and changes.

use super::*;
use crate::contract::http_binding::HttpBindingSpec;
use crate::contract::json::{Names, read, write};
use crate::contract::openapi::{Info, Operation, document};
use crate::contract::testing::{self, SampleValue, enumeration, record, types, values, variant};
use crate::contract::wit::{Function, InterfaceName, Param};
use http::Method;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value as Json;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

const CONTRACT: &str = "
    record new-note { title: string, price: u32, tags: list<string>, mark: option<u8>, side: side }
    record note { id: u64, title: string, mark: option<u8>, weight: u32, side: side, place: place }
    enum side { front, back }
    variant place { shelf, box(u16) }
    variant error { not-found, taken(string), internal(u8) }
    put: func(id: u32, key: string, note: new-note, limit: u8) -> result<note, error>;
";

/// `put` of an interface, at `PUT /notes/{id}`.
fn put(wit: &str) -> Result<BoundFunction, Unmet> {
    let spec = HttpBindingSpec {
        methods: vec![Method::PUT],
        path_params: vec!["id".into()],
        from_header: BTreeMap::from([("key".into(), "Idempotency-Key".into())]),
        status: None,
        location: Some("/notes/{id}".into()),
        errors: BTreeMap::from([("taken".into(), 409)]),
        names: Names::Snake,
    };
    let name = FunctionName { interface: testing::name(), function: "put".into() };
    let old = &testing::interface(CONTRACT).functions["put"];
    let old = BoundFunction::bind("route PUT /notes/{id}".into(), name, old, spec).expect("it fits");
    let contract = testing::exporting(wit);
    rebound(&old, &contract).and_then(|new| noticed(&old, &new).map_or(Ok(new), Err))
}

/// What clients notice of a change of the contract: of the first place with `old`, which becomes `new`.
fn notice(old: &str, new: &str) -> Option<String> {
    assert!(CONTRACT.contains(old), "{old}");
    let noticed = put(&CONTRACT.replacen(old, new, 1)).err()?.to_string();
    let text = noticed.strip_prefix("function `put` of a:b/i@1.0.0 ").unwrap_or(&noticed);
    Some(text.strip_prefix("differs: ").unwrap_or(text).to_owned())
}

#[test]
fn changes_that_no_client_notices_fit() {
    for (old, new) in [
        ("put: func", "put: async func"),
        ("title: string, price: u32", "price: u32, title: string"),
        ("key: string, note: new-note", "note: new-note, key: string"),
        ("record new-note", "/// A note.\n record new-note"),
        // Parameters: options may be added, and the function may take more than before.
        ("price: u32", "price: u32, by: option<string>"),
        ("price: u32", "price: option<u32>"),
        ("price: u32", "price: u64"),
        ("price: u32", "price: s64"),
        ("id: u32", "id: u64"),
        ("limit: u8", "limit: u16"),
        ("limit: u8", "limit: option<u8>"),
        ("limit: u8", "limit: u8, cursor: option<string>"),
        ("note: new-note", "note: option<new-note>"),
        // Results: clients do not read what they do not know, and may get less than they can read.
        ("weight: u32", "weight: u32, colour: string"),
        ("weight: u32", "weight: u8"),
        ("mark: option<u8>, weight", "mark: u8, weight"),
        ("place { shelf, box(u16) }", "place { box(u8) }"),
        // Errors: a client treats a case that it does not know by its status.
        ("not-found, taken(string)", "taken(string)"),
        ("not-found,", "not-found, gone,"),
        ("not-found,", "not-found, forbidden(list<u8>),"),
        ("not-found,", "not-found, conflict(string),"),
        ("internal(u8)", "internal(string), other(u64)"),
        ("internal(u8)", "internal"),
    ] {
        assert_eq!(notice(old, new), None, "{old} becomes {new}");
    }
    let both = "enum side { front, back }";
    let only_sent = CONTRACT.replace(both, &format!("{both} enum sides {{ front, back, edge }}"));
    let only_sent = only_sent.replace("mark: option<u8>, side: side }", "mark: option<u8>, side: sides }");
    assert!(put(&only_sent).is_ok(), "a case that is only sent may be added");
}

#[test]
fn a_change_that_clients_notice_is_named_with_its_position() {
    for (old, new, difference) in [
        ("price: u32, ", "", "parameter `note`: record `new-note` has no field `price`, which clients send"),
        ("price: u32", "cost: u32", "parameter `note`: record `new-note` has no field `price`, which clients send"),
        (
            "price: u32",
            "price: u32, by: string",
            "parameter `note`: record `new-note` has a new field `by` that clients do not send: make it an option",
        ),
        ("price: u32", "price: u16", "parameter `note`: field `price` of record `new-note` is u16 and not u32"),
        ("price: u32", "price: f64", "parameter `note`: field `price` of record `new-note` is f64 and not u32"),
        (
            "mark: option<u8>",
            "mark: u8",
            "parameter `note`: field `mark` of record `new-note` is u8 and not option<u8>",
        ),
        (
            "mark: option<u8>",
            "mark: option<option<u8>>",
            "parameter `note`: field `mark` of record `new-note` is option<option<u8>> and not option<u8>",
        ),
        (
            "tags: list<string>",
            "tags: list<option<option<string>>>",
            "parameter `note`: field `tags` of record `new-note` holds option<option<string>> and not string",
        ),
        (
            "limit: u8)",
            "limit: u8, all: bool)",
            "it has a new parameter `all` that clients do not send: make it an option",
        ),
        (", limit: u8", "", "it has no parameter `limit`, which clients send"),
        (
            "limit: u8",
            "limit: list<u8>",
            "does not fit its route any more: `note` and `limit` would both be the body of the request",
        ),
        ("limit: u8", "limit: s8", "parameter `limit` is s8 and not u8"),
        ("weight: u32", "weight: u64", "the result: field `weight` of record `note` is u64 and not u32"),
        (
            "weight: u32",
            "weight: option<u32>",
            "the result: field `weight` of record `note` is option<u32> and not u32",
        ),
        (", weight: u32", "", "the result: record `note` has no field `weight`, which clients read"),
        ("mark: option<u8>, weight", "weight", "the result: record `note` has no field `mark`, which clients read"),
        ("back }", "back, edge }", "the result: `side` has a new case `edge`, which clients do not know"),
        ("front, back", "back", "parameter `note`: `side` has no case `front`, which clients send"),
        ("box(u16)", "box(u32)", "the result: case `box` of variant `place` carries u32 and not u16"),
        ("box(u16)", "box", "the result: case `box` of variant `place` carries nothing and not u16"),
        ("result<note, error>", "result<_, error>", "the status of a success is 204 and not 200"),
        ("result<note, error>", "result<list<note>, error>", "a name in the route's `location` means something else"),
        ("taken(string)", "taken(u8)", "the result: case `taken` of variant `error` carries u8 and not string"),
        ("taken(string)", "taken", "the result: case `taken` of variant `error` carries nothing and not string"),
        (
            "not-found,",
            "not-found, conflict(u8),",
            "the result: case `conflict` of variant `error` carries u8, and clients read other payloads under the \
             status 409: give it another status in `errors` of the route",
        ),
        ("taken(string), ", "", "does not fit its route any more: `taken` is not a case of the error of `put`"),
    ] {
        assert_eq!(notice(old, new).as_deref(), Some(difference), "{old} becomes {new}");
    }
    assert_eq!(
        put("get: func();").err().map(|unmet| unmet.to_string()).as_deref(),
        Some("a:b/i@1.0.0 has no function `put`")
    );
}

/// The type with changes at random places: most of what an author might do to it.
fn changed(ty: &Type, dice: &mut SmallRng) -> Type {
    let plain = [Type::U8, Type::S16, Type::U32, Type::S64, Type::U64, Type::F32, Type::F64, Type::String];
    let any = |dice: &mut SmallRng| plain[dice.random_range(0..plain.len())].clone();
    let ty = ty.resolved();
    let edit = dice.random_bool(0.25);
    match ty {
        _ if edit && dice.random_bool(0.2) => Type::Option(Arc::new(ty.clone())),
        Type::Option(inner) if edit => Type::clone(inner),
        Type::Option(inner) => Type::Option(Arc::new(changed(inner, dice))),
        Type::List(item) => Type::List(Arc::new(changed(item, dice))),
        Type::FixedList(item, length) => {
            Type::FixedList(Arc::new(changed(item, dice)), length + u32::from(edit && dice.random_bool(0.3)))
        }
        Type::Map(key, value) => {
            let key = if edit {
                [Type::U32, Type::S64, Type::U64, Type::String][dice.random_range(0..4)].clone()
            } else {
                Type::clone(key)
            };
            Type::Map(Arc::new(key), Arc::new(changed(value, dice)))
        }
        Type::Result { ok, err } => {
            let mut side = |ty: &Option<Arc<Type>>| ty.as_ref().map(|ty| Arc::new(changed(ty, dice)));
            Type::Result { ok: side(ok), err: side(err) }
        }
        Type::Tuple(types) => Type::Tuple(types.iter().map(|ty| changed(ty, dice)).collect()),
        Type::Record(old) => {
            let mut fields: Vec<_> =
                old.fields.iter().map(|field| (field.name.clone(), changed(&field.ty, dice))).collect();
            if edit && dice.random_bool(0.2) && fields.len() > 1 {
                fields.remove(0);
            }
            if edit {
                let added = any(dice);
                let added = if dice.random_bool(0.6) { Type::Option(Arc::new(added)) } else { added };
                fields.insert(dice.random_range(0..=fields.len()), ("added".into(), added));
            }
            let fields: Vec<_> = fields.iter().map(|(name, ty)| (name.as_str(), ty.clone())).collect();
            record(&old.name, &fields)
        }
        Type::Variant(_) | Type::Enum(_) => {
            let (name, old) = cases(ty).expect("it has cases");
            let mut cases: Vec<_> = old.iter().map(|case| (case.name.clone(), case.ty.clone())).collect();
            if edit && dice.random_bool(0.3) && cases.len() > 1 {
                cases.remove(0);
            }
            if edit && dice.random_bool(0.5) {
                cases.push(("added".into(), dice.random_bool(0.5).then(|| any(dice))));
            }
            let cases: Vec<_> =
                cases.iter().map(|(name, ty)| (name.as_str(), ty.as_ref().map(|ty| changed(ty, dice)))).collect();
            let names: Vec<_> = cases.iter().map(|(name, _)| *name).collect();
            let is_enum = cases.iter().all(|(_, ty)| ty.is_none()) && dice.random_bool(0.5);
            if is_enum { enumeration(name, &names) } else { variant(name, &cases) }
        }
        Type::Flags(old) if edit => {
            let mut names: Vec<_> = old.flags.iter().map(String::as_str).collect();
            if dice.random_bool(0.5) || names.len() == 1 {
                names.push("added")
            } else {
                names.truncate(names.len() - 1)
            }
            testing::flags(&old.name, &names)
        }
        _ if edit => any(dice),
        other => other.clone(),
    }
}

fn text(ty: &Type, value: &SampleValue) -> Vec<u8> {
    let mut text = Vec::new();
    write(ty, Names::Snake, value, &mut text).expect("it is of its type");
    text
}

fn parsed(text: &[u8]) -> Json {
    serde_json::from_slice(text).expect("JSON")
}

/// The value without the members that are `null`.
fn without_nulls(value: Json) -> Json {
    match value {
        Json::Object(members) => {
            let members = members.into_iter().filter(|(_, member)| !member.is_null());
            members.map(|(name, member)| (name, without_nulls(member))).collect()
        }
        Json::Array(items) => items.into_iter().map(without_nulls).collect(),
        // Numbers are compared by value: 2.0 may be written as 2e0.
        Json::Number(number) if number.is_f64() => format!("{:?}", number.as_f64()).into(),
        other => other,
    }
}

/// Whether `value`, which the old type takes, is taken by the new one as the same value.
fn check_sent(old: &Type, new: &Type, value: &SampleValue) {
    let full = text(old, value);
    let bare = serde_json::to_vec(&without_absent(parsed(&full))).expect("JSON");
    for sent in [full, bare] {
        let Ok(_) = read::<SampleValue>(old, Names::Snake, &sent) else { continue };
        let taken: SampleValue = read(new, Names::Snake, &sent)
            .unwrap_or_else(|error| panic!("{old:?}\n{new:?}\n{}: {error}", String::from_utf8_lossy(&sent)));
        let again = text(new, &taken);
        assert_eq!(without_nulls(parsed(&again)), without_nulls(parsed(&sent)), "{old:?}\n{new:?}");
    }
}

/// The value without the members that are `null`; its numbers stay as they are.
fn without_absent(value: Json) -> Json {
    match value {
        Json::Object(members) => {
            let members = members.into_iter().filter(|(_, member)| !member.is_null());
            members.map(|(name, member)| (name, without_absent(member))).collect()
        }
        Json::Array(items) => items.into_iter().map(without_absent).collect(),
        other => other,
    }
}

/// Whether the description of the old type admits `value`, which is of the new one.
fn check_answered(old: &Type, new: &Type, value: &SampleValue) {
    let result = Type::Tuple([old.clone()].into());
    let function = Function {
        name: "f".into(),
        docs: None,
        asynchronous: false,
        params: Vec::<Param>::new(),
        result: Some(result),
    };
    let spec = HttpBindingSpec {
        methods: vec![Method::GET],
        path_params: Vec::new(),
        from_header: BTreeMap::new(),
        status: None,
        location: None,
        errors: BTreeMap::new(),
        names: Names::Snake,
    };
    let binding = HttpBinding::bind(&function, &spec).expect("it fits");
    let interface = InterfaceName::new("a:b/i@1.0.0");
    let operation = Operation {
        method: Method::GET,
        path: "/f".into(),
        host: None,
        service: "s",
        interface: &interface,
        docs: None,
        binding: &binding,
    };
    let info = Info { title: "t".into(), version: "1".into(), description: None };
    let document = document(&info, &[operation], &[]);
    let schema = &document["paths"]["/f"]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
    let answer = Json::Array(vec![parsed(&text(new, value))]);
    if let Some(misfit) = testing::misfit(&document, schema, &answer) {
        panic!("{old:?}\n{new:?}\n{misfit}");
    }
}

/// Draws types, changes and values; checks those changes that are accepted. Both outcomes must be frequent.
fn hold(direction: Direction, check: impl Fn(&Type, &Type, &SampleValue)) {
    let (accepted, refused) = (Cell::new(0), Cell::new(0));
    let mut runner = TestRunner::new(Config { cases: 3_000, failure_persistence: None, ..Config::default() });
    let drawn = (types(), any::<u64>()).prop_map(|(ty, seed)| {
        let new = changed(&ty, &mut SmallRng::seed_from_u64(seed));
        (ty, new)
    });
    let outcome = runner.run(&drawn, |(old, new)| {
        let position = TypePosition::result();
        if Comparison::new(position, direction).difference(&old, &new).is_some() {
            refused.set(refused.get() + 1);
            prop_assert!(!old.same(&new), "{old:?}");
            return Ok(());
        }
        accepted.set(accepted.get() + 1);
        let of = if direction == Direction::Sent { &old } else { &new };
        let mut values_runner = TestRunner::deterministic();
        for _ in 0..4 {
            let value = values(of).new_tree(&mut values_runner).expect("a value").current();
            check(&old, &new, &value);
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    assert!(accepted.get() > 300 && refused.get() > 300, "{} accepted, {} refused", accepted.get(), refused.get());
}

#[test]
fn a_parameter_takes_what_it_took_before_an_accepted_change() {
    hold(Direction::Sent, check_sent);
}

#[test]
fn an_answer_after_an_accepted_change_fits_the_description_of_before() {
    hold(Direction::Answered, check_answered);
}
