//! A service's code is loaded when it is first called, once, and found wherever it can be.

use super::{HELLO, OTHER, Yard, count, mapped};
use futures_util::future::{join, join_all};
use std::fs;

fn text(name: &[u8; 16]) -> &str {
    std::str::from_utf8(name).unwrap()
}

#[tokio::test]
async fn a_warm_start_compiles_nothing_and_loads_nothing() {
    let yard = Yard::new();
    let cold = yard.start().await;
    assert_eq!(yard.entries("cwasm").len(), 2);
    assert_eq!(yard.entries("seal").len(), 2);
    assert_eq!(mapped(&cold), Vec::<String>::new(), "what was compiled was let go again");
    assert_eq!(yard.revision(&cold, "/hello").await, text(HELLO));
    assert_eq!(count(&cold.stop().await, "compiled"), 2);

    let warm = yard.start().await;
    assert_eq!(mapped(&warm), Vec::<String>::new());
    assert_eq!(yard.revision(&warm, "/hello").await, text(HELLO));
    let hello = yard.entry("hello.wasm", "cwasm");
    assert_eq!(mapped(&warm), [hello.canonicalize().unwrap().display().to_string()], "the other was not called");
    assert_eq!(yard.revision(&warm, "/other").await, text(OTHER));
    assert_eq!(mapped(&warm).len(), 2);
    let log = warm.stop().await;
    assert_eq!((count(&log, "compiled"), count(&log, "loaded")), (0, 2), "{log:#?}");
}

#[tokio::test]
async fn the_first_callers_wait_for_one_load() {
    let yard = Yard::new();
    yard.fill().await;
    let atoll = yard.start().await;
    let answers = join_all((0..40).map(async |_| yard.revision(&atoll, "/hello").await)).await;
    assert!(answers.iter().all(|answer| answer == text(HELLO)));
    let log = atoll.stop().await;
    assert_eq!(count(&log, "loaded"), 1, "{log:#?}");
}

#[tokio::test]
async fn code_that_went_away_while_the_host_runs_is_compiled_again() {
    let yard = Yard::new();
    yard.fill().await;
    let atoll = yard.start().await;
    fs::remove_dir_all(yard.cache()).unwrap();
    let answers = join_all((0..10).map(async |_| yard.revision(&atoll, "/hello").await)).await;
    assert!(answers.iter().all(|answer| answer == text(HELLO)));
    let log = atoll.stop().await;
    assert_eq!((count(&log, "compiled"), count(&log, "loaded")), (1, 1), "{log:#?}");
}

#[tokio::test]
async fn a_caller_that_gives_up_does_not_end_the_load() {
    let yard = Yard::new();
    yard.fill().await;
    let atoll = yard.start().await;
    // To compile takes longer than the hasty have.
    fs::remove_file(yard.entry("hello.wasm", "cwasm")).unwrap();
    let (hasty, patient) = join(yard.get(&atoll, "/hasty"), yard.revision(&atoll, "/hello")).await;
    assert_eq!((hasty.status.as_u16(), patient.as_str()), (503, text(HELLO)));
    assert_eq!(hasty.problem()["type"], "urn:atoll:problem:overloaded", "it is no fault of the service");
    let log = atoll.stop().await;
    assert_eq!((count(&log, "compiled"), count(&log, "loaded")), (1, 1), "{log:#?}");
}

#[tokio::test]
async fn code_that_cannot_be_had_is_an_error_until_it_can() {
    let yard = Yard::new();
    yard.fill().await;
    let atoll = yard.start().await;
    fs::remove_file(yard.entry("hello.wasm", "cwasm")).unwrap();
    yard.place("hello.wasm", OTHER);
    let answer = yard.get(&atoll, "/hello").await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.problem()["type"], "urn:atoll:problem:instantiation");
    assert!(!answer.problem().to_string().contains(".wasm"), "the outside learns nothing of files");
    let line = atoll.logged("its code cannot be loaded").await;
    assert!(line.contains("hello.wasm is another component now"), "{line}");
    assert_eq!(yard.revision(&atoll, "/other").await, text(OTHER), "it is a matter of that one service");
    // The failure is not kept.
    yard.place("hello.wasm", HELLO);
    assert_eq!(yard.revision(&atoll, "/hello").await, text(HELLO));
    atoll.stop().await;
}

#[tokio::test]
async fn a_swap_and_a_rollback_depend_on_no_file() {
    let yard = Yard::new();
    yard.fill().await;
    let atoll = yard.start().await;
    let swap = |name: &str| http::Request::post(format!("{}/v1/services/{name}/swap", atoll.admin));
    let other = fs::read(yard.home.folder.path().join("other.wasm")).unwrap();
    // The service was never called, so nothing has loaded its code yet.
    let request = swap("hello").header("content-type", "application/wasm");
    assert_eq!(yard.http.send(request, other).await.status, 200);
    fs::remove_dir_all(yard.cache()).unwrap();
    fs::remove_file(yard.home.folder.path().join("hello.wasm")).unwrap();
    assert_eq!(yard.revision(&atoll, "/hello").await, text(OTHER));
    let back = http::Request::post(format!("{}/v1/services/hello/rollback", atoll.admin));
    assert_eq!(yard.http.send(back, "").await.status, 200);
    assert_eq!(yard.revision(&atoll, "/hello").await, text(HELLO));
    atoll.stop().await;
}

#[tokio::test]
async fn services_of_one_component_share_its_code() {
    let yard = Yard::new();
    // Now both are the same component.
    yard.place("other.wasm", HELLO);
    let first = yard.start().await;
    assert_eq!(yard.entries("cwasm").len(), 1);
    drop(first.stop().await);
    let atoll = yard.start().await;
    assert_eq!(yard.revision(&atoll, "/hello").await, text(HELLO));
    // What is in memory is not looked for anywhere else.
    fs::remove_dir_all(yard.cache()).unwrap();
    for file in ["hello.wasm", "other.wasm"] {
        fs::remove_file(yard.home.folder.path().join(file)).unwrap();
    }
    assert_eq!(yard.revision(&atoll, "/other").await, text(HELLO));
    assert_eq!(mapped(&atoll).len(), 1, "and is there once");
    atoll.stop().await;
}
