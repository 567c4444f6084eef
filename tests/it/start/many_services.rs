//! Many services in one host: a service that nobody calls must cost little.

use super::{CacheHome, mapped, numbered};
use crate::it::atoll::{Atoll, Home, Http, TIMEOUT, eventually};
use std::fmt::Write;
use std::fs;
use std::process::Stdio;

/// A folder with so many services, each with a component of its own.
fn home_of(services: u32) -> Home {
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

/// Resident memory in KiB of a host with so many services that starts with a full cache, and how many the table
/// lists.
async fn resident(services: u32) -> (u64, usize) {
    let home = home_of(services);
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
async fn a_service_that_nobody_calls_costs_less_than_200_kib() {
    // Both hosts load enough that every thread keeps some memory for its next allocations.
    let ((few, _), (many, listed)) = (resident(22).await, resident(62).await);
    assert_eq!(listed, 62);
    // The benchmark `start` measures the real number, with a release build and 2,000 services. The bound here is one
    // that a service with its code in memory would exceed.
    let each = many.saturating_sub(few) / 40;
    assert!(each < 200, "each service that nobody calls costs {each} KiB");
}

#[tokio::test]
async fn a_host_told_to_stop_while_it_compiles_ends_without_compiling_the_rest() {
    let home = home_of(60);
    let mut child = home.command(&["run", "atoll.toml"]).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let cache = home.folder.path().join("cache");
    let compiled = || fs::read_dir(&cache).map_or(0, |entries| entries.count() / 2);
    eventually("a first component is compiled", async || (compiled() > 0).then_some(())).await;
    let pid = rustix::process::Pid::from_raw(child.id().unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let status = tokio::time::timeout(TIMEOUT, child.wait()).await.expect("the host did not end in time").unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(compiled() < 60, "the host has compiled all components before it stopped");
}

#[tokio::test]
async fn a_start_keeps_512_unused_cache_entries_and_all_used_ones() {
    let home = CacheHome::new();
    home.fill().await;
    for number in 0..600 {
        for extension in ["cwasm", "seal"] {
            fs::write(home.cache().join(format!("{number}.{extension}")), b"").unwrap();
        }
    }
    let atoll = home.start().await;
    let left = async || (home.entries("cwasm").len() == 514 && home.entries("seal").len() == 514).then_some(());
    eventually("512 unused entries are left besides the two used ones", left).await;
    atoll.stop().await;
    let entry = home.entry("hello.wasm", "cwasm");
    assert!(entry.exists() && home.entry("other.wasm", "seal").exists());
}
