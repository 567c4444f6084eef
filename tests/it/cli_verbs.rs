//! The command line against a running host (`ps`, `routes`, `swap`, `rollback`), and `check` without a host.

use super::atoll::{Atoll, Home, Http, hello_revision};
use super::components::component;
use serde_json::Value;
use std::fs;
use std::process::Output;

const MANIFEST: &str = r#"
[service.hello]
component = "{component:fixture-hello}"
replicas = 2

[service.legacy]
urls = ["http://127.0.0.1:9"]

[[route]]
prefix = "/hello"
service = "hello"
"#;

/// The command line, and a running host that it speaks to.
struct Terminal {
    atoll: Atoll,
    http: Http,
    home: Home,
}

impl Terminal {
    async fn open() -> Self {
        let home = Home::new(MANIFEST);
        Self { atoll: home.start().await, http: Http::default(), home }
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        self.home.command(arguments).env("ATOLL_ADMIN", &self.atoll.admin).output().await.unwrap()
    }

    /// What a successful verb prints.
    async fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        // What needs no host names none.
        let host = if arguments == ["--help"] { String::new() } else { self.note("ATOLL_ADMIN") };
        assert_eq!(String::from_utf8(output.stderr).unwrap(), host, "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a verb says of the host that it asks, whose address it has by this.
    fn note(&self, by: &str) -> String {
        format!("host: the admin at {} (by {by})\n", self.atoll.admin)
    }

    /// The error text of a verb that is refused.
    async fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    async fn hello(&self) -> String {
        let answer = self.http.get(&format!("{}/hello", self.atoll.gateway)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["revision"].as_str().unwrap().to_owned()
    }

    async fn view(&self) -> Value {
        self.http.get(&format!("{}/v1/services/hello", self.atoll.admin)).await.json()
    }
}

#[tokio::test]
async fn a_swap_is_undone_and_redone_by_rollback_and_ends_with_the_host() {
    let terminal = Terminal::open().await;
    let new = hello_revision(b"revision-001-bbb", terminal.home.folder.path());
    let new = new.to_str().unwrap();
    assert_eq!(terminal.hello().await, "revision-000-aaa");
    let first = terminal.view().await["revision"].as_str().unwrap().to_owned();
    assert!(terminal.refused(&["rollback", "hello"]).await.contains("no revision to go back to"));

    let printed = terminal.succeed(&["swap", "hello", new]).await;
    let second = terminal.view().await["revision"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    assert_eq!(printed, format!("hello: {second} serves; `atoll rollback hello` returns to {first}\n"));
    assert_eq!(terminal.hello().await, "revision-001-bbb");
    let table = terminal.succeed(&["ps"]).await;
    assert!(table.contains(&format!("{second}*")) && table.contains("* differs from the manifest"), "{table}");

    let again = terminal.succeed(&["swap", "hello", new]).await;
    assert_eq!(again, printed, "a swap to the revision that already serves must change nothing");

    let printed = terminal.succeed(&["rollback", "hello"]).await;
    assert_eq!(printed, format!("hello: {first} serves; `atoll rollback hello` returns to {second}\n"));
    assert_eq!(terminal.hello().await, "revision-000-aaa");
    assert!(!terminal.succeed(&["ps"]).await.contains('*'), "the revision of the manifest must not be marked");
    terminal.succeed(&["rollback", "hello"]).await;
    assert_eq!(terminal.hello().await, "revision-001-bbb");

    let Terminal { atoll, home, http } = terminal;
    atoll.kill().await;
    let atoll = home.start().await;
    let terminal = Terminal { atoll, home, http };
    assert_eq!(terminal.hello().await, "revision-000-aaa", "a swap must last only until the host restarts");
}

#[tokio::test]
async fn a_swap_to_a_component_that_cannot_serve_says_why_and_changes_nothing() {
    let terminal = Terminal::open().await;
    let file = |name: &str, bytes: &[u8]| {
        let path = terminal.home.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let hello = fs::read(component("fixture-hello")).unwrap();
    let wrong = [
        (file("text.wasm", b"this is no component"), "not a valid WebAssembly component"),
        (file("empty.wasm", b""), "not a valid WebAssembly component"),
        (file("cut.wasm", &hello[..hello.len() / 2]), "not a valid WebAssembly component"),
        (file("module.wasm", b"\0asm\x01\0\0\0"), "not a valid WebAssembly component"),
        (file("nothing.wasm", b"\0asm\x0d\0\x01\0"), "exports nothing to call"),
        (component("users").to_str().unwrap().to_owned(), "`state = true` in [service.hello]"),
        (component("products").to_str().unwrap().to_owned(), "answers no HTTP by itself; route /hello/* depends on it"),
        (component("fixture-broken-start").to_str().unwrap().to_owned(), "it does not start"),
    ];
    let before = terminal.view().await;
    for (path, why) in &wrong {
        let complaint = terminal.refused(&["swap", "hello", path]).await;
        assert!(complaint.contains(why), "{path}: {complaint}");
        assert!(complaint.contains("nothing was changed"), "{path}: {complaint}");
        assert_eq!(terminal.hello().await, "revision-000-aaa");
    }
    let missing = terminal.refused(&["swap", "hello", "missing.wasm"]).await;
    assert!(missing.contains("cannot read missing.wasm"), "{missing}");
    let new = hello_revision(b"revision-002-ccc", terminal.home.folder.path());
    for (service, why) in [("nobody", "there is no service `nobody`"), ("legacy", "has no component")] {
        let complaint = terminal.refused(&["swap", service, new.to_str().unwrap()]).await;
        assert!(complaint.contains(why), "{complaint}");
        assert!(terminal.refused(&["rollback", service]).await.contains(why));
    }
    let after = terminal.view().await;
    assert_eq!((&before["revision"], &before["previous"]), (&after["revision"], &after["previous"]));
    assert_eq!(after["differs_from_manifest"], false);
}

#[tokio::test]
async fn ps_and_routes_list_what_serves_and_help_lists_every_verb() {
    let terminal = Terminal::open().await;
    terminal.hello().await;
    let table = terminal.succeed(&["ps"]).await;
    // The table of the last minute stands below.
    let first = table.lines().take_while(|line| !line.is_empty());
    let rows: Vec<Vec<&str>> = first.map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0][..6], ["SERVICE", "REVISION", "AGE", "ENDPOINT", "PLACE", "BREAKER"]);
    assert_eq!(rows[0][6..], ["REQUESTS", "FAILURES", "IN-FLIGHT", "STATE"]);
    assert_eq!((rows[1][0], rows[1][3], rows[1][4], rows[1][5]), ("hello", "hello-0", "instance", "closed"));
    assert_eq!(rows[2][..3], ["hello-1", "instance", "closed"]);
    let requests = [rows[1][6], rows[2][3]].map(|count| count.parse::<u32>().unwrap());
    assert_eq!(requests.iter().sum::<u32>(), 1);
    assert_eq!(rows[3][..6], ["legacy", "-", "-", "legacy-url-0", "http://127.0.0.1:9/", "closed"]);
    assert_eq!(rows[3][6..], ["0", "0", "0", "ready"]);
    assert_eq!(rows.len(), 4);
    let json: Value = serde_json::from_str(&terminal.succeed(&["ps", "--json"]).await).unwrap();
    assert_eq!((json[0]["name"].as_str(), json[0]["endpoints"][0]["id"].as_str()), (Some("hello"), Some("hello-0")));

    let routes = terminal.succeed(&["routes"]).await;
    assert!(routes.starts_with("MATCHES") && routes.contains("/hello"), "{routes}");
    let url = format!("--admin={}", terminal.atoll.admin);
    let by_flag = terminal.home.output(&["routes", &url]).await;
    assert_eq!(String::from_utf8(by_flag.stdout).unwrap(), routes, "`--admin` must do the same as ATOLL_ADMIN");
    assert_eq!(String::from_utf8(by_flag.stderr).unwrap(), terminal.note("--admin"));
    let gateway = format!("--admin={}", terminal.atoll.gateway);
    assert!(terminal.refused(&["ps", &gateway]).await.contains("--admin"));
    assert_eq!(
        terminal.run(&["swap", "hello"]).await.status.code(),
        Some(2),
        "a `swap` without a file must be a usage error"
    );

    let help = terminal.succeed(&["--help"]).await;
    for word in ["run", "check", "inspect", "ps", "routes", "swap", "rollback", "ATOLL_ADMIN_TOKEN", "Examples"] {
        assert!(help.contains(word), "{word} is missing in\n{help}");
    }
}

#[tokio::test]
async fn a_verb_without_a_host_says_that_the_admin_cannot_be_reached() {
    let dead = super::plain_server::DeadAddress::new();
    let home = Home::new(MANIFEST);
    let output = home.output(&["ps", "--admin", &format!("http://{}", dead.address())]).await;
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint.contains("cannot reach the admin") && complaint.contains("is the host running?"), "{complaint}");
}

#[tokio::test]
async fn check_accepts_a_correct_manifest_and_opens_no_store() {
    let home = Home::new(MANIFEST);
    home.link_cache();
    let output = home.output(&["check"]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed, "atoll.toml is right: 2 services (1 component), 1 route\n");
    assert!(!home.folder.path().join(".atoll").exists(), "`check` must open no store");
}

#[tokio::test]
async fn check_and_run_report_every_error_of_a_manifest_at_once() {
    let home = Home::new(
        "[gateway]\nlissen = \"127.0.0.1:8080\"\n\n[service.users]\ncomponent = \"missing.wasm\"\nreplicas = 0\n\n\
         [[route]]\nprefix = \"/users\"\nservice = \"user\"\n",
    );
    for verb in ["check", "run"] {
        let output = home.output(&[verb]).await;
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{verb}");
        let complaint = String::from_utf8(output.stderr).unwrap();
        for (place, what, help) in [
            ("atoll.toml:2:1", "`lissen`", "did you mean `listen`?"),
            ("atoll.toml:5:13", "`missing.wasm`", "build it first"),
            ("atoll.toml:6:12", "`replicas`", "1"),
            ("atoll.toml:10:11", "`user`", "did you mean `users`?"),
        ] {
            assert!(
                [place, what, help].iter().all(|part| complaint.contains(part)),
                "{place} {what} {help}:\n{complaint}"
            );
        }
    }
}

#[tokio::test]
async fn check_and_run_report_every_component_that_cannot_serve_at_once() {
    let home = Home::new(
        "[service.text]\ncomponent = \"text.wasm\"\n\n[service.users]\ncomponent = \"{component:users}\"\n\n\
         [service.nothing]\ncomponent = \"nothing.wasm\"\n",
    );
    fs::write(home.folder.path().join("text.wasm"), "this is no component").unwrap();
    fs::write(home.folder.path().join("nothing.wasm"), b"\0asm\x0d\0\x01\0").unwrap();
    home.link_cache();
    for verb in ["check", "run"] {
        let output = home.output(&[verb]).await;
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{verb}");
        let complaint = String::from_utf8(output.stderr).unwrap();
        for (place, what) in [
            ("atoll.toml:2:13", "not a valid WebAssembly component"),
            ("atoll.toml:5:13", "add `state = true` to [service.users]"),
            ("atoll.toml:8:13", "exports nothing to call"),
        ] {
            assert!(complaint.contains(place) && complaint.contains(what), "{place} {what}:\n{complaint}");
        }
    }
}

#[tokio::test]
async fn the_verbs_reach_the_host_of_the_manifest_in_this_folder_and_say_which_that_is() {
    let home = Home::new(MANIFEST);
    let ps = async || {
        let output = home.output(&["ps", "--json"]).await;
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let atoll = home.start().await;
    let (code, table, note) = ps().await;
    assert_eq!(code, Some(0), "{note}");
    assert!(serde_json::from_str::<Value>(&table).is_ok(), "{table}");
    assert_eq!(note, format!("host: the admin at {} (by .atoll/admin)\n", atoll.admin));
    let mode = fs::metadata(home.folder.path().join(".atoll")).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o77, 0, "the folder is private");

    // Another host of the same folder, and a stranger's: the address of the first is not taken for theirs.
    atoll.kill().await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    home.write(&format!("[admin]\nlisten = \"{nobody}\"\n{MANIFEST}"));
    let mut silent = home.command(&["ps"]);
    let complaint = silent.env_remove("ATOLL_ADMIN_LISTEN").output().await.unwrap().stderr;
    let complaint = String::from_utf8(complaint).unwrap();
    assert!(complaint.starts_with(&format!("host: the admin at http://{nobody} (by [admin] of atoll.toml)")));
    assert!(complaint.contains("cannot reach the admin"), "{complaint}");

    let atoll = home.start().await;
    assert_eq!(ps().await.0, Some(0));
    atoll.stop().await;
    assert!(!home.folder.path().join(".atoll/admin").exists(), "a host that ends takes its address away");
}

/// Two hosts of two folders, which have the same services: a swap that meets the wrong one harms somebody else.
#[tokio::test]
async fn a_swap_and_a_rollback_reach_the_host_of_their_folder_or_the_one_that_is_named_and_no_other() {
    let [own, other] = [Terminal::open().await, Terminal::open().await];
    let new = hello_revision(b"revision-003-ddd", own.home.folder.path());
    let swap = ["swap", "hello", new.to_str().unwrap()];
    let said = async |home: &Home, arguments: &[&str]| {
        let output = home.output(arguments).await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(said(&own.home, &swap).await, own.note(".atoll/admin"));
    assert_eq!([own.hello().await, other.hello().await], ["revision-003-ddd", "revision-000-aaa"]);
    assert_eq!(said(&own.home, &["rollback", "hello"]).await, own.note(".atoll/admin"));
    assert_eq!([own.hello().await, other.hello().await], ["revision-000-aaa", "revision-000-aaa"]);

    // Whoever names a host reaches it from any folder, and is told so.
    let flag = format!("--admin={}", other.atoll.admin);
    assert_eq!(said(&own.home, &[&swap[..], &[&flag]].concat()).await, other.note("--admin"));
    assert_eq!([own.hello().await, other.hello().await], ["revision-000-aaa", "revision-003-ddd"]);
    assert_eq!(other.run(&["rollback", "hello"]).await.stderr, other.note("ATOLL_ADMIN").into_bytes());
    let by_variable = own.home.command(&swap).env("ATOLL_ADMIN", &other.atoll.admin).output().await.unwrap();
    assert_eq!(by_variable.stderr, other.note("ATOLL_ADMIN").into_bytes());
    assert_eq!([own.hello().await, other.hello().await], ["revision-000-aaa", "revision-003-ddd"]);

    // Where no host runs, nobody is asked.
    let own_home = own.home;
    own.atoll.stop().await;
    let nobody = super::plain_server::DeadAddress::new();
    own_home.write(&format!("[admin]\nlisten = \"{}\"\n{MANIFEST}", nobody.address()));
    let refused = own_home.command(&swap).env_remove("ATOLL_ADMIN_LISTEN").output().await.unwrap();
    let complaint = String::from_utf8(refused.stderr).unwrap();
    assert!(complaint.starts_with(&format!("host: the admin at http://{} (by [admin]", nobody.address())));
    assert_eq!((refused.status.code(), complaint.contains("cannot reach the admin")), (Some(1), true), "{complaint}");
}
