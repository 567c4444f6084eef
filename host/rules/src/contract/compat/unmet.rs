//! Whether a component offers all that its callers use.

use super::type_position::TypePosition;
use crate::contract::wit::{Case, Contract, Function, Interface, InterfaceName, Record, Type, described};
use std::sync::Arc;

/// Something that a caller uses and that the component does not offer in the form that the caller was built against.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unmet {
    /// No export answers the import.
    #[error("exports no interface {wanted}{}", others(.exported))]
    Interface {
        /// The interface that the caller imports.
        wanted: InterfaceName,
        /// The other versions of it that are exported.
        exported: Vec<InterfaceName>,
    },
    /// The interface is exported, but has no such function.
    #[error("{interface} has no function `{function}`")]
    Function {
        /// The interface, by the name that the component exports it under.
        interface: InterfaceName,
        /// The function that the caller uses.
        function: String,
    },
    /// The function is exported with another signature.
    #[error("function `{function}` of {interface} differs: {difference}")]
    Signature {
        /// The interface, by the name that the component exports it under.
        interface: InterfaceName,
        /// The function that the caller uses.
        function: String,
        /// The position of the difference, what is offered there, and what the caller expects.
        difference: String,
    },
    /// The function cannot be bound to the route that calls it.
    #[error("function `{function}` of {interface} does not fit its route any more: {why}")]
    Binding {
        /// The interface, by the name that the component exports it under.
        interface: InterfaceName,
        /// The function that the route calls.
        function: String,
        /// All that does not fit.
        why: String,
    },
}

fn others(exported: &[InterfaceName]) -> String {
    let names: Vec<String> = exported.iter().map(ToString::to_string).collect();
    if names.is_empty() { String::new() } else { format!(" (it exports {})", names.join(", ")) }
}

/// Compares `needs`, the interface that a caller imports as `name`, with what `offered` exports: one entry for each
/// function that is missing or differs, with its first difference. It is empty if the caller can go on calling.
///
/// Types are compared by structure: the names of types, aliases and docs do not count, and a function that the caller
/// does not use may change freely. Whether a function is `async` does not count either: the binary format lets an
/// `async func` be lifted and lowered synchronously, and the host calls both alike. Everything else counts. An added
/// case of an error counts as well, because the caller could not read it.
pub fn unmet(needs: &Interface, name: &InterfaceName, offered: &Contract) -> Vec<Unmet> {
    let Some((interface, offers)) = offered.export(name) else {
        return vec![Unmet::Interface { wanted: name.clone(), exported: others_of(name, offered) }];
    };
    let unmet = needs.functions.values().filter_map(|needed| {
        let (interface, function) = (interface.clone(), needed.name.clone());
        match offers.functions.get(&needed.name) {
            None => Some(Unmet::Function { interface, function }),
            Some(offered) => {
                difference(offered, needed).map(|difference| Unmet::Signature { interface, function, difference })
            }
        }
    });
    unmet.collect()
}

/// The other versions of an interface that a contract exports.
pub(super) fn others_of(name: &InterfaceName, offered: &Contract) -> Vec<InterfaceName> {
    offered.exports.keys().filter(|other| other.path == name.path).cloned().collect()
}

/// The first difference between two signatures.
fn difference(offered: &Function, needed: &Function) -> Option<String> {
    let names = |function: &Function| function.params.iter().map(|param| param.name.clone()).collect::<Vec<_>>();
    let mut params = offered.params.iter().zip(&needed.params);
    members("it", "parameter", &names(offered), &names(needed))
        .or_else(|| params.find_map(|(a, b)| difference_at(TypePosition::param(&b.name), Some(&a.ty), Some(&b.ty))))
        .or_else(|| difference_at(TypePosition::result(), offered.result.as_ref(), needed.result.as_ref()))
}

/// The difference between the types at a position, as a sentence. `None` is the type of a missing result or payload.
fn difference_at(position: TypePosition<'_>, offered: Option<&Type>, needed: Option<&Type>) -> Option<String> {
    let sentence = |verb: &str, is: Option<&Type>, known: Option<&Type>| {
        Some(format!("{position} {verb} {} and not {}", described(is), described(known)))
    };
    let (whole, known) = match (offered, needed) {
        (Some(whole), Some(known)) => (whole, known),
        (None, None) => return None,
        (Some(_), None) | (None, Some(_)) => return sentence(position.verb(), offered, needed),
    };
    match mismatch(position, whole, known)? {
        Mismatch::Described(text) => Some(text),
        // A defined type within another type, such as a list, is named alone: `list<line>` would not show what a `line`
        // is.
        Mismatch::Here(a, b)
            if (a.definition().is_some() || b.definition().is_some()) && !std::ptr::eq(a, whole.resolved()) =>
        {
            sentence("holds", Some(a), Some(b))
        }
        Mismatch::Here(..) => sentence(position.verb(), offered, needed),
    }
}

enum Mismatch<'a> {
    /// These two types differ. They are within the position that is being compared.
    Here(&'a Type, &'a Type),
    /// Something within a definition differs; the text names that position already.
    Described(String),
}

/// Agrees with [`Type::same`]: there is a mismatch if and only if the types are not the same.
fn mismatch<'a>(position: TypePosition<'_>, offered: &'a Type, needed: &'a Type) -> Option<Mismatch<'a>> {
    let (offered, needed) = (offered.resolved(), needed.resolved());
    let inner = |a: &'a Type, b: &'a Type| mismatch(position, a, b);
    let here = || Some(Mismatch::Here(offered, needed));
    let text = |text: Option<String>| text.map(Mismatch::Described);
    let optional = |a: &'a Option<Arc<Type>>, b: &'a Option<Arc<Type>>| match (a, b) {
        (Some(a), Some(b)) => inner(a, b),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => here(),
    };
    match (offered, needed) {
        (Type::List(a), Type::List(b)) | (Type::Option(a), Type::Option(b)) => inner(a, b),
        (Type::FixedList(a, n), Type::FixedList(b, m)) if n == m => inner(a, b),
        (Type::Map(a, x), Type::Map(b, y)) => inner(a, b).or_else(|| inner(x, y)),
        (Type::Result { ok: a, err: x }, Type::Result { ok: b, err: y }) => optional(a, b).or_else(|| optional(x, y)),
        (Type::Stream(a), Type::Stream(b)) | (Type::Future(a), Type::Future(b)) => optional(a, b),
        (Type::Tuple(a), Type::Tuple(b)) if a.len() == b.len() => a.iter().zip(b.iter()).find_map(|(a, b)| inner(a, b)),
        (Type::Record(a), Type::Record(b)) => text(fields(position, a, b)),
        (Type::Variant(a), Type::Variant(b)) => text(cases(position, "variant", &a.name, &a.cases, &b.cases)),
        (Type::Enum(a), Type::Enum(b)) => text(cases(position, "enum", &a.name, &a.cases, &b.cases)),
        (Type::Flags(a), Type::Flags(b)) => {
            text(members(&format!("{}: flags `{}`", position.root(), a.name), "flag", &a.flags, &b.flags))
        }
        // Two kinds of types, or types without parts: `same` knows all of them.
        (a, b) if a.same(b) => None,
        _ => here(),
    }
}

fn fields(position: TypePosition<'_>, offered: &Record, needed: &Record) -> Option<String> {
    let names = |record: &Record| record.fields.iter().map(|field| field.name.clone()).collect::<Vec<_>>();
    let owner = format!("{}: record `{}`", position.root(), offered.name);
    members(&owner, "field", &names(offered), &names(needed)).or_else(|| {
        let mut pairs = offered.fields.iter().zip(&needed.fields);
        pairs.find_map(|(a, b)| difference_at(position.field(a, &offered.name), Some(&a.ty), Some(&b.ty)))
    })
}

fn cases(position: TypePosition<'_>, kind: &str, name: &str, offered: &[Case], needed: &[Case]) -> Option<String> {
    let names = |cases: &[Case]| cases.iter().map(|case| case.name.clone()).collect::<Vec<_>>();
    let owner = format!("{}: {kind} `{name}`", position.root());
    members(&owner, "case", &names(offered), &names(needed)).or_else(|| {
        let mut pairs = offered.iter().zip(needed);
        pairs.find_map(|(a, b)| difference_at(position.case(a, name), a.ty.as_ref(), b.ty.as_ref()))
    })
}

/// The difference between the names of the members of `owner`: a missing member, an added one, or another order.
fn members(owner: &str, noun: &str, offered: &[String], needed: &[String]) -> Option<String> {
    if let Some(missing) = needed.iter().find(|name| !offered.contains(name)) {
        return Some(format!("{owner} has no {noun} `{missing}`"));
    }
    if let Some(added) = offered.iter().find(|name| !needed.contains(name)) {
        return Some(format!("{owner} has a new {noun} `{added}`"));
    }
    (offered != needed).then(|| format!("{owner} has its {noun}s in another order"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::testing;

    /// What a component that exports `new` lacks for a caller that was built against the interface `old`.
    fn lacks(old: &str, new: &str) -> Vec<String> {
        let unmet = unmet(&testing::interface(old), &testing::name(), &testing::exporting(new));
        unmet.iter().map(ToString::to_string).collect()
    }

    const SHOP: &str = "
        record price { amount: u64, currency: string }
        record line { product: u64, quantity: u32, price: price }
        variant error { not-found, conflict(string), invalid(list<string>) }
        reserve: async func(key: string, lines: list<line>) -> result<list<line>, error>;
        release: async func(key: string) -> result<_, error>;
    ";

    #[test]
    fn the_same_interface_passes_and_so_do_added_functions_docs_renamed_types_and_another_async() {
        assert_eq!(lacks(SHOP, SHOP), [""; 0]);
        let with_function = format!("{SHOP} sweep: func();");
        assert_eq!(lacks(SHOP, &with_function), [""; 0]);
        let with_docs = SHOP.replace("release:", "/// Gives back.\n release:");
        assert_eq!(lacks(SHOP, &with_docs), [""; 0]);
        let synchronous = SHOP.replace("async func", "func");
        assert_eq!(lacks(SHOP, &synchronous), [""; 0]);
        assert_eq!(lacks(&synchronous, SHOP), [""; 0]);
        let renamed = SHOP.replace("line ", "row ").replace("list<line>", "rows").replace("error", "fault");
        assert_eq!(lacks(SHOP, &format!("type rows = list<row>; {renamed}")), [""; 0]);
    }

    #[test]
    fn a_missing_interface_or_function_is_named() {
        let without_release = SHOP.lines().filter(|line| !line.contains("release")).collect::<String>();
        assert_eq!(lacks(SHOP, &without_release), ["a:b/i@1.0.0 has no function `release`"]);

        let other = testing::contract("package a:b@2.0.0; interface i { f: func(); } world w { export i; }");
        let first = |offered: &Contract| unmet(&testing::interface(SHOP), &testing::name(), offered)[0].to_string();
        assert_eq!(first(&other), "exports no interface a:b/i@1.0.0 (it exports a:b/i@2.0.0)");
        assert_eq!(first(&Contract::default()), "exports no interface a:b/i@1.0.0");
    }

    #[test]
    fn a_newer_version_on_the_same_track_must_have_all_that_the_caller_uses() {
        let newer = testing::contract("package a:b@1.4.0; interface i { g: func(); } world w { export i; }");
        let needs = testing::interface("f: func(); g: func();");
        assert_eq!(unmet(&needs, &testing::name(), &newer)[0].to_string(), "a:b/i@1.4.0 has no function `f`");
    }

    #[test]
    fn each_difference_is_named_with_its_position() {
        let cases = [
            (
                "quantity: u32",
                "quantity: u64",
                "parameter `lines`: field `quantity` of record `line` is u64 and not u32",
            ),
            ("amount: u64", "amount: f64", "parameter `lines`: field `amount` of record `price` is f64 and not u64"),
            ("quantity: u32, ", "", "parameter `lines`: record `line` has no field `quantity`"),
            ("quantity: u32", "quantity: u32, note: string", "parameter `lines`: record `line` has a new field `note`"),
            (
                "product: u64, quantity: u32",
                "quantity: u32, product: u64",
                "parameter `lines`: record `line` has its fields in another order",
            ),
            ("(key: string, lines", "(id: string, lines", "it has no parameter `key`"),
            ("(key: string, lines", "(key: string, dry: bool, lines", "it has a new parameter `dry`"),
            (
                "(key: string, lines: list<line>)",
                "(lines: list<line>, key: string)",
                "it has its parameters in another order",
            ),
            ("(key: string, lines", "(key: list<u8>, lines", "parameter `key` is list<u8> and not string"),
            ("lines: list<line>", "lines: list<line, 2>", "parameter `lines` is list<line, 2> and not list<line>"),
            ("lines: list<line>", "lines: list<price>", "parameter `lines`: record `price` has no field `product`"),
            (
                "lines: list<line>",
                "lines: list<error>",
                "parameter `lines` holds variant `error` and not record `line`",
            ),
            (
                "result<list<line>, error>",
                "result<list<line>>",
                "the result is result<list<line>> and not result<list<line>, error>",
            ),
            (" -> result<list<line>, error>", "", "the result is nothing and not result<list<line>, error>"),
        ];
        for (old, new, difference) in cases {
            let text = format!("function `reserve` of a:b/i@1.0.0 differs: {difference}");
            assert!(
                lacks(SHOP, &SHOP.replacen(old, new, 1)).contains(&text),
                "{text}\n{:?}",
                lacks(SHOP, &SHOP.replacen(old, new, 1))
            );
        }
    }

    #[test]
    fn cases_of_variants_enums_and_flags_count() {
        let old = "variant error { gone, taken(string) } enum side { left, right } flags may { read, write }
            f: func(a: side, b: may) -> result<_, error>;";
        let cases = [
            ("gone, ", "", "the result: variant `error` has no case `gone`"),
            ("gone, ", "gone, late, ", "the result: variant `error` has a new case `late`"),
            (
                "taken(string)",
                "taken(side)",
                "the result: case `taken` of variant `error` carries enum `side` and not string",
            ),
            ("taken(string)", "taken", "the result: case `taken` of variant `error` carries nothing and not string"),
            (
                "taken(string)",
                "taken(list<u8>)",
                "the result: case `taken` of variant `error` carries list<u8> and not string",
            ),
            ("left, right", "right, left", "parameter `a`: enum `side` has its cases in another order"),
            ("read, write", "read", "parameter `b`: flags `may` has no flag `write`"),
            ("a: side", "a: may", "parameter `a` is flags `may` and not enum `side`"),
            ("result<_, error>", "result<side, error>", "the result is result<side, error> and not result<_, error>"),
            (
                "f: func(a: side, b: may) -> result<_, error>",
                "type no = error; f: func(a: side, b: may) -> no",
                "the result is variant `error` and not result<_, error>",
            ),
            (
                "f: func(a: side, b: may) -> result<_, error>",
                "f: func(a: side, b: may)",
                "the result is nothing and not result<_, error>",
            ),
        ];
        for (before, after, difference) in cases {
            let text = format!("function `f` of a:b/i@1.0.0 differs: {difference}");
            assert_eq!(lacks(old, &old.replacen(before, after, 1)), [text]);
        }
    }

    #[test]
    fn every_function_that_differs_is_named() {
        let new = SHOP.replace("not-found, ", "").replace("reserve: async func(key: string", "reserve: func(key: u8");
        assert_eq!(
            lacks(SHOP, &new),
            [
                "function `release` of a:b/i@1.0.0 differs: the result: variant `error` has no case `not-found`",
                "function `reserve` of a:b/i@1.0.0 differs: parameter `key` is u8 and not string",
            ]
        );
    }

    /// Types that differ in every way in which types can differ, and some that are the same.
    const TYPES: &str = "
        type id = u64;
        type ids = list<id>;
        record a { x: u8 }
        record b { x: u8 }
        record c { y: u8 }
        record d { x: ids }
        variant v { x, y(u8) }
        variant w { x, y }
        enum e { x, y }
        flags fl { x, y }
        f: func(a0: u64, a1: id, a2: ids, a3: list<u64>, a4: list<u64, 2>, a5: list<u64, 3>, a6: a, a7: b, a8: c, a9: d,
            b0: v, b1: w, b2: e, b3: fl, b4: option<a>, b5: option<b>, b6: option<c>, b7: result, b8: result<a>,
            b9: result<b>, c0: result<_, a>, c1: result<c, c>, c2: tuple<a>, c3: tuple<b>, c4: tuple<a, a>,
            c5: map<string, a>, c6: map<string, b>, c7: map<u8, a>, c8: stream<u8>, c9: stream, d0: future<u8>,
            d1: list<e>, d2: list<w>, d3: string, d4: char, d5: bool, d6: f64);
    ";

    #[test]
    fn a_difference_is_found_if_and_only_if_the_types_are_not_the_same() {
        let interface = testing::interface(TYPES);
        let types: Vec<&Type> = interface.functions["f"].params.iter().map(|param| &param.ty).collect();
        for a in &types {
            for b in &types {
                let text = difference_at(TypePosition::result(), Some(a), Some(b));
                assert_eq!(text.is_none(), a.same(b), "{a} {b}: {text:?}");
                if let Some((is, known)) = text.as_deref().and_then(|text| text.split_once(" and not ")) {
                    assert!(!is.ends_with(&format!(" {known}")), "{}", text.unwrap_or_default());
                }
            }
        }
    }
}
