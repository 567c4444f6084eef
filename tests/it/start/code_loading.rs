//! A service's code is loaded once, when the service is first called, from wherever it can be found.

use super::{CacheHome, HELLO, OTHER, count, mapped};
use futures_util::future::{join, join_all};
use std::fs;

fn text(name: &[u8; 16]) -> &str {
    std::str::from_utf8(name).unwrap()
}

#[tokio::test]
async fn a_start_with_a_full_cache_compiles_nothing_and_loads_code_at_the_first_call() {
    let home = CacheHome::new();
    let cold = home.start().await;
    assert_eq!(home.entries("cwasm").len(), 2);
    assert_eq!(home.entries("seal").len(), 2);
    assert_eq!(mapped(&cold), Vec::<String>::new(), "compiled code must not stay in memory before the first call");
    assert_eq!(home.revision(&cold, "/hello").await, text(HELLO));
    assert_eq!(count(&cold.stop().await, "compiled"), 2);

    let warm = home.start().await;
    assert_eq!(mapped(&warm), Vec::<String>::new());
    assert_eq!(home.revision(&warm, "/hello").await, text(HELLO));
    let hello = home.entry("hello.wasm", "cwasm");
    assert_eq!(
        mapped(&warm),
        [hello.canonicalize().unwrap().display().to_string()],
        "only the code of the called service may be loaded"
    );
    assert_eq!(home.revision(&warm, "/other").await, text(OTHER));
    assert_eq!(mapped(&warm).len(), 2);
    let log = warm.stop().await;
    assert_eq!((count(&log, "compiled"), count(&log, "loaded")), (0, 2), "{log:#?}");
}

#[tokio::test]
async fn concurrent_first_calls_share_one_load() {
    let home = CacheHome::new();
    home.fill().await;
    let atoll = home.start().await;
    let answers = join_all((0..40).map(async |_| home.revision(&atoll, "/hello").await)).await;
    assert!(answers.iter().all(|answer| answer == text(HELLO)));
    let log = atoll.stop().await;
    assert_eq!(count(&log, "loaded"), 1, "{log:#?}");
}

#[tokio::test]
async fn a_cache_deleted_while_the_host_runs_is_compiled_again() {
    let home = CacheHome::new();
    home.fill().await;
    let atoll = home.start().await;
    fs::remove_dir_all(home.cache()).unwrap();
    let answers = join_all((0..10).map(async |_| home.revision(&atoll, "/hello").await)).await;
    assert!(answers.iter().all(|answer| answer == text(HELLO)));
    let log = atoll.stop().await;
    assert_eq!((count(&log, "compiled"), count(&log, "loaded")), (1, 1), "{log:#?}");
}

#[tokio::test]
async fn a_first_caller_that_times_out_does_not_cancel_the_load() {
    let home = CacheHome::new();
    home.fill().await;
    let atoll = home.start().await;
    // Compiling takes longer than the timeout of `/hasty`.
    fs::remove_file(home.entry("hello.wasm", "cwasm")).unwrap();
    let (hasty, patient) = join(home.get(&atoll, "/hasty"), home.revision(&atoll, "/hello")).await;
    assert_eq!((hasty.status.as_u16(), patient.as_str()), (503, text(HELLO)));
    assert_eq!(
        hasty.problem()["type"],
        "urn:atoll:problem:overloaded",
        "a caller that gives up must not be answered as a failure of the service"
    );
    let log = atoll.stop().await;
    assert_eq!((count(&log, "compiled"), count(&log, "loaded")), (1, 1), "{log:#?}");
}

#[tokio::test]
async fn code_that_cannot_be_loaded_is_an_error_until_its_file_is_back() {
    let home = CacheHome::new();
    home.fill().await;
    let atoll = home.start().await;
    fs::remove_file(home.entry("hello.wasm", "cwasm")).unwrap();
    home.write_revision("hello.wasm", OTHER);
    let answer = home.get(&atoll, "/hello").await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.problem()["type"], "urn:atoll:problem:instantiation");
    assert!(!answer.problem().to_string().contains(".wasm"), "the answer must not show a file name");
    let line = atoll.logged("its code cannot be loaded").await;
    assert!(line.contains("hello.wasm is another component now"), "{line}");
    assert_eq!(home.revision(&atoll, "/other").await, text(OTHER), "the other service must not be affected");
    // The failure is not remembered.
    home.write_revision("hello.wasm", HELLO);
    assert_eq!(home.revision(&atoll, "/hello").await, text(HELLO));
    atoll.stop().await;
}

#[tokio::test]
async fn a_swap_and_a_rollback_work_without_cache_and_component_file() {
    let home = CacheHome::new();
    home.fill().await;
    let atoll = home.start().await;
    let swap = |name: &str| http::Request::post(format!("{}/v1/services/{name}/swap", atoll.admin));
    let other = fs::read(home.home.folder.path().join("other.wasm")).unwrap();
    // The service was never called, so its code is not loaded yet.
    let request = swap("hello").header("content-type", "application/wasm");
    assert_eq!(home.http.send(request, other).await.status, 200);
    fs::remove_dir_all(home.cache()).unwrap();
    fs::remove_file(home.home.folder.path().join("hello.wasm")).unwrap();
    assert_eq!(home.revision(&atoll, "/hello").await, text(OTHER));
    let back = http::Request::post(format!("{}/v1/services/hello/rollback", atoll.admin));
    assert_eq!(home.http.send(back, "").await.status, 200);
    assert_eq!(home.revision(&atoll, "/hello").await, text(HELLO));
    atoll.stop().await;
}

#[tokio::test]
async fn services_of_one_component_share_its_code_in_memory() {
    let home = CacheHome::new();
    // Now both services have the same component.
    home.write_revision("other.wasm", HELLO);
    let first = home.start().await;
    assert_eq!(home.entries("cwasm").len(), 1);
    drop(first.stop().await);
    let atoll = home.start().await;
    assert_eq!(home.revision(&atoll, "/hello").await, text(HELLO));
    // Code that is in memory is not read from a file again.
    fs::remove_dir_all(home.cache()).unwrap();
    for file in ["hello.wasm", "other.wasm"] {
        fs::remove_file(home.home.folder.path().join(file)).unwrap();
    }
    assert_eq!(home.revision(&atoll, "/other").await, text(HELLO));
    assert_eq!(mapped(&atoll).len(), 1, "the shared code must be in memory once");
    atoll.stop().await;
}
