//! What guests say by `wasi:logging`, what they print and do not flush, and a host that keeps no lines.

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
async fn what_a_guest_of_wasi_0_2_prints_without_a_flush_is_logged_however_it_ends() {
    let home = Home::new(
        "[telemetry.logs]\nkeep = \"1MiB\"\n[service.endings]\ncomponent = \"{component:fixture-endings02}\"\n\
         retry = { tries = 0 }\n[[route]]\nprefix = \"/\"\nservice = \"endings\"\n",
    );
    let atoll = home.start().await;
    // More lines than a turn has, in one write.
    let printed: Vec<String> = (0..40).map(|number| format!("line {number}")).collect();
    for (guest, status) in [("return", 200), ("trap", 502), ("return", 200)] {
        let answer = Http::default().get(&format!("{}/printed/{guest}", atoll.gateway)).await;
        assert_eq!(answer.status, status, "{answer:?}");
        let id = answer.header("x-request-id");
        let logs = Http::default().get(&format!("{}/v1/logs?service=endings&limit=1000", atoll.admin)).await.json();
        let of_request = logs["lines"].as_array().unwrap().iter().filter(|line| line["request_id"] == id);
        let lines: Vec<_> = of_request.filter_map(|line| line["text"].as_str()).collect();
        let lines: Vec<_> = lines.into_iter().filter(|line| line.starts_with("line ")).collect();
        assert_eq!(lines, printed, "{guest}");
    }
    let traps = Http::default().get(&format!("{}/v1/traps?service=endings", atoll.admin)).await.json();
    let told = traps[0]["error_output"].as_str().unwrap_or_default();
    assert!(told.starts_with("line 0\n") && told.contains("line 39"), "{traps}");
}

#[tokio::test]
async fn without_a_memory_logs_say_which_key_turns_it_on() {
    let home = Home::new("[service.hello]\ncomponent = \"{component:fixture-hello}\"\n");
    let atoll = home.start().await;
    let output = home.command(&["logs"]).env("ATOLL_ADMIN", &atoll.admin).output().await.unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && text.contains("set `keep` in [telemetry.logs]"), "{text}");
}
