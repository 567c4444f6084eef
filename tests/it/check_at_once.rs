//! `atoll check` tells all kinds of mistakes in one go, and no consequence of a mistake that it tells.

use super::atoll::Home;
use std::fs;

/// What `atoll check` says of this manifest, which is wrong, without the breaks of the terminal's lines.
async fn complaint(manifest: &str) -> String {
    let home = Home::new(manifest);
    fs::write(home.folder.path().join("text.wasm"), "this is no component").unwrap();
    home.link_cache();
    let output = home.output(&["check"]).await;
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    text.split_whitespace().filter(|word| !["|", "│"].contains(word)).collect::<Vec<_>>().join(" ")
}

/// Services whose components are right, each with a mistake that only its component shows.
const LATE: &str = r#"
[service.types]
component = "{component:fixture-types}"
health = { call = "no-such-check" }
[service.relay]
component = "{component:fixture-relay}"
[service.users]
component = "{component:users}"
[[route]]
method = "GET"
path = "/late"
call = "types/no-such-function"
[service.text]
component = "text.wasm"
[service.missing]
component = "missing.wasm"
"#;

/// What is told of them.
const TOLD: [&str; 6] = [
    "the component exports no function `no-such-check`",
    "the component exports no function `no-such-function`",
    "needs `calls = [\"types\"]` in [service.relay]",
    "add `state = true` to [service.users]",
    "service `text`: the component is not a valid WebAssembly component",
    "cannot find the component `missing.wasm`",
];

#[tokio::test]
async fn a_wrong_value_an_unknown_name_a_missing_file_a_broken_component_and_a_wrong_contract_are_told_together() {
    let early = "[gateway]\nlissen = \"127.0.0.1:8080\"\ndrain = \"soon\"\n\
                 [[route]]\nprefix = \"/early\"\nservice = \"user\"\n";
    let complaint = complaint(&format!("{early}{LATE}")).await;
    let told = ["unknown key `lissen`", "`drain` must be a duration", "there is no service `user`"];
    for part in told.iter().chain(&TOLD) {
        assert!(complaint.contains(part), "{part}:\n{complaint}");
    }
    let findings = complaint.matches(" help: ").count();
    assert_eq!(findings, told.len() + TOLD.len(), "each mistake must be told once:\n{complaint}");
}

/// An import may be answered by what stands in the part of the text that could not be read, so it is not told.
#[tokio::test]
async fn a_syntax_error_hides_no_mistake_of_other_sections() {
    let early = "[gateway]\ndrain = soon\n";
    let complaint = complaint(&format!("{early}{LATE}")).await;
    let told: Vec<&str> = TOLD.into_iter().filter(|part| !part.contains("relay")).collect();
    for part in &told {
        assert!(complaint.contains(part), "{part}:\n{complaint}");
    }
    let findings = complaint.matches(" help: ").count();
    assert_eq!(findings, told.len() + 1, "each mistake must be told once:\n{complaint}");
}

#[tokio::test]
async fn what_follows_from_a_mistake_is_not_told_with_it() {
    let relay = "[service.relay]\ncomponent = \"{component:fixture-relay}\"\n";
    let types = "[service.types]\ncomponent = \"{component:fixture-types}\"\n";
    for (manifest, told) in [
        // The import may be answered by the component that is missing or broken.
        (format!("{relay}calls = [\"types\"]\n[service.types]\ncomponent = \"no.wasm\"\n"), "no.wasm"),
        (format!("{relay}calls = [\"types\"]\n[service.types]\ncomponent = \"text.wasm\"\n"), "WebAssembly component"),
        (format!("{relay}[service.types]\ncomponent = \"no.wasm\"\n"), "no.wasm"),
        // The grant is there, and wrong.
        (format!("{types}{relay}calls = [\"typos\"]\n"), "`typos`"),
        (format!("{types}{relay}callls = [\"types\"]\n"), "`callls`"),
        (format!("{types}{relay}calls = \"types\"\n"), "`calls` must be"),
        (format!("{types}{relay}calls = [types]\n"), "a value is a"),
        ("[service.users]\ncomponent = \"{component:users}\"\nstate = yes\n".to_owned(), "quoted"),
        ("[service.users]\ncomponent = \"{component:users}\"\nstat = true\n".to_owned(), "`stat`"),
        // The header is lost, and its keys seem to belong to the section above.
        (format!("{types}[service.relay\ncalls = [\"types\"]\nhealth = {{ call = \"pulse\" }}\n"), "table"),
        // The function would be found if the component were there.
        (
            "[service.a]\ncomponent = \"no.wasm\"\nidempotent = [\"f\"]\nhealth = { call = \"g\" }\n\
             [[route]]\nmethod = \"GET\"\npath = \"/a\"\ncall = \"a/f\"\n"
                .to_owned(),
            "no.wasm",
        ),
    ] {
        let complaint = complaint(&manifest).await;
        assert!(complaint.contains(told), "{manifest}\n{complaint}");
        assert_eq!(complaint.matches(" help: ").count(), 1, "{manifest}\n{complaint}");
    }
}

/// A GET of `/openapi.json`, and a POST whose fields stand in the query: both work, and are seldom meant.
#[tokio::test]
async fn what_is_probably_not_meant_is_a_warning_of_check_and_of_the_start() {
    const MANIFEST: &str = r#"
[service.types]
component = "{component:fixture-types}"
[[route]]
method = "POST"
path = "/echo/text"
call = "types/echo-string"
[[route]]
method = "GET"
path = "/{value}"
call = "types/echo-string"
"#;
    let document = "atoll.toml:10:8: this route takes `/openapi.json` over";
    let query = "atoll.toml:7:8: `echo-string` takes its parameters from the query, and no body";
    let own =
        "[[route]]\npath = \"/openapi.json\"\nservice = \"plain\"\n[service.plain]\nurls = [\"http://127.0.0.1:9\"]\n";
    for (manifest, warnings) in [
        (MANIFEST.to_owned(), &[document, query][..]),
        (MANIFEST.replace("/{value}", "/echo/{value}"), &[query]),
        (MANIFEST.replace("method = \"POST\"", "method = \"DELETE\""), &[document]),
        // Meant, and said.
        (format!("{MANIFEST}{own}"), &[query]),
        (format!("{MANIFEST}[gateway]\nopenapi = false\n"), &[query]),
    ] {
        let home = Home::new(&manifest);
        home.link_cache();
        let output = home.output(&["check"]).await;
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{told}");
        for warning in warnings {
            assert!(told.contains(&format!("warning: {warning}")), "{warning}\n{manifest}\n{told}");
        }
        assert_eq!(told.matches("warning: ").count(), warnings.len(), "{manifest}\n{told}");
        let atoll = home.start().await;
        for warning in warnings {
            atoll.logged(warning).await;
        }
    }
}

#[tokio::test]
async fn a_pipe_in_place_of_a_file_that_the_manifest_names_is_refused_and_not_waited_for() {
    let home = Home::new(
        r#"
[service.hello]
component = "{component:fixture-hello}"
env = { SECRET = { file = "pipe" } }
ca = "pipe"
[service.piped]
component = "pipe"
"#,
    );
    let made = std::process::Command::new("mkfifo").arg(home.folder.path().join("pipe")).status().unwrap();
    assert!(made.success());
    let output = tokio::time::timeout(std::time::Duration::from_secs(30), home.output(&["check"])).await;
    let output = output.expect("nobody writes into the pipe, so nobody may wait for it");
    let text = String::from_utf8(output.stderr).unwrap();
    let text: Vec<_> = text.split_whitespace().filter(|word| !["|", "│"].contains(word)).collect();
    let text = text.join(" ");
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("it is no regular file"), "{text}");
    assert!(text.matches("`pipe` is not a file").count() >= 2, "{text}");
}

#[tokio::test]
async fn a_service_that_requires_scopes_behind_an_open_route_is_a_warning() {
    const MANIFEST: &str = "[service.plain]\nurls = ['http://127.0.0.1:9']\nrequires = ['a']\n\
                            [[route]]\nprefix = '/'\nservice = 'plain'\n";
    let told = "this route lets everybody in, and service `plain` requires `a`";
    let closed = format!("{MANIFEST}auth = 'partner'\n[auth.partner]\nkind = 'api-key'\n");
    for (manifest, count) in [(MANIFEST, 1), (&closed, 0)] {
        let output = Home::new(manifest).output(&["check"]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && said.matches(told).count() == count, "{said}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_is_told_once() {
    for manifest in [
        "[service.a]\nurls = ['https://127.0.0.1:1']\nca = 'missing.pem'\n",
        "[service.users]\ncomponent = '{component:users}'\nstate = true\nwit = 'missing'\n",
        "[gateway.tls]\nself_signed = true\n[auth.a]\nkind = 'jwt'\nissuer = 'i'\naudience = ['a']\n\
         algorithms = ['ES256']\njwks = 'missing.json'\n",
    ] {
        let complaint = complaint(manifest).await;
        assert_eq!(complaint.matches(" help: ").count(), 1, "{manifest}\n{complaint}");
        assert!(complaint.contains("cannot find"), "{complaint}");
    }
}

#[tokio::test]
async fn a_manifest_that_is_not_utf8_is_told_so_with_a_help_text() {
    for bytes in [&b"[gateway]\ntimeout = \"1s\" # \xff\n"[..], b"\0asm\x0d\0\x01\0\xff", b"\xff\xfe[\0g\0"] {
        let home = Home::new("");
        fs::write(home.manifest(), bytes).unwrap();
        let output = home.output(&["check"]).await;
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{output:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains("help: a manifest is TOML in UTF-8"), "{bytes:?}: {text}");
    }
}
