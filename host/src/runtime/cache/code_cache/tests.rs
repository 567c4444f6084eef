//! The cache with the smallest component there is. Each test has a folder of its own.

use super::*;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

/// The smallest component: only the preamble.
const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

const DIGEST: Digest = Digest([7; 32]);

fn folder() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
    home
}

/// A cache with one entry, which is confirmed.
fn cache_with_entry(home: &TempDir, engine: &Engine) -> (CodeCache, EntryPaths) {
    let cache = CodeCache::open(home.path(), engine);
    cache.get_or_compile(engine, DIGEST, EMPTY).unwrap();
    assert!(cache.confirm(DIGEST, 3));
    let paths = cache.paths(DIGEST).unwrap();
    (cache, paths)
}

/// Whether the cache has the code. If it has, the bytes are not read, so they need not be a component.
fn has_entry(cache: &CodeCache, engine: &Engine) -> bool {
    cache.get_or_compile(engine, DIGEST, b"no component").is_ok()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn an_entry_has_a_stamp_and_is_readable_by_its_owner_alone() {
    let (engine, home) = (Engine::default(), folder());
    let cache = CodeCache::open(&home.path().join("a/b"), &engine);
    assert_eq!(cache.stamp(DIGEST), None);
    cache.get_or_compile(&engine, DIGEST, EMPTY).unwrap();
    assert!(has_entry(&cache, &engine));
    assert_eq!(cache.stamp(DIGEST), None, "no host has confirmed that it links");
    assert!(cache.confirm(DIGEST, 3));
    let paths = cache.paths(DIGEST).unwrap();
    let stamp = cache.stamp(DIGEST).unwrap();
    assert_eq!((stamp.slots, stamp.length), (3, fs::metadata(&paths.code).unwrap().len()));
    for path in [&paths.code, &paths.stamp] {
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o600);
    }
    assert_eq!(fs::metadata(home.path().join("a/b")).unwrap().mode() & 0o777, 0o700);
    assert_eq!(fs::read_dir(home.path().join("a/b")).unwrap().count(), 2, "no draft is left");
}

#[test]
fn damaged_code_is_found_and_compiled_again() {
    let (engine, home) = (Engine::default(), folder());
    let (cache, paths) = cache_with_entry(&home, &engine);
    let code = fs::read(&paths.code).unwrap();
    for at in (0..code.len()).step_by(code.len() / 50) {
        let mut damaged = code.clone();
        damaged[at] ^= 0x10;
        fs::write(&paths.code, damaged).unwrap();
        assert!(!has_entry(&cache, &engine), "byte {at}");
    }
    // Code that was cut off is found by its length, without being read.
    fs::write(&paths.code, &code[..code.len() - 1]).unwrap();
    assert_eq!(cache.stamp(DIGEST), None);
    assert!(!has_entry(&cache, &engine));
    cache.get_or_compile(&engine, DIGEST, EMPTY).unwrap();
    assert!(has_entry(&cache, &engine));
    assert_eq!(fs::read(&paths.code).unwrap(), code);
}

#[test]
fn code_without_its_own_stamp_is_no_entry() {
    let (engine, home) = (Engine::default(), folder());
    let (cache, paths) = cache_with_entry(&home, &engine);
    let stamp = fs::read_to_string(&paths.stamp).unwrap();
    fs::write(&paths.stamp, "nonsense").unwrap();
    assert!(!has_entry(&cache, &engine));
    // A stamp of another component.
    fs::write(&paths.stamp, ArtifactStamp::parse(&stamp, DIGEST).unwrap().text(Digest([8; 32]))).unwrap();
    assert!(!has_entry(&cache, &engine) && cache.stamp(DIGEST).is_none());
    fs::remove_file(&paths.stamp).unwrap();
    assert!(!has_entry(&cache, &engine) && !cache.confirm(DIGEST, 1));
    fs::write(&paths.stamp, stamp).unwrap();
    set_mode(&paths.stamp, 0o600);
    assert!(has_entry(&cache, &engine) && cache.stamp(DIGEST).is_some());
}

#[test]
fn another_hosts_code_is_used_but_its_check_of_the_links_is_not() {
    let (engine, home) = (Engine::default(), folder());
    let (cache, _) = cache_with_entry(&home, &engine);
    let other = CodeCache { host: cache.host + 1, ..CodeCache::open(home.path(), &engine) };
    assert_eq!(other.stamp(DIGEST), None);
    assert!(has_entry(&other, &engine) && other.confirm(DIGEST, 3));
    assert!(other.stamp(DIGEST).is_some() && cache.stamp(DIGEST).is_none());
    let mut config = wasmtime::Config::new();
    config.epoch_interruption(true);
    let engine = Engine::new(&config).unwrap();
    let foreign = CodeCache::open(home.path(), &engine);
    assert!(!has_entry(&foreign, &engine), "code for another engine has another file name");
}

#[test]
fn a_folder_or_a_file_that_other_users_can_write_is_not_used() {
    let (engine, home) = (Engine::default(), folder());
    let (cache, paths) = cache_with_entry(&home, &engine);
    for path in [&paths.code, &paths.stamp] {
        set_mode(path, 0o620);
        assert!(!has_entry(&cache, &engine) && cache.stamp(DIGEST).is_none(), "{}", path.display());
        set_mode(path, 0o600);
        assert!(has_entry(&cache, &engine) && cache.stamp(DIGEST).is_some());
    }
    let aside = home.path().join("aside");
    fs::rename(&paths.code, &aside).unwrap();
    std::os::unix::fs::symlink(&aside, &paths.code).unwrap();
    assert!(!has_entry(&cache, &engine) && cache.stamp(DIGEST).is_none(), "a symbolic link may lead anywhere");
    set_mode(home.path(), 0o770);
    let open = CodeCache::open(home.path(), &engine);
    assert!(open.folder.is_none() && !open.confirm(DIGEST, 1));
    open.get_or_compile(&engine, DIGEST, EMPTY).unwrap();
}

#[test]
fn a_component_with_debug_information_is_kept_beside_its_code_and_goes_with_it() {
    let (engine, home) = (Engine::default(), folder());
    let cache = CodeCache::open(home.path(), &engine);
    // A component with one empty module, which has a section `.debug_line` of one byte.
    let module = b"\0asm\x01\0\0\0\0\x0d\x0b.debug_line\0";
    let mut lined = EMPTY.to_vec();
    lined.extend([1, u8::try_from(module.len()).unwrap()]);
    lined.extend(module);
    let digest = Digest::of(&lined);
    cache.get_or_compile(&engine, digest, &lined).unwrap();
    assert_eq!(cache.debug_information(digest).unwrap(), lined);
    cache.get_or_compile(&engine, Digest::of(EMPTY), EMPTY).unwrap();
    assert_eq!(cache.debug_information(Digest::of(EMPTY)), None, "it has none");
    let path = cache.paths(digest).unwrap().component;
    fs::write(&path, EMPTY).unwrap();
    assert_eq!(cache.debug_information(digest), None, "the file is damaged");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn prune_removes_old_drafts_and_the_oldest_unused_entries() {
    let (engine, home) = (Engine::default(), folder());
    let (_, paths) = cache_with_entry(&home, &engine);
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
            [format!("{number}.cwasm"), format!("{number}.wasm"), format!("{number}.seal")]
                .map(|name| file(&name, 100 + number as u64))
        })
        .collect();
    File::options().write(true).open(&paths.stamp).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let cache = CodeCache::open(home.path(), &engine);
    assert!(cache.stamp(DIGEST).is_some(), "reading the stamp renews its time");
    cache.prune();
    assert!(paths.code.exists() && paths.stamp.exists() && draft.exists());
    assert!(!abandoned.exists() && !bare.exists());
    let left = unused.iter().take_while(|files| files.iter().all(|file| file.exists())).count();
    assert_eq!(left, MOST_UNUSED, "the youngest entries stay");
    assert!(unused[left..].iter().flatten().all(|file| !file.exists()));
}
