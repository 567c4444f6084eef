//! What the engine executes beyond WebAssembly 2.0, as Wasmtime has it by default: the garbage collector's structs and
//! arrays, and exceptions. Kotlin, Dart and Java compile to the first, C++ to the second.

use super::{Guests, guest, route};

const CONTRACT: &str = "package t:gc@1.0.0; interface i { f: func(a: u32) -> u32; } world w { export i; }";

/// A list of as many numbers as the argument says, each in a struct of its own, is made and summed up.
const STRUCTS: &str = r#"(module
    (type $cell (struct (field $value i32) (field $next (ref null $cell))))
    (func (export "t:gc/i@1.0.0#f") (param $count i32) (result i32)
        (local $list (ref null $cell)) (local $sum i32)
        (block $made
            (loop $make
                (br_if $made (i32.eqz (local.get $count)))
                (local.set $list (struct.new $cell (local.get $count) (local.get $list)))
                (local.set $count (i32.sub (local.get $count) (i32.const 1)))
                (br $make)))
        (block $end
            (loop $next
                (br_if $end (ref.is_null (local.get $list)))
                (local.set $sum (i32.add (local.get $sum) (struct.get $cell $value (local.get $list))))
                (local.set $list (struct.get $cell $next (local.get $list)))
                (br $next)))
        (local.get $sum)))"#;

/// An argument below 100 is thrown and caught, and a larger one is thrown and not caught.
const EXCEPTIONS: &str = r#"(module
    (tag $number (param i32))
    (func $throw (param i32) (throw $number (local.get 0)))
    (func (export "t:gc/i@1.0.0#f") (param $value i32) (result i32)
        (if (i32.ge_u (local.get $value) (i32.const 100)) (then (call $throw (local.get $value))))
        (block $caught (result i32)
            (try_table (result i32) (catch $number $caught)
                (call $throw (local.get $value))
                (i32.const 0)))))"#;

#[tokio::test]
async fn a_component_with_structs_of_the_garbage_collector_runs_within_its_memory_limit() {
    let manifest = "
[service.gc]
component = \"structs.wasm\"
limits = { memory = \"16MiB\" }
";
    let files = [("structs.wasm", guest(CONTRACT, STRUCTS))];
    let guests = Guests::start(&format!("{manifest}{}", route("/{a}", "gc/f")), &files).await;
    assert_eq!(guests.get("/1000").await, (200, "500500".into()));
    // 16 bytes at least for each struct: 64 MB.
    let (status, problem) = guests.get("/4000000").await;
    assert!(status == 502 && problem.contains("urn:atoll:problem:memory-limit"), "{status} {problem}");
    assert_eq!(guests.get("/1000").await, (200, "500500".into()));
}

#[tokio::test]
async fn a_component_that_throws_and_catches_runs_and_an_uncaught_exception_is_its_trap() {
    let files = [("throws.wasm", guest(CONTRACT, EXCEPTIONS))];
    let manifest = "[service.throws]\ncomponent = \"throws.wasm\"\n";
    let guests = Guests::start(&format!("{manifest}{}", route("/{a}", "throws/f")), &files).await;
    assert_eq!(guests.get("/42").await, (200, "42".into()));
    let (status, problem) = guests.get("/100").await;
    assert!(status == 502 && problem.contains("urn:atoll:problem:trap"), "{status} {problem}");
    // The guest's backtrace is in one line of the log; the failed call has a line of its own, without it.
    crate::it::atoll::eventually("both lines are there", async || {
        let log = guests.atoll.log();
        let lines = |part: &str| log.iter().filter(|line| line.contains(part)).count();
        (lines("the instance failed") == 1 && lines("a call failed") == 1).then_some(())
    })
    .await;
    let log = guests.atoll.log();
    let lines: Vec<_> = log.iter().filter(|line| line.contains("wasm backtrace")).collect();
    assert!(lines.len() == 1 && lines[0].contains("the instance failed"), "{lines:#?}");
}

/// A heap takes a memory of the engine's pool, so a pool of one instance must have room for its memory and its heap.
#[tokio::test]
async fn a_pool_that_is_full_of_heaps_makes_calls_wait_and_fails_none() {
    let manifest = "
[runtime]
instances = 2

[service.gc]
component = \"structs.wasm\"
limits = { concurrency = 2, waiting = 100, wait = \"30s\" }
";
    let with_memory = STRUCTS.replace("(module", "(module (memory 1) (memory 1)");
    let files = [("structs.wasm", guest(CONTRACT, &with_memory))];
    let guests = Guests::start(&format!("{manifest}{}", route("/{a}", "gc/f")), &files).await;
    let calls = (0..40).map(|_| guests.get("/20000"));
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(answer, (200, "200010000".into()));
    }
}
