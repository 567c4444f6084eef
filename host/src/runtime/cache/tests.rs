//! The cache with the smallest component there is, in folders of its own.

use super::*;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

/// Only the preamble.
const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

const DIGEST: Digest = Digest([7; 32]);

fn folder() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
    home
}

/// A cache with one entry, which is confirmed.
fn kept(home: &TempDir, engine: &Engine) -> (Cache, Paths) {
    let cache = Cache::open(home.path(), engine);
    cache.get_or_compile(engine, DIGEST, EMPTY).unwrap();
    assert!(cache.confirm(DIGEST, 3));
    let paths = cache.paths(DIGEST).unwrap();
    (cache, paths)
}

/// Whether the code comes from the cache: then the bytes are not even looked at.
fn is_kept(cache: &Cache, engine: &Engine) -> bool {
    cache.get_or_compile(engine, DIGEST, b"no component").is_ok()
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn code_is_kept_with_a_seal_and_for_nobody_else() {
    let (engine, home) = (Engine::default(), folder());
    let cache = Cache::open(&home.path().join("a/b"), &engine);
    assert_eq!(cache.seal(DIGEST), None);
    cache.get_or_compile(&engine, DIGEST, EMPTY).unwrap();
    assert!(is_kept(&cache, &engine));
    assert_eq!(cache.seal(DIGEST), None, "nobody has said yet that it links");
    assert!(cache.confirm(DIGEST, 3));
    let paths = cache.paths(DIGEST).unwrap();
    let seal = cache.seal(DIGEST).unwrap();
    assert_eq!((seal.slots, seal.length), (3, fs::metadata(&paths.code).unwrap().len()));
    for path in [&paths.code, &paths.seal] {
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o600);
    }
    assert_eq!(fs::metadata(home.path().join("a/b")).unwrap().mode() & 0o777, 0o700);
    assert_eq!(fs::read_dir(home.path().join("a/b")).unwrap().count(), 2, "no draft is left");
}

#[test]
fn every_damage_of_the_code_is_found_and_rebuilt() {
    let (engine, home) = (Engine::default(), folder());
    let (cache, paths) = kept(&home, &engine);
    let code = fs::read(&paths.code).unwrap();
    for at in (0..code.len()).step_by(code.len() / 50) {
        let mut damaged = code.clone();
        damaged[at] ^= 0x10;
        fs::write(&paths.code, damaged).unwrap();
        assert!(!is_kept(&cache, &engine), "byte {at}");
    }
    // What is cut off shows without its being read.
    fs::write(&paths.code, &code[..code.len() - 1]).unwrap();
    assert_eq!(cache.seal(DIGEST), None);
    assert!(!is_kept(&cache, &engine));
    cache.get_or_compile(&engine, DIGEST, EMPTY).unwrap();
    assert!(is_kept(&cache, &engine));
    assert_eq!(fs::read(&paths.code).unwrap(), code);
}

#[test]
fn code_without_its_seal_is_no_entry() {
    let (engine, home) = (Engine::default(), folder());
    let (cache, paths) = kept(&home, &engine);
    let seal = fs::read_to_string(&paths.seal).unwrap();
    fs::write(&paths.seal, "nonsense").unwrap();
    assert!(!is_kept(&cache, &engine));
    // A seal of another component.
    fs::write(&paths.seal, ArtifactStamp::parse(&seal, DIGEST).unwrap().text(Digest([8; 32]))).unwrap();
    assert!(!is_kept(&cache, &engine) && cache.seal(DIGEST).is_none());
    fs::remove_file(&paths.seal).unwrap();
    assert!(!is_kept(&cache, &engine) && !cache.confirm(DIGEST, 1));
    fs::write(&paths.seal, seal).unwrap();
    mode(&paths.seal, 0o600);
    assert!(is_kept(&cache, &engine) && cache.seal(DIGEST).is_some());
}

#[test]
fn what_another_host_found_out_is_not_believed_but_its_code_is() {
    let (engine, home) = (Engine::default(), folder());
    let (cache, _) = kept(&home, &engine);
    let other = Cache { host: cache.host + 1, ..Cache::open(home.path(), &engine) };
    assert_eq!(other.seal(DIGEST), None);
    assert!(is_kept(&other, &engine) && other.confirm(DIGEST, 3));
    assert!(other.seal(DIGEST).is_some() && cache.seal(DIGEST).is_none());
    let mut config = wasmtime::Config::new();
    config.epoch_interruption(true);
    let engine = Engine::new(&config).unwrap();
    let foreign = Cache::open(home.path(), &engine);
    assert!(!is_kept(&foreign, &engine), "code for another engine has another name");
}

#[test]
fn a_folder_or_a_file_that_others_can_write_is_not_used() {
    let (engine, home) = (Engine::default(), folder());
    let (cache, paths) = kept(&home, &engine);
    for path in [&paths.code, &paths.seal] {
        mode(path, 0o620);
        assert!(!is_kept(&cache, &engine) && cache.seal(DIGEST).is_none(), "{}", path.display());
        mode(path, 0o600);
        assert!(is_kept(&cache, &engine) && cache.seal(DIGEST).is_some());
    }
    let aside = home.path().join("aside");
    fs::rename(&paths.code, &aside).unwrap();
    std::os::unix::fs::symlink(&aside, &paths.code).unwrap();
    assert!(!is_kept(&cache, &engine) && cache.seal(DIGEST).is_none(), "a link leads anywhere");
    mode(home.path(), 0o770);
    let open = Cache::open(home.path(), &engine);
    assert!(open.folder.is_none() && !open.confirm(DIGEST, 1));
    open.get_or_compile(&engine, DIGEST, EMPTY).unwrap();
}

#[test]
fn old_drafts_and_the_oldest_unused_entries_go() {
    let (engine, home) = (Engine::default(), folder());
    let (_, paths) = kept(&home, &engine);
    let file = |name: &str, age: u64| {
        let path = home.path().join(name);
        fs::write(&path, b"").unwrap();
        let time = SystemTime::now() - Duration::from_secs(age);
        File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        path
    };
    let (draft, abandoned) = (file("x.1-2.tmp", 60), file("x.1-3.tmp", 7200));
    let bare = file("bare.cwasm", 60);
    let unused: Vec<_> = (0..MOST_UNUSED + 3)
        .map(|number| {
            [format!("{number}.cwasm"), format!("{number}.seal")].map(|name| file(&name, 100 + number as u64))
        })
        .collect();
    File::options().write(true).open(&paths.seal).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let cache = Cache::open(home.path(), &engine);
    assert!(cache.seal(DIGEST).is_some(), "its use renews it");
    cache.prune();
    assert!(paths.code.exists() && paths.seal.exists() && draft.exists());
    assert!(!abandoned.exists() && !bare.exists());
    let left = unused.iter().take_while(|files| files.iter().all(|file| file.exists())).count();
    assert_eq!(left, MOST_UNUSED, "the youngest stay");
    assert!(unused[left..].iter().flatten().all(|file| !file.exists()));
}
