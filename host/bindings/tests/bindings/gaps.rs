//! Contracts that are valid and cannot be bound, and names that need an escape.

use super::stubs::begun;
use bindings::{BindingLanguage, ComponentTool, ContractWorld, StubLanguage};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What the generators meet with a panic: `todo!`, `unimplemented!`, `unreachable!` and `expect` in their sources.
#[test]
fn what_the_bindings_of_a_language_do_not_have_is_named_with_its_place() {
    use BindingLanguage::{C, Go};
    let seventeen = format!("f: func(a: tuple<{}>);", ["u8"; 17].join(", "));
    for (body, languages, parts) in [
        ("put: func(a: list<u8, 4>);", &[C, Go][..], ["have no fixed-length lists", "`a` of `put` in a:b/i has one"]),
        ("record r { a: list<u8, 4> } put: func() -> r;", &[C, Go], ["fixed-length", "the answer of `put` in a:b/i"]),
        ("type four = list<u8, 4>;", &[C, Go], ["have no fixed-length lists", "the type `four` of a:b/i has one"]),
        ("put: func(a: option<error-context>);", &[C, Go], ["have no error-contexts", "`a` of `put` in a:b/i"]),
        ("type e = error-context;", &[C, Go], ["have no error-contexts", "the type `e` of a:b/i has one"]),
        (&seventeen, &[Go], ["have no tuples of more than 16", "`a` of `f` in a:b/i has one; take a record"]),
        ("put: func(a: stream<u8>);", &[Go], ["have no streams, which stock Go", "`a` of `put` in a:b/i"]),
        ("put: func() -> future<u8>;", &[Go], ["have no futures, which stock Go", "the answer of `put` in a:b/i"]),
        ("resource r { at: get() -> u32; }", &[Go], ["have no getters and setters", "`[method][get]r.at` in a:b/i"]),
        ("a: get() -> u32; a: set(a: u32);", &[Go], ["have no getters and setters", "in a:b/i is one; take a `func`"]),
        ("resource r { f: func(); } method-r-f: func();", &[C], ["have one name, a_b_i_method_r_f,", "`[method]r.f`"]),
    ] {
        for language in [C, Go] {
            let made = bound(&format!("package a:b; interface i {{ {body} }} world w {{ import i; }}"), language);
            if !languages.contains(&language) {
                assert!(made.is_ok(), "{language:?} {body}: {made:?}");
                continue;
            }
            let refused = made.unwrap_err();
            assert!(refused.starts_with(&format!("the bindings for {language:?} have")), "{body}: {refused}");
            assert!(parts.iter().all(|part| refused.contains(part)), "{language:?} {body}: {refused}");
        }
    }
    // Two interfaces may make one name in C, and a function of the world itself has no interface.
    let two =
        "package a:b; interface i { b-c: func(); } interface i-b { c: func(); } world w { export i; export i-b; }";
    let refused = bound(two, C).unwrap_err();
    assert!(refused.contains("exports_a_b_i_b_c, for `b-c` in a:b/i and `c` in a:b/i-b"), "{refused}");
    let own = bound("package a:b; world w { export f: func(a: list<u8, 4>); }", C).unwrap_err();
    assert!(own.contains("`a` of `f` in the world has one"), "{own}");
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
