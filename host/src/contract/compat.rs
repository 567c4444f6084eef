//! Whether what a component offers is what its callers use.

use super::interface::{Contract, Function, Interface, InterfaceName};
use super::place::{TypePosition, described};
use super::types::{Case, Record, Type};
use std::sync::Arc;

/// Something that a caller uses and that is not offered as the caller knows it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unmet {
    /// No export answers the import.
    #[error("exports no interface {wanted}{}", others(.exported))]
    Interface {
        /// The interface that the caller imports.
        wanted: InterfaceName,
        /// What is exported instead: other versions of it.
        exported: Vec<InterfaceName>,
    },
    /// The interface is there, the function is not.
    #[error("{interface} has no function `{function}`")]
    Function {
        /// The interface as it is offered.
        interface: InterfaceName,
        /// The function that the caller uses.
        function: String,
    },
    /// The function is there with another signature.
    #[error("function `{function}` of {interface} differs: {difference}")]
    Signature {
        /// The interface as it is offered.
        interface: InterfaceName,
        /// The function that the caller uses.
        function: String,
        /// Where it differs, what is offered there, and what the caller knows.
        difference: String,
    },
}

fn others(exported: &[InterfaceName]) -> String {
    let names: Vec<String> = exported.iter().map(ToString::to_string).collect();
    if names.is_empty() { String::new() } else { format!(" (it exports {})", names.join(", ")) }
}

/// What of the interface `needs`, which a caller imports as `name`, is not offered, or is offered otherwise: each function once, by its
/// first difference. Nothing, if the caller can go on calling.
///
/// Types are compared by structure: names of types, aliases and docs do not count, and a function that the caller does not use may do
/// as it likes. Everything else counts, an added case of an error as well, for the caller could not read it.
pub fn unmet(needs: &Interface, name: &InterfaceName, offered: &Contract) -> Vec<Unmet> {
    let Some((interface, offers)) = offered.export(name) else {
        let exported = offered.exports.keys().filter(|other| other.path == name.path).cloned().collect();
        return vec![Unmet::Interface { wanted: name.clone(), exported }];
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

/// The first difference between two signatures.
fn difference(offered: &Function, needed: &Function) -> Option<String> {
    if offered.asynchronous != needed.asynchronous {
        let word = |function: &Function| if function.asynchronous { "async func" } else { "func" };
        return Some(format!("it is `{}` and not `{}`", word(offered), word(needed)));
    }
    let names = |function: &Function| function.params.iter().map(|param| param.name.clone()).collect::<Vec<_>>();
    let mut params = offered.params.iter().zip(&needed.params);
    members("it", "parameter", &names(offered), &names(needed))
        .or_else(|| params.find_map(|(a, b)| at(TypePosition::param(&b.name), Some(&a.ty), Some(&b.ty))))
        .or_else(|| at(TypePosition::result(), offered.result.as_ref(), needed.result.as_ref()))
}

/// How what stands at a place differs, as a sentence.
fn at(place: TypePosition<'_>, offered: Option<&Type>, needed: Option<&Type>) -> Option<String> {
    let says = |verb: &str, is: Option<&Type>, known: Option<&Type>| {
        Some(format!("{place} {verb} {} and not {}", described(is), described(known)))
    };
    let (whole, known) = match (offered, needed) {
        (Some(whole), Some(known)) => (whole, known),
        (None, None) => return None,
        _ => return says(place.verb(), offered, needed),
    };
    match mismatch(place, whole, known)? {
        Mismatch::Told(text) => Some(text),
        // Within a list, say, what has a definition is told alone: `list<line>` does not say what a `line` is.
        Mismatch::Here(a, b) if (a.is_defined() || b.is_defined()) && !std::ptr::eq(a, whole.resolved()) => {
            says("holds", Some(a), Some(b))
        }
        Mismatch::Here(..) => says(place.verb(), offered, needed),
    }
}

enum Mismatch<'a> {
    /// These two differ, within the place looked at.
    Here(&'a Type, &'a Type),
    /// Something within a definition differs and has told its place already.
    Told(String),
}

/// Agrees with [`Type::same`]: there is a mismatch just when that says no.
fn mismatch<'a>(place: TypePosition<'_>, offered: &'a Type, needed: &'a Type) -> Option<Mismatch<'a>> {
    let (offered, needed) = (offered.resolved(), needed.resolved());
    let inner = |a: &'a Type, b: &'a Type| mismatch(place, a, b);
    let here = || Some(Mismatch::Here(offered, needed));
    let told = |text: Option<String>| text.map(Mismatch::Told);
    let optional = |a: &'a Option<Arc<Type>>, b: &'a Option<Arc<Type>>| match (a, b) {
        (Some(a), Some(b)) => inner(a, b),
        (None, None) => None,
        _ => here(),
    };
    match (offered, needed) {
        (Type::List(a), Type::List(b)) | (Type::Option(a), Type::Option(b)) => inner(a, b),
        (Type::FixedList(a, n), Type::FixedList(b, m)) if n == m => inner(a, b),
        (Type::Map(a, x), Type::Map(b, y)) => inner(a, b).or_else(|| inner(x, y)),
        (Type::Result { ok: a, err: x }, Type::Result { ok: b, err: y }) => optional(a, b).or_else(|| optional(x, y)),
        (Type::Stream(a), Type::Stream(b)) | (Type::Future(a), Type::Future(b)) => optional(a, b),
        (Type::Tuple(a), Type::Tuple(b)) if a.len() == b.len() => a.iter().zip(b.iter()).find_map(|(a, b)| inner(a, b)),
        (Type::Record(a), Type::Record(b)) => told(fields(place, a, b)),
        (Type::Variant(a), Type::Variant(b)) => told(cases(place, "variant", &a.name, &a.cases, &b.cases)),
        (Type::Enum(a), Type::Enum(b)) => told(cases(place, "enum", &a.name, &a.cases, &b.cases)),
        (Type::Flags(a), Type::Flags(b)) => {
            told(members(&format!("{}: flags `{}`", place.root(), a.name), "flag", &a.flags, &b.flags))
        }
        (a, b) if a.same(b) => None,
        _ => here(),
    }
}

fn fields(place: TypePosition<'_>, offered: &Record, needed: &Record) -> Option<String> {
    let names = |record: &Record| record.fields.iter().map(|field| field.name.clone()).collect::<Vec<_>>();
    let owner = format!("{}: record `{}`", place.root(), offered.name);
    members(&owner, "field", &names(offered), &names(needed)).or_else(|| {
        let mut pairs = offered.fields.iter().zip(&needed.fields);
        pairs.find_map(|(a, b)| at(place.field(a, &offered.name), Some(&a.ty), Some(&b.ty)))
    })
}

fn cases(place: TypePosition<'_>, kind: &str, name: &str, offered: &[Case], needed: &[Case]) -> Option<String> {
    let names = |cases: &[Case]| cases.iter().map(|case| case.name.clone()).collect::<Vec<_>>();
    let owner = format!("{}: {kind} `{name}`", place.root());
    members(&owner, "case", &names(offered), &names(needed)).or_else(|| {
        let mut pairs = offered.iter().zip(needed);
        pairs.find_map(|(a, b)| at(place.case(a, name), a.ty.as_ref(), b.ty.as_ref()))
    })
}

/// How the names of what something is made of differ.
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
    use super::super::specimen;
    use super::*;

    /// What a caller that was built against the interface `old` is told of a component that exports `new`.
    fn told(old: &str, new: &str) -> Vec<String> {
        let told = unmet(&specimen::interface(old), &specimen::name(), &specimen::exporting(new));
        told.iter().map(ToString::to_string).collect()
    }

    const SHOP: &str = "
        record price { amount: u64, currency: string }
        record line { product: u64, quantity: u32, price: price }
        variant error { not-found, conflict(string), invalid(list<string>) }
        reserve: async func(key: string, lines: list<line>) -> result<list<line>, error>;
        release: async func(key: string) -> result<_, error>;
    ";

    #[test]
    fn what_is_the_same_or_more_passes() {
        assert_eq!(told(SHOP, SHOP), [""; 0]);
        let with_function = format!("{SHOP} sweep: func();");
        assert_eq!(told(SHOP, &with_function), [""; 0]);
        let with_docs = SHOP.replace("release:", "/// Gives back.\n release:");
        assert_eq!(told(SHOP, &with_docs), [""; 0]);
        let renamed = SHOP.replace("line ", "row ").replace("list<line>", "rows").replace("error", "fault");
        assert_eq!(told(SHOP, &format!("type rows = list<row>; {renamed}")), [""; 0]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let without_release = SHOP.lines().filter(|line| !line.contains("release")).collect::<String>();
        assert_eq!(told(SHOP, &without_release), ["a:b/i@1.0.0 has no function `release`"]);

        let other = specimen::contract("package a:b@2.0.0; interface i { f: func(); } world w { export i; }");
        let told = |offered: &Contract| unmet(&specimen::interface(SHOP), &specimen::name(), offered)[0].to_string();
        assert_eq!(told(&other), "exports no interface a:b/i@1.0.0 (it exports a:b/i@2.0.0)");
        assert_eq!(told(&Contract::default()), "exports no interface a:b/i@1.0.0");
    }

    #[test]
    fn a_newer_version_on_the_same_track_is_held_against_what_the_caller_uses() {
        let newer = specimen::contract("package a:b@1.4.0; interface i { g: func(); } world w { export i; }");
        let needs = specimen::interface("f: func(); g: func();");
        assert_eq!(unmet(&needs, &specimen::name(), &newer)[0].to_string(), "a:b/i@1.4.0 has no function `f`");
    }

    #[test]
    fn each_difference_is_told_with_its_place() {
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
            ("reserve: async func", "reserve: func", "it is `func` and not `async func`"),
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
                told(SHOP, &SHOP.replacen(old, new, 1)).contains(&text),
                "{text}\n{:?}",
                told(SHOP, &SHOP.replacen(old, new, 1))
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
            assert_eq!(told(old, &old.replacen(before, after, 1)), [text]);
        }
    }

    #[test]
    fn each_function_that_differs_is_told() {
        let new = SHOP.replace("not-found, ", "").replace("reserve: async func", "reserve: func");
        assert_eq!(
            told(SHOP, &new),
            [
                "function `release` of a:b/i@1.0.0 differs: the result: variant `error` has no case `not-found`",
                "function `reserve` of a:b/i@1.0.0 differs: it is `func` and not `async func`",
            ]
        );
    }

    /// Types that differ in all the ways in which types can, and some that are the same.
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
        f: func(a0: u64, a1: id, a2: ids, a3: list<u64>, a4: list<u64, 2>, a5: list<u64, 3>, a6: a, a7: b, a8: c, a9: d, b0: v, b1: w,
            b2: e, b3: fl, b4: option<a>, b5: option<b>, b6: option<c>, b7: result, b8: result<a>, b9: result<b>, c0: result<_, a>,
            c1: result<c, c>, c2: tuple<a>, c3: tuple<b>, c4: tuple<a, a>, c5: map<string, a>, c6: map<string, b>, c7: map<u8, a>,
            c8: stream<u8>, c9: stream, d0: future<u8>, d1: list<e>, d2: list<w>, d3: string, d4: char, d5: bool, d6: f64);
    ";

    #[test]
    fn there_is_a_difference_just_where_types_are_not_the_same() {
        let interface = specimen::interface(TYPES);
        let types: Vec<&Type> = interface.functions["f"].params.iter().map(|param| &param.ty).collect();
        for a in &types {
            for b in &types {
                let text = at(TypePosition::result(), Some(a), Some(b));
                assert_eq!(text.is_none(), a.same(b), "{a} {b}: {text:?}");
                if let Some((is, known)) = text.as_deref().and_then(|text| text.split_once(" and not ")) {
                    assert!(!is.ends_with(&format!(" {known}")), "{}", text.unwrap_or_default());
                }
            }
        }
    }
}
