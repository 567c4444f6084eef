//! Bindings of contracts, and components of modules that are written as text. That the bindings compile in their
//! languages is seen by `just languages`, which has the compilers.

// The whole target is test code. Clippy recognises as test code only what stands inside a `#[test]` function.
#![allow(clippy::unwrap_used)]

mod gaps;
mod stubs;

use bindings::{BindingLanguage, BindingsError, ComponentTool, ContractWorld};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use wasmparser::{Parser, Payload};

const WIT: &str = "
    package a:b@0.1.0;
    interface counts { next: async func(after: u32) -> u32; }
    world service { export counts; }
    world empty {}
    world streaming { export bytes: interface { read: async func() -> stream<u8>; } }
";

/// What a compiler makes of an implementation: it wants the time, as the library of C does.
const MODULE: &str = r#"
    (module
        (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
        (memory (export "memory") 4)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 65536)
        (func (export "a:b/counts@0.1.0#next") (param i32) (result i32)
            (drop (call $clock (i32.const 0) (i64.const 0) (i32.const 8)))
            (i32.add (local.get 0) (i32.const 1))))
"#;

fn world(name: Option<&str>) -> Result<ContractWorld, BindingsError> {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("b.wit");
    fs::write(&file, WIT).unwrap();
    ContractWorld::read(&[file], name)
}

#[test]
fn the_bindings_of_an_async_func_are_synchronous() {
    let c = world(Some("service")).unwrap().bindings(BindingLanguage::C).unwrap();
    let header = String::from_utf8_lossy(&c[Path::new("service.h")]);
    assert!(header.contains("uint32_t exports_a_b_counts_next(uint32_t after);"), "{header}");
    let source = String::from_utf8_lossy(&c[Path::new("service.c")]);
    assert!(source.contains("a:b/counts@0.1.0#next") && !source.contains("[async-lift]"), "{source}");
    assert!(c.contains_key(Path::new("service_component_type.o")), "{:?}", c.keys());

    let go = world(Some("service")).unwrap().bindings(BindingLanguage::Go).unwrap();
    let source = String::from_utf8_lossy(&go[Path::new("wit_exports.go")]);
    assert!(source.contains("//go:wasmexport a:b/counts@0.1.0#next"), "{source}");
    // Nothing is fetched: what the module requires stands beside it.
    let module = String::from_utf8_lossy(&go[Path::new("go.mod")]);
    assert!(module.contains("replace go.bytecodealliance.org/pkg => ./wit_runtime"), "{module}");
    for file in ["wit_runtime/go.mod", "wit_runtime/wit/runtime/runtime.go", "wit_runtime/wit/types/tuples.go"] {
        assert!(go.contains_key(Path::new(file)), "{file}: {:?}", go.keys());
    }
    // Each folder that is made of the contract, and no other one: packages of the service stand beside them.
    let made = go.keys().filter(|path| path.ends_with(".gitignore")).map(|path| path.parent().unwrap());
    let folders = go.keys().filter_map(|path| path.iter().next().filter(|_| path.iter().count() > 1).map(Path::new));
    let folders: BTreeSet<_> = folders.filter(|folder| !folder.to_str().unwrap().starts_with("export_")).collect();
    assert!(folders.contains(Path::new("wit_runtime")), "{folders:?}");
    assert_eq!(made.collect::<BTreeSet<_>>(), folders);
    assert!(go[Path::new("wit_runtime/.gitignore")].ends_with(b"\n*\n"));
}

#[test]
fn a_module_over_wasi_preview_1_becomes_a_component_of_its_world() {
    let world = world(Some("service")).unwrap();
    let component = world.component(&wat::parse_str(MODULE).unwrap()).unwrap();
    let names = imports_and_exports(&component);
    assert!(names.contains(&"export a:b/counts@0.1.0".to_owned()), "{names:?}");
    assert!(names.iter().any(|name| name.starts_with("import wasi:clocks/")), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("wasi_snapshot_preview1")), "{names:?}");

    let again = world.component(&component);
    assert!(matches!(again, Err(BindingsError::ComponentAlready)), "{again:?}");
    let lacking = world.component(&wat::parse_str("(module (memory (export \"memory\") 1))").unwrap());
    let Err(BindingsError::Module(reason)) = lacking else { panic!("a module without the function is taken") };
    assert!(format!("{reason:#}").contains("`a:b/counts@0.1.0` function `next`"), "{reason:#}");
    assert!(matches!(world.component(b"text"), Err(BindingsError::NoModule)));
    assert!(matches!(world.component(b"\0asm\x01"), Err(BindingsError::Module(_))));
}

/// The templates name these: `host/templates/http`.
#[test]
fn what_the_host_offers_in_two_versions_has_none_in_its_names() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("face.wit");
    fs::write(&file, "package a:b; world service { export wasi:http/incoming-handler@0.2.12; }").unwrap();
    let world = ContractWorld::read(&[&file], None).unwrap();
    let c = world.bindings(BindingLanguage::C).unwrap();
    let header = String::from_utf8_lossy(&c[Path::new("service.h")]);
    assert!(header.contains("wasi_http_types_constructor_outgoing_response("), "{header}");
    let go = world.bindings(BindingLanguage::Go).unwrap();
    assert!(go.contains_key(Path::new("wasi_http_types/wit_bindings.go")), "{:?}", go.keys());
}

#[test]
fn what_cannot_be_bound_is_named() {
    let many = world(None).unwrap_err().to_string();
    assert!(many.contains("b.wit has several worlds: service, empty, streaming"), "{many}");
    let unknown = world(Some("nobody")).unwrap_err().to_string();
    assert!(unknown.contains("nobody"), "{unknown}");
    let streaming = world(Some("streaming")).unwrap();
    let refused = streaming.bindings(BindingLanguage::Go).unwrap_err();
    assert!(matches!(&refused, BindingsError::Unsupported { language: BindingLanguage::Go, .. }), "{refused}");
    assert!(refused.to_string().contains("have no streams"), "{refused}");
    assert!(world(Some("empty")).unwrap().bindings(BindingLanguage::C).is_ok());
}

/// `import NAME` and `export NAME` of the component itself, without what is nested in it.
fn imports_and_exports(component: &[u8]) -> Vec<String> {
    let (mut names, mut depth) = (Vec::new(), 0);
    for payload in Parser::new(0).parse_all(component) {
        match payload.unwrap() {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(imports) if depth == 0 => {
                names.extend(imports.into_iter().map(|import| format!("import {}", import.unwrap().name.name)));
            }
            Payload::ComponentExportSection(exports) if depth == 0 => {
                names.extend(exports.into_iter().map(|export| format!("export {}", export.unwrap().name.name)));
            }
            _ => {}
        }
    }
    names
}

/// A contract of two packages: the second refers to the first, whose other world refers to nothing that is there.
const SHOP: [(&str, &str); 2] = [
    (
        "items.wit",
        "package shop:items@1.0.0;
        interface items {
          record item { id: u64, name: string }
          get: async func(id: u64) -> item;
        }
        interface unused { use items.{item}; }
        world imports { import items; }",
    ),
    (
        "lists.wit",
        "package shop:lists@1.0.0;
        interface lists {
          use shop:items/items@1.0.0.{item};
          first: async func() -> item;
          count: async func() -> u32;
        }
        world service { import shop:items/items@1.0.0; export lists; }
        world other { import get: async func() -> u32; export lists; }",
    ),
];

/// The text of each file of a view.
fn view(world: &str, tool: ComponentTool, edit: impl Fn(&str) -> String) -> Result<Vec<(String, String)>, String> {
    let place = tempfile::tempdir().unwrap();
    let paths = SHOP.map(|(name, text)| {
        let path = place.path().join(name);
        fs::write(&path, edit(text)).unwrap();
        path
    });
    let read = ContractWorld::read(&paths, Some(world)).unwrap();
    let files = read.view(tool).map_err(|error| error.to_string())?;
    // What is written is a contract in which the world stands, so that a tool can read it.
    let out = place.path().join("view");
    fs::create_dir_all(out.join("deps")).unwrap();
    for (path, bytes) in &files {
        fs::write(out.join(path), bytes).unwrap();
    }
    ContractWorld::read(&[&out], Some(world)).unwrap();
    Ok(files.into_iter().map(|(path, bytes)| (path.display().to_string(), String::from_utf8(bytes).unwrap())).collect())
}

#[test]
fn a_view_is_of_one_folder_and_as_synchronous_as_its_tool() {
    for (tool, imported, exported) in [
        (ComponentTool::ComponentizePy, "get: async func", "count: async func"),
        (ComponentTool::ComponentizeJs, "get: func", "count: func"),
        (ComponentTool::ComponentizeQjs, "get: func", "count: async func"),
    ] {
        // The QuickJS of the last has no 64-bit integers.
        let files = view("service", tool, |text| text.replace("u64", "u32")).unwrap();
        let [(deps, items), (main, lists)] = files.as_slice() else { panic!("{files:?}") };
        assert_eq!((deps.as_str(), main.as_str()), ("deps/shop-items-1.0.0.wit", "world.wit"));
        assert!(items.contains(imported) && !items.contains("world "), "{tool:?}: {items}");
        assert!(lists.contains(exported) && !lists.contains("world other"), "{tool:?}: {lists}");
        assert!(lists.contains("import shop:items/items@1.0.0;"), "{tool:?}: {lists}");
    }
    let other = view("other", ComponentTool::ComponentizeQjs, |text| text.replace("u64", "u32")).unwrap();
    assert!(other.iter().any(|(_, text)| text.contains("import get: func() -> u32;")), "{other:?}");
}

#[test]
fn a_number_that_a_tool_would_change_is_refused() {
    let refused = view("service", ComponentTool::ComponentizeQjs, str::to_owned).unwrap_err();
    for part in ["componentize-qjs", "`id` of `get` in shop:items/items@1.0.0 has a u64", "take componentize-js"] {
        assert!(refused.contains(part), "{refused}");
    }
    let answer = view("service", ComponentTool::ComponentizeQjs, |text| {
        text.replace("get: async func(id: u64)", "get: async func()")
    });
    assert!(answer.unwrap_err().contains("the answer of `get`"));
    // Versions of the store and times of WASI count what is small.
    let small = view("service", ComponentTool::ComponentizeQjs, |text| text.replace("shop:", "atoll:"));
    assert!(small.is_ok(), "{small:?}");
    assert!(view("service", ComponentTool::ComponentizeJs, str::to_owned).is_ok());
}

#[test]
fn what_the_host_offers_needs_no_copy() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("face.wit");
    let offered = [
        "wasi:http/types@0.3.2",
        "wasi:config/store@0.2.0-rc.1",
        "wasi:keyvalue/store@0.2.0-draft",
        "atoll:state/transactions@0.1.0",
        "atoll:state/transactions@0.2.0",
        "atoll:platform/caller@0.1.0",
        "atoll:platform/caller@0.1.1",
        "wasi:sockets/types@0.3.2",
    ];
    for name in offered {
        let world = format!("package a:b; world face {{ import {name}; export wasi:http/handler@0.3.2; }}");
        fs::write(&file, world).unwrap();
        let files = ContractWorld::read(&[&file], None).unwrap().view(ComponentTool::ComponentizePy).unwrap();
        let (package, version) = (name.split_once('/').unwrap().0, name.split_once('@').unwrap().1);
        let package = format!("deps/{}-{version}.wit", package.replace(':', "-"));
        assert!(files.contains_key(Path::new(&package)), "{name}: {package} {:?}", files.keys());
    }
    fs::write(&file, "package a:b; world face { import wasi:nothing/here@0.3.2; }").unwrap();
    let unknown = ContractWorld::read(&[&file], None).unwrap_err().to_string();
    assert!(unknown.contains("wasi:nothing"), "{unknown}");
}

#[test]
fn a_package_that_is_in_two_places_is_taken_once_or_named_with_both() {
    let place = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = place.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    };
    let stock = "package shop:stock; interface stock { left: func(id: u32) -> u32; }";
    let source = write("source/stock.wit", stock);
    let folder = place.path().join("service");
    write("service/service.wit", "package shop:service; world service { import shop:stock/stock; }");
    // As `atoll new --contract` copies it: the same contract in other words.
    let copied = "/// Pieces.\npackage shop:stock;\ninterface stock {\n  left: func(id: u32) -> u32;\n}\n";
    let copy = write("service/deps/shop-stock.wit", copied);
    for paths in [vec![&source, &folder], vec![&source, &source, &folder], vec![&copy, &source, &folder]] {
        ContractWorld::read(&paths, None).unwrap();
    }
    assert!(ContractWorld::read(&[&folder, &folder], None).is_ok());
    write("service/deps/shop-stock.wit", "package shop:stock; interface stock { left: func(id: u64) -> u32; }");
    let refused = ContractWorld::read(&[&source, &folder], None).unwrap_err().to_string();
    let both = [source.display().to_string(), folder.display().to_string()];
    assert!(refused.contains("package `shop:stock`") && both.iter().all(|path| refused.contains(path)), "{refused}");
    assert!(refused.contains("leave one of them out"), "{refused}");
}
