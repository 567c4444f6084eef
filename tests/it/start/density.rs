//! Many services in one host: little for each that nobody calls.

use super::{Yard, mapped, numbered};
use crate::it::atoll::{Atoll, Home, Http, PATIENCE, eventually};
use std::fmt::Write;
use std::fs;
use std::process::Stdio;

/// A home with so many services, each of a component of its own.
fn crowd(services: u32) -> Home {
    let mut manifest = "[runtime]\ncache = \"cache\"\n".to_owned();
    let _ = write!(manifest, "[[route]]\nprefix = \"/first\"\nservice = \"s0\"\n");
    for number in 0..services {
        let _ = write!(manifest, "[service.s{number}]\ncomponent = \"{number}.wasm\"\n");
    }
    let home = Home::new(&manifest);
    for number in 0..services {
        fs::write(home.folder.path().join(format!("{number}.wasm")), numbered("fixture-broken-start", number)).unwrap();
    }
    fs::write(home.folder.path().join("0.wasm"), numbered("fixture-hello", 0)).unwrap();
    home
}

/// Resident memory of a host with so many services that starts from a warm cache, in KiB, and their number in the table.
async fn resident(services: u32) -> (u64, usize) {
    let home = crowd(services);
    home.start().await.stop().await;
    let atoll: Atoll = home.start().await;
    assert_eq!(mapped(&atoll), Vec::<String>::new());
    let listed = Http::default().get(&format!("{}/v1/services", atoll.admin)).await.json();
    let resident = atoll.resident();
    assert_eq!(Http::default().get(&format!("{}/first", atoll.gateway)).await.status, 200);
    atoll.stop().await;
    (resident, listed.as_array().unwrap().len())
}

#[tokio::test]
async fn a_service_that_nobody_calls_costs_little_memory() {
    // Both have enough to load that every thread keeps some memory for its next allocations.
    let ((few, _), (many, listed)) = (resident(22).await, resident(62).await);
    assert_eq!(listed, 62);
    // The benchmark `start` has the real number, of a release build and of 2,000 services; here it is one that no code in memory passes.
    let each = many.saturating_sub(few) / 40;
    assert!(each < 200, "{each} KiB for each service");
}

#[tokio::test]
async fn a_host_that_is_told_to_stop_does_not_load_the_rest() {
    let home = crowd(60);
    let mut child = home.command(&["run", "atoll.toml"]).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let cache = home.folder.path().join("cache");
    let compiled = || fs::read_dir(&cache).map_or(0, |entries| entries.count() / 2);
    eventually("something is compiled", async || (compiled() > 0).then_some(())).await;
    let pid = rustix::process::Pid::from_raw(child.id().unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let status = tokio::time::timeout(PATIENCE, child.wait()).await.expect("it ends").unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(compiled() < 60, "it went on to the end");
}

#[tokio::test]
async fn entries_that_nobody_asks_for_are_bounded_and_the_others_are_not() {
    let yard = Yard::new();
    yard.fill().await;
    for number in 0..600 {
        for extension in ["cwasm", "seal"] {
            fs::write(yard.cache().join(format!("{number}.{extension}")), b"").unwrap();
        }
    }
    let atoll = yard.start().await;
    let left = async || (yard.entries("cwasm").len() == 514 && yard.entries("seal").len() == 514).then_some(());
    eventually("512 entries are left besides the two that are used", left).await;
    atoll.stop().await;
    let entry = yard.entry("hello.wasm", "cwasm");
    assert!(entry.exists() && yard.entry("other.wasm", "seal").exists());
}
