//! Components that are older than the WIT files of their service: those have gone on for the component that comes next.
//! What is new is held to the files; what has served goes on, and the log says what it lacks.

use super::*;
use std::path::Path;
use std::process::Output;

/// A service that nobody calls. `fixture-products-changed` has no `release`, and another `reserve`.
const LONE: &str = "[service.lone]\ncomponent = \"lone.wasm\"\nstate = true\nwit = \"wit\"\n";
const HISTORY: &str = "\n[history]\n";
/// What is said of the older component, with the place in the files.
const LACKS: &str = "shop:products/products@1.0.0 has no function `release`, which ";
const PLACE: &str = "wit/products.wit:";
/// The mend.
const MEND: &str = "build the component from these files, or put those there first that it was built from";

/// A home whose service has the older component, with its own files.
fn home(more: &str) -> Home {
    let home = Home::new(&format!("{LONE}{more}"));
    fs::copy(component("fixture-products-changed"), home.folder.path().join("lone.wasm")).unwrap();
    fs::create_dir(home.folder.path().join("wit")).unwrap();
    files_of(&home, "components/fixtures/products-changed/wit/products.wit");
    home.link_cache();
    home
}

fn files_of(home: &Home, wit: &str) {
    let file = super::super::components::workspace().join(wit);
    fs::copy(file, home.folder.path().join("wit/products.wit")).unwrap();
}

/// The files go on.
fn files_go_on(home: &Home) {
    files_of(home, "wit/products/products.wit");
}

async fn verb(home: &Home, atoll: &Atoll, arguments: &[&str]) -> Output {
    home.output(&[arguments, &["--admin", &atoll.admin]].concat()).await
}

async fn done(home: &Home, atoll: &Atoll, arguments: &[&str]) -> String {
    let output = verb(home, atoll, arguments).await;
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    words(&output.stdout)
}

/// The complaint of a verb that refuses.
async fn refused(home: &Home, atoll: &Atoll, arguments: &[&str]) -> String {
    let output = verb(home, atoll, arguments).await;
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    words(&output.stderr)
}

/// What was printed, without the breaks of its lines.
fn words(printed: &[u8]) -> String {
    let text = String::from_utf8_lossy(printed);
    text.split_whitespace().filter(|word| !matches!(*word, "|" | "│")).collect::<Vec<_>>().join(" ")
}

/// Starts the host, which serves the component of this file, and warns that it lacks what the files describe.
async fn serves(home: &Home, file: &Path) -> Atoll {
    let atoll = home.start().await;
    assert_serves(&atoll, file).await;
    let line = atoll.logged(LACKS).await;
    assert!(line.contains("WARN") && line.contains("atoll.toml:4:7") && line.contains(PLACE), "{line}");
    assert!(line.contains(MEND), "{line}");
    atoll
}

async fn assert_serves(atoll: &Atoll, file: &Path) {
    let service = Http::default().get(&format!("{}/v1/services/lone", atoll.admin)).await.json();
    let digest = host::base::Digest::of(&fs::read(file).unwrap());
    let revision = service["revision"].as_str().unwrap_or_default();
    assert!(!revision.is_empty() && digest.to_string().starts_with(revision), "{service}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_starts_with_what_has_served_when_the_files_have_gone_on() {
    let home = home(HISTORY);
    let (old, new) = (component("fixture-products-changed"), component("products"));
    let (new_file, old_file) = (new.to_str().unwrap(), old.to_str().unwrap());
    let atoll = home.start().await;
    files_go_on(&home);
    let canary = ["swap", "lone", new_file, "--canary", "50%", "--hold"];
    done(&home, &atoll, &canary).await;
    atoll.stop().await;

    // While a canary is under way, the files are those of the canary.
    let atoll = serves(&home, &old).await;
    let rollouts = Http::default().get(&format!("{}/v1/services/lone/rollouts", atoll.admin)).await.json();
    assert_eq!(rollouts["rollouts"][0]["phase"], "canary", "{rollouts}");
    done(&home, &atoll, &["rollback", "lone"]).await;
    atoll.stop().await;

    // It was taken back.
    let atoll = serves(&home, &old).await;
    done(&home, &atoll, &["swap", "lone", new_file, "--now"]).await;
    assert_serves(&atoll, &new).await;
    done(&home, &atoll, &["rollback", "lone"]).await;
    atoll.stop().await;

    // A rollback to the manifest's own component, of which no promotion is written down.
    let atoll = serves(&home, &old).await;
    home.write(&format!("{LONE}replicas = 2\n{HISTORY}"));
    home.link_cache();
    let applied = done(&home, &atoll, &["apply", "--yes"]).await;
    assert!(applied.contains("applied"), "{applied}");
    assert_serves(&atoll, &old).await;

    // What is new is refused all the same.
    let check = home.output(&["check"]).await;
    let said = words(&check.stderr);
    assert_eq!(check.status.code(), Some(1), "{said}");
    assert!(said.contains(LACKS) && said.contains(PLACE) && said.contains(MEND), "{said}");
    done(&home, &atoll, &["swap", "lone", new_file, "--now"]).await;
    let said = refused(&home, &atoll, &["swap", "lone", old_file, "--now"]).await;
    assert!(said.contains(LACKS) && said.contains(PLACE) && said.contains(MEND), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_history_a_host_starts_with_the_manifests_component_after_a_swap() {
    let home = home("");
    let (old, new) = (component("fixture-products-changed"), component("products"));
    let atoll = home.start().await;
    files_go_on(&home);
    done(&home, &atoll, &["swap", "lone", new.to_str().unwrap()]).await;
    // The manifest names what it has named before, and with it another thing changes.
    home.write(&format!("{LONE}replicas = 2\n"));
    home.link_cache();
    done(&home, &atoll, &["apply", "--yes"]).await;
    assert_serves(&atoll, &old).await;
    atoll.logged(LACKS).await;
    done(&home, &atoll, &["swap", "lone", new.to_str().unwrap()]).await;
    atoll.stop().await;
    serves(&home, &old).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manifest_that_names_another_component_is_held_to_the_files() {
    let home = home("");
    let atoll = home.start().await;
    files_go_on(&home);
    let more = component("fixture-products-more");
    home.write(&LONE.replace("lone.wasm", more.to_str().unwrap()));
    home.link_cache();
    done(&home, &atoll, &["apply", "--yes"]).await;
    files_of(&home, "components/fixtures/products-changed/wit/products.wit");
    home.write(&LONE.replace("lone.wasm", component("products").to_str().unwrap()));
    home.link_cache();
    let said = refused(&home, &atoll, &["apply", "--yes"]).await;
    let differs = "function `reserve` of shop:products/products@1.0.0 differs";
    assert!(said.contains("atoll.toml:4:7") && said.contains(differs) && said.contains(PLACE), "{said}");
    assert!(said.contains(MEND), "{said}");
    assert_serves(&atoll, &more).await;
    // The one that serves stays, whatever becomes of the files.
    fs::write(home.folder.path().join("wit/products.wit"), "package shop:products@1.0.0; interface").unwrap();
    home.write(&format!("{}replicas = 2\n", LONE.replace("lone.wasm", more.to_str().unwrap())));
    home.link_cache();
    done(&home, &atoll, &["apply", "--yes"]).await;
    atoll.stop().await;
    let atoll = home.start().await;
    assert_serves(&atoll, &more).await;
    let line = atoll.logged("correct the file").await;
    assert!(line.contains("wit/products.wit:1:"), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn adopt_makes_no_manifest_that_its_own_check_refuses() {
    let home = home(HISTORY);
    let (file, old, new) =
        (home.folder.path().join("lone.wasm"), component("fixture-products-changed"), component("products"));
    let before = "components/fixtures/products-changed/wit/products.wit";
    let atoll = home.start().await;
    files_go_on(&home);
    done(&home, &atoll, &["swap", "lone", new.to_str().unwrap()]).await;
    done(&home, &atoll, &["adopt", "lone"]).await;
    assert_eq!(fs::read(&file).unwrap(), fs::read(&new).unwrap());
    assert!(home.output(&["check"]).await.status.success());

    done(&home, &atoll, &["rollback", "lone"]).await;
    assert_serves(&atoll, &old).await;
    let said = refused(&home, &atoll, &["adopt", "lone"]).await;
    assert!(said.contains(LACKS) && said.contains(PLACE) && said.contains(MEND), "{said}");
    assert_eq!(fs::read(&file).unwrap(), fs::read(&new).unwrap(), "it is as it was");
    assert!(home.output(&["check"]).await.status.success());
    // It was not forgotten either what serves in place of the manifest's.
    atoll.stop().await;
    let atoll = serves(&home, &old).await;
    // The mend.
    files_of(&home, before);
    done(&home, &atoll, &["adopt", "lone"]).await;
    assert_eq!(fs::read(&file).unwrap(), fs::read(&old).unwrap());
    assert!(home.output(&["check"]).await.status.success());
}
