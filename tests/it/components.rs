//! The components that tests load. They are built when a test first needs them.
//!
//! `just test` builds the components before it starts the tests. A bare `cargo test -p host` on a clean clone does
//! not: there the first test that needs a missing component builds all of them, with the same script. A component
//! that is already built is used as it is. If you edit a component and run cargo by hand, run `just build-components`
//! first.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{LiftLowerAbi, ManglingAndAbi, Resolve};

/// The file of the component `name` (its package's name: `users`, `fixture-hostile`).
///
/// Blocks while the components are built for the first time: a minute or two.
///
/// # Panics
/// If the build fails, with the compiler's output, or if no package has this name.
pub fn component(name: &str) -> PathBuf {
    let file = workspace().join(format!("components/dist/{name}.wasm"));
    if !file.exists() {
        build_components_once(&file);
    }
    assert!(file.exists(), "no package under components/ is named {name:?}");
    file
}

/// The manifest of the shop, with the components as this checkout builds them, and with its contracts: the repository's
/// own, or the one that `ATOLL_TEST_SHOP` names, whose components in other languages are built.
#[expect(clippy::disallowed_methods, reason = "`just languages-shop` names another manifest of the shop")]
pub fn shop_manifest() -> String {
    for name in ["users", "products", "orders", "payments", "checkout", "mailer", "sales"] {
        component(name);
    }
    let path = workspace().join(env::var_os("ATOLL_TEST_SHOP").unwrap_or_else(|| "atoll.toml".into()));
    let manifest = fs::read_to_string(&path).expect("the shop has a manifest");
    let folder = path.parent().expect("it is a file in a folder");
    let absolute = |line: &str| match line.split_once(" = \"") {
        Some((key @ ("component" | "wit"), rest)) => format!("{key} = \"{}/{rest}\n", folder.display()),
        _ => format!("{line}\n"),
    };
    manifest.lines().map(absolute).collect()
}

/// A component without behaviour for the only world of `wit`.
pub fn dummy(wit: &str) -> Vec<u8> {
    let mut resolve = Resolve { all_features: true, ..Resolve::default() };
    let package =
        resolve.push_source("dummy.wit", wit).unwrap_or_else(|error| panic!("{}", resolve.render_error(&error)));
    let world = resolve.select_world(&[package], None).unwrap();
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Legacy(LiftLowerAbi::Sync));
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).unwrap();
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}

/// The root of the checkout.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the host's crate is a folder of the workspace")
}

/// Builds all components, unless another test built them while this one waited for the lock.
///
/// The lock is a file lock, because test runners differ: some run all tests in one process, some start one process
/// for each test.
fn build_components_once(wanted: &Path) {
    let dist = workspace().join("components/dist");
    fs::create_dir_all(&dist).expect("components/dist can be created");
    let lock = File::create(dist.join(".lock")).expect("the lock file can be created");
    lock.lock().expect("the lock file can be locked"); // released when `lock` is dropped
    if wanted.exists() {
        return;
    }
    let build = Command::new(workspace().join("components/build.sh"))
        .stdin(Stdio::null())
        .output()
        .expect("components/build.sh can be started");
    assert!(build.status.success(), "components/build.sh failed:\n{}", String::from_utf8_lossy(&build.stderr));
}
