//! Contracts that are valid and cannot be bound, and names that need an escape.

use super::stubs::begun;
use bindings::{BindingLanguage, ComponentTool, ContractWorld, StubLanguage};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Of what is refused before a generator begins, that which a generator would take as it is. The others go the same
/// way.
#[test]
fn what_the_bindings_of_a_language_do_not_have_is_named_with_its_place() {
    use BindingLanguage::{C, Go};
    let seventeen = format!("f: func(a: tuple<{}>);", ["u8"; 17].join(", "));
    let within = |body: &str| format!("package a:b; interface i {{ {body} }} world w {{ import i; }}");
    let own = "package a:b; world w { export f: func(a: stream<u8>); }".to_owned();
    for (world, parts) in [
        (within(&seventeen), ["have no tuples of more than 16", "`a` of `f` in a:b/i has one; take a record"]),
        (within("put: func(a: stream<u8>);"), ["have no streams, which stock Go", "`a` of `put` in a:b/i"]),
        (within("put: func() -> future<u8>;"), ["have no futures, which stock Go", "the answer of `put` in a:b/i"]),
        (within("record r { a: stream<u8> } put: func() -> r;"), ["have no streams", "the answer of `put` in a:b/i"]),
        (within("type s = stream<u8>;"), ["have no streams", "the type `s` of a:b/i has one"]),
        (own, ["have no streams", "`a` of `f` in the world has one"]),
    ] {
        let made = bound(&world, C);
        assert!(made.is_ok(), "{world}: {made:?}");
        let refused = bound(&world, Go).unwrap_err();
        assert!(refused.starts_with("the bindings for Go have"), "{world}: {refused}");
        assert!(parts.iter().all(|part| refused.contains(part)), "{world}: {refused}");
    }
}

/// A service is not begun that its first build would refuse, nor one that names what the bindings do not have.
#[test]
fn no_service_is_begun_whose_bindings_could_not_be_made() {
    let tuple = |fields| format!("f: func(a: tuple<{}>);", vec!["u8"; fields].join(", "));
    for (body, part) in [
        ("record r { a: stream<u8> } put: func() -> r;", "have no streams, which stock Go"),
        (&tuple(17), "have no tuples of more than 16: `a` of `f` in a:b/i has one; take a record"),
    ] {
        let contract = format!("package a:b; interface i {{ {body} }}");
        let refused = begun(&contract, StubLanguage::Go).unwrap_err().to_string();
        assert!(refused.starts_with("no service can be begun from ") && refused.contains(part), "{body}: {refused}");
        assert!(refused.contains(": the bindings for Go have no "), "{body}: {refused}");
        assert!(begun(&contract, StubLanguage::Rust).is_ok(), "{body}");
    }
    assert!(begun(&format!("package a:b; interface i {{ {} }}", tuple(16)), StubLanguage::Go).is_ok());
}

/// In C a name has no places, so functions and types of a contract may have one. These do not, and are taken.
#[test]
fn names_that_stay_apart_in_c_are_taken() {
    let functions = "interface a { b: func(); } interface a-b { c: func(); } world w { export a; export a-b; }";
    // A record of numbers holds nothing that is freed, and only a resource is dropped.
    let types = "interface i { record r { n: u32 } r-free: func(); r-drop-own: func(); r-new: func(); }";
    for contract in [functions.to_owned(), format!("{types} world w {{ export i; import i; }}")] {
        let made = bound(&format!("package x:y; {contract}"), BindingLanguage::C);
        assert!(made.is_ok(), "{contract}: {made:?}");
    }
}

/// The files of the bindings of the world `w`.
fn bound(text: &str, language: BindingLanguage) -> Result<BTreeSet<std::path::PathBuf>, String> {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("b.wit");
    fs::write(&file, text).unwrap();
    let world = ContractWorld::read(&[file], Some("w")).map_err(|error| error.to_string())?;
    Ok(world.bindings(language).map_err(|error| error.to_string())?.into_keys().collect())
}

/// A record with two of the one before, and so on: few lines, and twice as much with each.
fn doubled(times: usize) -> String {
    let more = (1..=times).map(|at| format!(" record r{at} {{ a: r{0}, b: r{0} }}", at - 1)).collect::<String>();
    format!("package a:b; interface i {{ record r0 {{ a: u8 }}{more} f: func(a: r{times}); }} world w {{ import i; }}")
}

#[test]
fn a_contract_of_which_too_much_code_would_be_made_is_refused() {
    for language in [BindingLanguage::C, BindingLanguage::Go] {
        assert!(bound(&doubled(8), language).is_ok());
        let refused = bound(&doubled(14), language).unwrap_err();
        assert!(refused.contains("`f` in a:b/i takes and gives more than 10000 values"), "{refused}");
    }
    for language in [StubLanguage::Python, StubLanguage::Rust, StubLanguage::Go, StubLanguage::Zig] {
        let refused = begun(&doubled(14), language).unwrap_err().to_string();
        assert!(refused.contains("no service can be begun") && refused.contains("more than 10000 values"), "{refused}");
    }
    let deep: String = (1..120).map(|at| format!(" type t{at} = option<t{}>;", at - 1)).collect();
    let deep = format!("package a:b; interface i {{ type t0 = u8;{deep} }} world w {{ import i; }}");
    let refused = bound(&deep, BindingLanguage::C).unwrap_err();
    assert!(refused.contains("has more than 100 types in each other, as no component has"), "{refused}");
}

/// WIT takes a keyword for a name with a `%` before it.
#[test]
fn names_that_are_keywords_are_taken_as_they_are() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("b.wit");
    let contract = "package %my-pkg:%interface@1.0.0; interface %list { %record: func(%u8: u32) -> u32; }";
    fs::write(&file, format!("{contract} world %world {{ export %list; }} world other {{}}")).unwrap();
    for name in ["world", "%world", "my-pkg:interface/world", "my-pkg:interface/world@1.0.0"] {
        let world = ContractWorld::read(&[&file], Some(name)).unwrap();
        for language in [BindingLanguage::C, BindingLanguage::Go] {
            assert!(world.bindings(language).is_ok(), "{name}");
        }
        assert!(world.view(ComponentTool::ComponentizeJs).is_ok());
    }
    let unknown = ContractWorld::read(&[&file], Some("import")).unwrap_err().to_string();
    assert!(unknown.contains("World `import` not found"), "{unknown}");
    for language in [StubLanguage::Rust, StubLanguage::JavaScript, StubLanguage::C, StubLanguage::Go] {
        let stub = begun(contract, language).unwrap();
        let world = String::from_utf8_lossy(&stub.wit[Path::new("new-stock.wit")]);
        assert!(world.contains("  export my-pkg:%interface/%list@1.0.0;\n"), "{world}");
    }
}
