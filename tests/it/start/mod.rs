//! What a start reads from the cache of compiled code and writes to it, and when code is loaded into memory. The log,
//! the cache folder and the memory maps of the process show it.

mod cache_damage;
mod code_loading;
mod instance_pool;
mod many_services;
mod while_compiling;

use super::atoll::{Answer, Atoll, Home, Http, hello_revision};
use super::components::component;
use std::fs;
use std::path::PathBuf;

/// Two services of one fixture in two revisions, so each has code of its own. They use a cache of their own.
const MANIFEST: &str = r#"
[service.hello]
component = "hello.wasm"

[service.other]
component = "other.wasm"

[runtime]
cache = "cache"

[[route]]
prefix = "/hello"
service = "hello"

[[route]]
prefix = "/other"
service = "other"

[[route]]
prefix = "/hasty"
service = "hello"
timeout = "10ms"
"#;

const HELLO: &[u8; 16] = b"revision-001-bbb";
const OTHER: &[u8; 16] = b"revision-002-ccc";

/// A folder with the two components and an unused cache.
struct CacheHome {
    home: Home,
    http: Http,
}

impl CacheHome {
    fn new() -> Self {
        let home = Home::new(MANIFEST);
        let home = Self { home, http: Http::default() };
        home.write_revision("hello.wasm", HELLO);
        home.write_revision("other.wasm", OTHER);
        home
    }

    /// Writes the fixture in the revision `name` to `file`.
    fn write_revision(&self, file: &str, name: &[u8; 16]) {
        let made = hello_revision(name, self.home.folder.path());
        fs::rename(made, self.home.folder.path().join(file)).unwrap();
    }

    async fn start(&self) -> Atoll {
        self.home.start_with(&[("ATOLL_LOG", "info,host::runtime=debug")]).await
    }

    /// Fills the cache: starts the host and stops it.
    async fn fill(&self) {
        let atoll = self.start().await;
        let log = atoll.stop().await;
        assert_eq!(count(&log, "compiled"), 2, "{log:#?}");
    }

    async fn get(&self, atoll: &Atoll, path: &str) -> Answer {
        self.http.get(&format!("{}{path}", atoll.gateway)).await
    }

    /// The revision that answers at `path`.
    async fn revision(&self, atoll: &Atoll, path: &str) -> String {
        let answer = self.get(atoll, path).await;
        assert_eq!(answer.status, 200, "{answer:?}\n{}", atoll.log().join("\n"));
        answer.json()["revision"].as_str().unwrap().to_owned()
    }

    fn cache(&self) -> PathBuf {
        self.home.folder.path().join("cache")
    }

    /// The files of the cache with this extension, sorted.
    fn entries(&self, extension: &str) -> Vec<PathBuf> {
        let files = fs::read_dir(self.cache()).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|own| own == extension)).collect();
        files.sort();
        files
    }

    /// The cache entry of the component `file`, with this extension.
    fn entry(&self, file: &str, extension: &str) -> PathBuf {
        let bytes = fs::read(self.home.folder.path().join(file)).unwrap();
        let digest = host::base::Digest::of(&bytes).to_string();
        let found = self.entries(extension).into_iter().find(|path| path.to_string_lossy().contains(&digest));
        found.unwrap_or_else(|| panic!("{file} has no .{extension}"))
    }
}

/// The files of compiled code that the process has mapped as executable, once for each mapping.
fn mapped(atoll: &Atoll) -> Vec<String> {
    let maps = fs::read_to_string(format!("/proc/{}/maps", atoll.pid())).unwrap();
    let runs = maps.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).filter(|line| line[1] == "r-xp");
    let files = runs.filter_map(|line| line.get(5).copied()).filter(|file| file.contains(".cwasm"));
    let mut files: Vec<_> = files.map(str::to_owned).collect();
    files.sort();
    files
}

/// How many events of the log have this message.
fn count(log: &[String], message: &str) -> usize {
    log.iter().filter(|line| line.contains(&format!("\"message\":\"{message}\""))).count()
}

/// The fixture's bytes with a number in a section of its own at their end: another component with the same behaviour.
fn numbered(fixture: &str, number: u32) -> Vec<u8> {
    let mut bytes = fs::read(component(fixture)).unwrap();
    // A custom section (0): its length, the length of its name, its name, its content.
    bytes.extend([0, 6, 1, b'n']);
    bytes.extend(number.to_le_bytes());
    bytes
}
