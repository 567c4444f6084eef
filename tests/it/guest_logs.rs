//! What guests say by `wasi:logging`, and a host that keeps no lines.

use super::atoll::{Home, Http};

/// Says `hello` about `cart` at the level `critical` by `wasi:logging`, which it imports by this name.
fn logging_component(import: &str) -> Vec<u8> {
    let text = r#"(component
        (import "IMPORT" (instance $logging
            (type $words (enum "trace" "debug" "info" "warn" "error" "critical"))
            (export "level" (type $level (eq $words)))
            (export "log" (func (param "level" $level) (param "context" string) (param "message" string)))))
        (core module $memory
            (memory (export "memory") 1)
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable)
            (data (i32.const 0) "carthello"))
        (core instance $memory (instantiate $memory))
        (core func $log (canon lower (func $logging "log") (memory (core memory $memory "memory"))
            (realloc (core func $memory "realloc"))))
        (core module $speaker
            (import "" "log" (func $log (param i32 i32 i32 i32 i32)))
            (func (export "say") (call $log
                (i32.const 5) (i32.const 0) (i32.const 4) (i32.const 4) (i32.const 5))))
        (core instance $speaker (instantiate $speaker (with "" (instance (export "log" (func $log))))))
        (func $say (canon lift (core func $speaker "say")))
        (instance $greeter (export "say" (func $say)))
        (export "test:logging/greeter@1.0.0" (instance $greeter)))"#;
    wat::parse_str(text.replace("IMPORT", import)).unwrap()
}

#[tokio::test]
async fn a_guest_logs_by_wasi_logging_in_both_of_its_versions() {
    for import in ["wasi:logging/logging", "wasi:logging/logging@0.1.0-draft"] {
        let home = Home::new(
            "[telemetry.logs]\nkeep = \"1MiB\"\n[service.speaker]\ncomponent = \"speaker.wasm\"\n\
             [[route]]\npath = \"/say\"\nmethod = \"POST\"\ncall = \"speaker/say\"\n",
        );
        std::fs::write(home.folder.path().join("speaker.wasm"), logging_component(import)).unwrap();
        let atoll = home.start().await;
        let said = Http::default().send(http::Request::post(format!("{}/say", atoll.gateway)), "").await;
        assert!(said.status.is_success(), "{said:?}");
        let lines = Http::default().get(&format!("{}/v1/logs?service=speaker&level=error", atoll.admin)).await.json();
        let line = &lines["lines"][0];
        assert_eq!((&line["text"], &line["fields"]["topic"]), (&"hello".into(), &"cart".into()), "{line}");
        assert_eq!(line["request_id"], said.header("x-request-id"));
    }
}

#[tokio::test]
async fn without_a_memory_logs_say_which_key_turns_it_on() {
    let home = Home::new("[service.hello]\ncomponent = \"{component:fixture-hello}\"\n");
    let atoll = home.start().await;
    let output = home.command(&["logs"]).env("ATOLL_ADMIN", &atoll.admin).output().await.unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && text.contains("set `keep` in [telemetry.logs]"), "{text}");
}
