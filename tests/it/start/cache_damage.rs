//! Cache entries that were changed are rebuilt, and errors of components are reported also by a start with a full
//! cache.

use super::{CacheHome, HELLO, OTHER, count, mapped};
use crate::it::atoll::Home;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A message that was wrapped for a terminal, as one line.
fn flat(text: &str) -> String {
    text.split_whitespace().filter(|word| *word != "|").collect::<Vec<_>>().join(" ")
}

/// Starts the host, calls both services, and stops the host. Returns the log.
async fn serve(home: &CacheHome) -> Vec<String> {
    let atoll = home.start().await;
    for (path, name) in [("/hello", HELLO), ("/other", OTHER)] {
        assert_eq!(home.revision(&atoll, path).await.as_bytes(), name);
    }
    atoll.stop().await
}

#[tokio::test]
async fn compiled_code_with_a_flipped_bit_is_rebuilt_and_never_run() {
    let home = CacheHome::new();
    home.fill().await;
    let entry = home.entry("hello.wasm", "cwasm");
    let sound = fs::read(&entry).unwrap();
    let mut code = sound.clone();
    let middle = code.len() / 2;
    code[middle] ^= 1;
    fs::write(&entry, code).unwrap();
    let log = serve(&home).await;
    assert_eq!((count(&log, "compiled code is rebuilt"), count(&log, "compiled")), (1, 1), "{log:#?}");
    assert_eq!(fs::read(&entry).unwrap(), sound, "the rebuilt code must equal the code before the damage");
    let log = serve(&home).await;
    assert_eq!((count(&log, "compiled code is rebuilt"), count(&log, "compiled")), (0, 0), "{log:#?}");
}

#[tokio::test]
async fn cache_entries_that_are_truncated_foreign_or_without_a_stamp_are_rebuilt() {
    let home = CacheHome::new();
    home.fill().await;
    for extension in ["cwasm", "seal"] {
        let (hello, other) = (home.entry("hello.wasm", extension), home.entry("other.wasm", extension));
        let sound = fs::read(&hello).unwrap();
        fs::write(&hello, &sound[..sound.len() / 2]).unwrap();
        // The entry of another component under this one's name.
        fs::copy(&hello, &other).unwrap();
        let log = serve(&home).await;
        assert_eq!(count(&log, "compiled"), 2, "{extension}: {log:#?}");
        fs::copy(&other, &hello).unwrap();
        let log = serve(&home).await;
        assert_eq!(count(&log, "compiled"), 1, "{extension}: {log:#?}");
        fs::remove_file(&hello).unwrap();
        let log = serve(&home).await;
        assert_eq!(count(&log, "compiled"), 1, "{extension}: {log:#?}");
    }
    assert_eq!(count(&serve(&home).await, "compiled"), 0);
}

#[tokio::test]
async fn compiled_code_that_others_can_write_is_never_run() {
    let home = CacheHome::new();
    home.fill().await;
    for extension in ["cwasm", "seal"] {
        mode(&home.entry("hello.wasm", extension), 0o666);
        assert_eq!(count(&serve(&home).await, "compiled"), 1, "{extension}");
        assert_eq!(fs::metadata(home.entry("hello.wasm", extension)).unwrap().permissions().mode() & 0o777, 0o600);
    }
    // Without a folder that can be trusted, the code is kept in memory.
    mode(&home.cache(), 0o755);
    let atoll = home.start().await;
    atoll.logged("compiled code is not cached").await;
    assert_eq!(home.revision(&atoll, "/hello").await.as_bytes(), HELLO);
    assert_eq!(mapped(&atoll), Vec::<String>::new());
    assert_eq!(count(&atoll.stop().await, "compiled"), 2);
}

#[tokio::test]
async fn a_start_with_a_full_cache_reports_components_that_cannot_serve() {
    let home = Home::new(
        r#"
[service.kv]
component = "{component:fixture-kv}"

[service.relay]
component = "{component:fixture-relay}"

[service.bad]
component = "bad.wasm"

[runtime]
cache = "cache"
"#,
    );
    fs::write(home.folder.path().join("bad.wasm"), b"\0asm\x0d\0\x01\0").unwrap();
    let mut errors = Vec::new();
    for _ in 0..2 {
        let output = home.output(&["run", "atoll.toml"]).await;
        assert!(!output.status.success());
        errors.push(String::from_utf8(output.stderr).unwrap());
    }
    assert_eq!(errors[0], errors[1]);
    let text = flat(&errors[1]);
    for wanted in ["atoll.toml:3:", "which needs `state = true`", "atoll.toml:9:", "exports nothing to call"] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    // This error shows only when all components can be loaded.
    home.write(&fs::read_to_string(home.manifest()).unwrap().replace("bad.wasm", "fine.wasm").replacen(
        "\n\n[service.relay]",
        "\nstate = true\n\n[service.relay]",
        1,
    ));
    fs::write(home.folder.path().join("fine.wasm"), super::numbered("fixture-hello", 1)).unwrap();
    for _ in 0..2 {
        let output = home.output(&["check", "atoll.toml"]).await;
        let errors = flat(&String::from_utf8(output.stderr).unwrap());
        assert!(!output.status.success() && errors.contains("which no service of the manifest exports"), "{errors}");
    }
}
