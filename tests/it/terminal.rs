//! The verbs that people watch, on a terminal: `top`, `logs --follow`, `traps` and `trace` through a pseudo-terminal,
//! which `script` of util-linux makes.

use super::atoll::{Atoll, Home, Http, TIMEOUT, eventually};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

const MANIFEST: &str = r#"
[telemetry]
sample = 0

[telemetry.logs]
keep = "1MiB"

[service.hostile]
component = "{component:fixture-hostile}"
breaker = { failure_threshold = 1000 }
retry = { tries = 0 }

[service.hello]
component = "{component:fixture-hello}"

[[route]]
prefix = "/hostile"
strip_prefix = "/hostile"
service = "hostile"

[[route]]
prefix = "/hello"
strip_prefix = "/hello"
service = "hello"
"#;

/// A verb on a terminal of its own.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    /// All that was written to it.
    written: Arc<Mutex<String>>,
}

impl Terminal {
    /// Runs `atoll` with these arguments on a terminal of this size, and then shows how the terminal is set.
    fn run(home: &Home, atoll: &Atoll, (columns, rows): (usize, usize), arguments: &str) -> Self {
        let binary = env!("CARGO_BIN_EXE_atoll");
        let line =
            format!("stty columns {columns} rows {rows}; '{binary}' --admin {} {arguments}; stty -a", atoll.admin);
        let mut command = Command::new("script");
        // Quiet, unbuffered, with the status of the line, and with an echo of keys that a verb has to switch off.
        command.args(["-q", "-f", "-e", "-E", "always", "-c", &line, "/dev/null"]);
        command
            .current_dir(home.folder.path())
            .env_remove("ATOLL_ADMIN_TOKEN")
            .env("TERM", "xterm")
            .env("SHELL", "/bin/sh");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("`script` is a part of util-linux");
        let (keys, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let written = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&written);
        tokio::spawn(async move {
            let mut bytes = Vec::new();
            while screen.read_buf(&mut bytes).await.is_ok_and(|count| count > 0) {
                *kept.lock().unwrap() = String::from_utf8_lossy(&bytes).into_owned();
            }
        });
        Self { child, keys, written }
    }

    fn written(&self) -> String {
        self.written.lock().unwrap().clone()
    }

    /// The lines of the last picture of a verb that fills the screen, without control sequences.
    fn picture(&self) -> Vec<String> {
        let written = self.written();
        let last = written.rsplit("\u{1b}[H").next().unwrap_or_default();
        let lines = last.split('\n').map(|line| line.replace("\u{1b}[K", "").replace("\u{1b}[J", ""));
        // The terminal puts a carriage return of its own before each line feed.
        lines.map(|line| line.trim_end_matches('\r').to_owned()).collect()
    }

    async fn shows(&self, text: &str) {
        eventually(text, async || self.written().contains(text).then_some(())).await;
    }

    async fn press(&mut self, keys: &[u8]) {
        self.keys.write_all(keys).await.unwrap();
        self.keys.flush().await.unwrap();
    }

    /// All that was written, once the verb has ended by itself.
    async fn ended(mut self) -> String {
        let status = timeout(TIMEOUT, self.child.wait()).await.expect("it ends").unwrap();
        assert!(status.success(), "{status}: {}", self.written());
        // The reader has all of it when the settings of the terminal are there.
        self.shows("icanon").await;
        self.written()
    }
}

async fn start() -> (Home, Atoll, Http) {
    let home = Home::new(MANIFEST);
    let atoll = home.start().await;
    (home, atoll, Http::default())
}

#[tokio::test]
async fn top_fills_the_screen_lives_on_and_gives_the_terminal_back() {
    let (home, atoll, http) = start().await;
    let mut top = Terminal::run(&home, &atoll, (60, 12), "top");
    eventually("the services", async || {
        http.get(&format!("{}/hello/", atoll.gateway)).await;
        let picture = top.picture();
        let row = |name: &str| picture.iter().any(|line| line.starts_with(name));
        (row("hello") && row("hostile")).then_some(())
    })
    .await;
    let forced = home.output(&["--admin", &atoll.admin, "breaker", "open", "hostile"]).await;
    assert!(forced.status.success());
    // The change is seen in the picture that follows, and the service with the open circuit comes first.
    eventually("the circuit", async || {
        let picture = top.picture();
        let services: Vec<_> = picture.iter().filter(|line| line.starts_with('h')).collect();
        (services.first()?.starts_with("hostile") && picture.iter().any(|line| line.contains("circuit-"))).then_some(())
    })
    .await;
    let picture = top.picture();
    assert!(picture.len() <= 12 && picture.iter().all(|line| line.chars().count() <= 60), "{picture:#?}");
    top.press(b"q").await;
    let written = top.ended().await;
    let [entered, left] = ["\u{1b}[?1049h", "\u{1b}[?1049l"].map(|sequence| written.find(sequence));
    assert!(entered < left && entered.is_some(), "the screen before is back: {written:?}");
    let set = written.rsplit("\u{1b}[?1049l").next().unwrap();
    assert!(set.contains(" icanon") && set.contains(" echo "), "keys are shown again: {set}");
}

#[tokio::test]
async fn top_ends_by_escape() {
    let (home, atoll, _) = start().await;
    let mut top = Terminal::run(&home, &atoll, (80, 24), "top");
    top.shows("services,").await;
    top.press(b"\x1b").await;
    top.ended().await;
}

#[tokio::test]
async fn the_log_goes_on_until_ctrl_c() {
    let (home, atoll, http) = start().await;
    let mut log = Terminal::run(&home, &atoll, (100, 24), "logs hostile --follow");
    for _ in 0..2 {
        assert_eq!(http.get(&format!("{}/hostile/trap", atoll.gateway)).await.status, 502);
        log.shows("hostile").await;
    }
    log.shows("trap").await;
    log.press(b"\x03").await;
    timeout(TIMEOUT, log.child.wait()).await.expect("Ctrl-C ends it").unwrap();
}

#[tokio::test]
async fn traps_and_traces_are_drawn_within_the_terminal() {
    let (home, atoll, http) = start().await;
    let trapped = http.get(&format!("{}/hostile/trap", atoll.gateway)).await;
    assert_eq!(trapped.status, 502);
    let id = trapped.header("x-request-id").to_owned();
    let traps = Terminal::run(&home, &atoll, (80, 24), "traps hostile").ended().await;
    assert!(traps.contains("hostile") && traps.contains("unreachable") && !traps.contains('\u{1b}'), "{traps:?}");
    let trace = Terminal::run(&home, &atoll, (80, 24), &format!("trace {id}")).ended().await;
    assert!(trace.contains('█') && trace.contains("! trap") && trace.contains("gateway: "), "{trace:?}");
    assert!(!trace.contains('\u{1b}'), "{trace:?}");
}
