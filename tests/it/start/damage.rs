//! What in the cache is not as it was left there is rebuilt, and faults of components are told however warm the cache is.

use super::{HELLO, OTHER, Yard, count, mapped};
use crate::it::atoll::Home;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A message that was wrapped for a terminal, in one line.
fn flat(text: &str) -> String {
    text.split_whitespace().filter(|word| *word != "|").collect::<Vec<_>>().join(" ")
}

/// Both services answer; then the log.
async fn serve(yard: &Yard) -> Vec<String> {
    let atoll = yard.start().await;
    for (path, name) in [("/hello", HELLO), ("/other", OTHER)] {
        assert_eq!(yard.revision(&atoll, path).await.as_bytes(), name);
    }
    atoll.stop().await
}

#[tokio::test]
async fn a_flipped_bit_in_the_code_is_found_before_it_runs() {
    let yard = Yard::new();
    yard.fill().await;
    let entry = yard.entry("hello.wasm", "cwasm");
    let sound = fs::read(&entry).unwrap();
    let mut code = sound.clone();
    let middle = code.len() / 2;
    code[middle] ^= 1;
    fs::write(&entry, code).unwrap();
    let log = serve(&yard).await;
    assert_eq!((count(&log, "compiled code is rebuilt"), count(&log, "compiled")), (1, 1), "{log:#?}");
    assert_eq!(fs::read(&entry).unwrap(), sound, "the same code as before");
    let log = serve(&yard).await;
    assert_eq!((count(&log, "compiled code is rebuilt"), count(&log, "compiled")), (0, 0), "{log:#?}");
}

#[tokio::test]
async fn entries_that_are_cut_off_foreign_or_without_a_seal_are_rebuilt() {
    let yard = Yard::new();
    yard.fill().await;
    for extension in ["cwasm", "seal"] {
        let (hello, other) = (yard.entry("hello.wasm", extension), yard.entry("other.wasm", extension));
        let sound = fs::read(&hello).unwrap();
        fs::write(&hello, &sound[..sound.len() / 2]).unwrap();
        // Another component's file under this one's name.
        fs::copy(&hello, &other).unwrap();
        let log = serve(&yard).await;
        assert_eq!(count(&log, "compiled"), 2, "{extension}: {log:#?}");
        fs::copy(&other, &hello).unwrap();
        let log = serve(&yard).await;
        assert_eq!(count(&log, "compiled"), 1, "{extension}: {log:#?}");
        fs::remove_file(&hello).unwrap();
        let log = serve(&yard).await;
        assert_eq!(count(&log, "compiled"), 1, "{extension}: {log:#?}");
    }
    assert_eq!(count(&serve(&yard).await, "compiled"), 0);
}

#[tokio::test]
async fn what_others_can_write_is_not_run() {
    let yard = Yard::new();
    yard.fill().await;
    for extension in ["cwasm", "seal"] {
        mode(&yard.entry("hello.wasm", extension), 0o666);
        assert_eq!(count(&serve(&yard).await, "compiled"), 1, "{extension}");
        assert_eq!(fs::metadata(yard.entry("hello.wasm", extension)).unwrap().permissions().mode() & 0o777, 0o600);
    }
    // Without a folder that can be trusted the code is kept in memory.
    mode(&yard.cache(), 0o755);
    let atoll = yard.start().await;
    atoll.logged("compiled code is not cached").await;
    assert_eq!(yard.revision(&atoll, "/hello").await.as_bytes(), HELLO);
    assert_eq!(mapped(&atoll), Vec::<String>::new());
    assert_eq!(count(&atoll.stop().await, "compiled"), 2);
}

#[tokio::test]
async fn a_component_that_cannot_serve_is_told_by_a_warm_start_too() {
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
    let mut told = Vec::new();
    for _ in 0..2 {
        let output = home.output(&["run", "atoll.toml"]).await;
        assert!(!output.status.success());
        told.push(String::from_utf8(output.stderr).unwrap());
    }
    assert_eq!(told[0], told[1]);
    let text = flat(&told[1]);
    for wanted in ["atoll.toml:3:", "which needs `state = true`", "atoll.toml:9:", "exports nothing to call"] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    // What shows only when all components are there.
    home.write(&fs::read_to_string(home.manifest()).unwrap().replace("bad.wasm", "fine.wasm").replacen(
        "\n\n[service.relay]",
        "\nstate = true\n\n[service.relay]",
        1,
    ));
    fs::write(home.folder.path().join("fine.wasm"), super::numbered("fixture-hello", 1)).unwrap();
    for _ in 0..2 {
        let output = home.output(&["check", "atoll.toml"]).await;
        let told = flat(&String::from_utf8(output.stderr).unwrap());
        assert!(!output.status.success() && told.contains("which no service of the manifest exports"), "{told}");
    }
}
