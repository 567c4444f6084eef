//! Environment variables that the manifest grants: guests of WASI 0.2 and 0.3 read them, and nobody else does.

use super::{Guests, complaint, guest, home, route, says};

/// A typed service whose `read` gives all its variables, over `wasi:cli/environment` of this version.
fn reader(version: &str) -> Vec<u8> {
    guest(
        &format!(
            "package t:env@1.0.0; interface i {{ read: func() -> list<tuple<string, string>>; }}
            world w {{ import wasi:cli/environment@{version}; export i; }}
            package wasi:cli@{version} {{
                interface environment {{ get-environment: func() -> list<tuple<string, string>>; }}
            }}"
        ),
        &format!(
            r#"(module (import "wasi:cli/environment@{version}" "get-environment" (func $get (param i32)))
                (memory (export "memory") 1) (global $free (mut i32) (i32.const 64))
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
                    (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
                    (global.set $free (i32.add (local.get $at) (local.get 3)))
                    (local.get $at))
                (func (export "t:env/i@1.0.0#read") (result i32) (call $get (i32.const 16)) (i32.const 16)))"#
        ),
    )
}

const SECRET: &str = "s3cret-of-the-shop";

const MANIFEST: &str = r#"
[service.old]
component = "old.wasm"
env = { LOG = "debug", TOKEN = { from_env = "SHOP_TOKEN" }, KEY = { file = "key.txt" } }

[service.new]
component = "new.wasm"
env = { LOG = "info" }

[service.none]
component = "new.wasm"
"#;

#[tokio::test]
async fn guests_get_the_variables_that_are_granted_to_their_service_and_no_others() {
    let routes = ["old", "new", "none"].map(|name| route(&format!("/{name}"), &format!("{name}/read"))).concat();
    let files =
        [("old.wasm", reader("0.2.6")), ("new.wasm", reader("0.3.0")), ("key.txt", b"line 1\nline 2\r\n".into())];
    let home = home(&format!("{MANIFEST}{routes}"), &files);
    let atoll = home.start_with(&[("SHOP_TOKEN", SECRET), ("LOG", "of the host")]).await;
    let guests = Guests { home, atoll, http: Default::default() };
    let old = format!(r#"[["KEY","line 1\nline 2"],["LOG","debug"],["TOKEN","{SECRET}"]]"#);
    for (service, expected) in [("old", old.as_str()), ("new", r#"[["LOG","info"]]"#), ("none", "[]")] {
        assert_eq!(guests.get(&format!("/{service}")).await, (200, expected.into()), "{service}");
    }

    // The values are in no output of the host.
    for path in ["/v1/services", "/v1/services/old", "/v1/routes", "/metrics"] {
        let answer = guests.http.get(&format!("{}{path}", guests.atoll.admin)).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(!String::from_utf8_lossy(&answer.body).contains(SECRET), "{path}");
    }
    let log = guests.atoll.stop().await;
    assert!(log.iter().all(|line| !line.contains(SECRET)), "the log has a secret");

    // Without a host it is the manifest that grants.
    let mut inspect = guests.home.command(&["inspect", "old.wasm", "--against", "old"]);
    let report = inspect.env("SHOP_TOKEN", SECRET).output().await.unwrap();
    let text = String::from_utf8([report.stdout, report.stderr].concat()).unwrap();
    assert!(text.contains("KEY, LOG, TOKEN") && !text.contains(SECRET) && !text.contains("line 1"), "{text}");
}

#[tokio::test]
async fn a_variable_that_cannot_be_read_is_a_finding_that_shows_no_value() {
    let cases = [
        (r#"{ A = { from_env = "SHOP_TOKEN" } }"#, "3:13", "`A`, but SHOP_TOKEN is not set"),
        (r#"{ A = { file = "gone.txt" } }"#, "3:13", "`A`, but the file `gone.txt` cannot be read"),
        (r#"{ A = { file = "latin.txt" } }"#, "3:13", "`A`, but the file `latin.txt` cannot be read"),
        (r#"{ A = { file = "long.txt" } }"#, "3:13", "`A`, but `long.txt` is longer than 64 KiB"),
        (r#"{ A = { file = "nul.txt" } }"#, "3:13", "`A`, but `nul.txt` is no text of UTF-8"),
        (r#"{ A = { from_file = "a" } }"#, "3:15", "`A`, which has an unknown key `from_file`"),
        (r#"{ A = {} }"#, "3:13", "`A`, which must have one of `from_env` and `file`"),
        (r#"{ A = { file = "a", from_env = "b" } }"#, "3:13", "`A`, which must have one of `from_env` and `file`"),
        (r#"{ A = 7 }"#, "3:13", "`A`, which must be a text of 0 to 8192 bytes"),
        (r#"{ "A=B" = "1" }"#, "3:9", "which is no name of a variable"),
        (r#""A=1""#, "3:7", "must be a table of at most 256"),
    ];
    let files = [
        ("env.wasm", reader("0.3.0")),
        ("latin.txt", vec![b'a', 0xe9]),
        ("long.txt", vec![b's'; 70_000]),
        ("nul.txt", b"sss\0sss".into()),
    ];
    for (env, position, why) in cases {
        let bad = home(&format!("[service.env]\ncomponent = \"env.wasm\"\nenv = {env}\n"), &files);
        let complaint = complaint(&bad, &["check"]).await;
        assert!(says(&complaint, &format!("atoll.toml:{position}")) && says(&complaint, why), "{why}\n{complaint}");
        assert!(!complaint.contains("sss"), "{complaint}");
    }
}
