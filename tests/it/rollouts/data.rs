//! Data of a service go out and in while it runs: by the real binary, the admin and the verbs.

use super::keeper::{data, fill, get, manifest, put};
use super::*;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use tokio::io::AsyncWriteExt;

async fn verb(home: &Home, atoll: &Atoll, arguments: &[&str]) -> (bool, String) {
    let all = [&["state"], arguments, &["--admin", &atoll.admin]].concat();
    let output = home.output(&all).await;
    let text = [&output.stdout[..], &output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// Keys and values, without versions.
fn entries(lines: &[Value]) -> Vec<(Value, Value)> {
    let entries = lines.iter().filter(|line| line["key"].is_string());
    entries.map(|line| (line["key"].clone(), line["value"].clone())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_is_imported_elsewhere_and_an_import_overwrites_nothing_unless_told() {
    let (from, to) = (Home::new(&manifest("")), Home::new(&manifest("")));
    let (first, second, http) = (from.start().await, to.start().await, Http::default());
    fill(&http, &first, 30).await;
    let file = from.folder.path().join("keeper.jsonl").display().to_string();
    let (done, text) = verb(&from, &first, &["export", "keeper", &file]).await;
    assert!(done && text.contains("an export is plain"), "{text}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let exported = entries(&data(&http, &first).await);
    let (done, text) = verb(&from, &first, &["export", "keeper", &file]).await;
    assert!(!done, "it overwrites no file: {text}");
    let (done, text) = verb(&to, &second, &["import", "keeper", &file]).await;
    assert!(done && text.contains("30 keys imported, 0 keys there already"), "{text}");
    assert_eq!(entries(&data(&http, &second).await), exported);
    assert_eq!(get(&http, &second, "k007").await.json(), "text 7");
    // By standard output and standard input, as in a pipe.
    let poured = from.output(&["state", "export", "keeper", "-", "--admin", &first.admin]).await.stdout;
    assert_eq!(String::from_utf8(poured.clone()).unwrap().lines().filter(|line| line.contains("\"key\"")).count(), 30);
    let mut import = to.command(&["state", "import", "keeper", "-", "--admin", &second.admin]);
    let mut import = import.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    import.stdin.take().unwrap().write_all(&poured).await.unwrap();
    let said = String::from_utf8(import.wait_with_output().await.unwrap().stdout).unwrap();
    assert!(said.contains("0 keys imported, 30 keys there already"), "{said}");
    let folder = from.folder.path().display().to_string();
    let (done, text) = verb(&to, &second, &["import", "keeper", &folder]).await;
    assert!(!done && text.contains("is a directory"), "{text}");
    // Again: nothing to do. With another value: refused as a whole, and the key is named.
    let (done, text) = verb(&to, &second, &["import", "keeper", &file]).await;
    assert!(done && text.contains("0 keys imported, 30 keys there already"), "{text}");
    put(&http, &second, "k007", "another").await;
    put(&http, &second, "new", "own").await;
    let (done, text) = verb(&to, &second, &["import", "keeper", &file]).await;
    assert!(!done && text.contains("key `k007` is there with another value, so nothing was imported"), "{text}");
    assert_eq!(get(&http, &second, "k007").await.json(), "another");
    let (done, text) = verb(&to, &second, &["import", "keeper", &file, "--replace"]).await;
    assert!(done && text.contains("1 key imported, 29 keys there already"), "{text}");
    assert_eq!(get(&http, &second, "k007").await.json(), "text 7");
    assert_eq!(get(&http, &second, "new").await.json(), "own", "what the file does not have stays");
    // What is not whole, or no export, changes nothing.
    let whole = fs::read_to_string(&file).unwrap().replace("text 7", "changed");
    let broken = whole.lines().take(12).map(|line| format!("{line}\n")).collect::<String>();
    for (wrong, says) in [
        (broken.as_str(), "it broke off after 11 entries"),
        ("{\"atoll_state\":9}\n", "line 1: it has form 9"),
        ("hello\n", "line 1: it is no export"),
    ] {
        fs::write(&file, wrong).unwrap();
        let (done, text) = verb(&to, &second, &["import", "keeper", &file, "--replace"]).await;
        assert!(!done && text.contains(says), "{text}");
    }
    assert_eq!(get(&http, &second, "k007").await.json(), "text 7");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_of_encrypted_data_shows_no_value_and_dies_with_the_key() {
    let home = Home::new(&manifest(""));
    let key = home.folder.path().join("state.key");
    // 32 bytes in base64.
    fs::write(&key, format!("{}A=", "A".repeat(42))).unwrap();
    home.write(&format!("{}\n[state]\nencryption = {{ key = {{ file = \"state.key\" }} }}\n", manifest("")));
    let (atoll, http) = (home.start().await, Http::default());
    fill(&http, &atoll, 5).await;
    let before = entries(&data(&http, &atoll).await);
    let (done, text) = verb(&home, &atoll, &["snapshot", "keeper"]).await;
    assert!(done, "{text}");
    let name = text.split("snapshot ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let (_, listed) = verb(&home, &atoll, &["snapshots", "keeper"]).await;
    let path = listed.lines().nth(1).unwrap().split_whitespace().last().unwrap().to_owned();
    let stored = fs::read_to_string(home.folder.path().join(&path)).unwrap();
    assert!(stored.contains("k003") && !stored.contains("text 3"), "names of keys stay readable, and values do not");
    for number in 0..5 {
        put(&http, &atoll, &format!("k{number:03}"), "spoilt").await;
    }
    let (done, text) = verb(&home, &atoll, &["import", "keeper", "--snapshot", &name]).await;
    assert!(!done && text.contains("is there with another value"), "{text}");
    let (done, text) = verb(&home, &atoll, &["import", "keeper", "--snapshot", &name, "--replace"]).await;
    assert!(done && text.contains("5 keys imported"), "{text}");
    assert_eq!(entries(&data(&http, &atoll).await), before);
    // With the data goes their key.
    let (done, text) = verb(&home, &atoll, &["erase", "keeper", "--yes"]).await;
    assert!(done, "{text}");
    let (done, text) = verb(&home, &atoll, &["import", "keeper", "--snapshot", &name]).await;
    assert!(!done && text.contains("another key than the service has now"), "{text}");
    put(&http, &atoll, "k000", "new").await;
    let (done, text) = verb(&home, &atoll, &["import", "keeper", "--snapshot", &name, "--replace"]).await;
    assert!(!done && text.contains("another key than the service has now"), "{text}");
    let none = format!("{name}9");
    let (done, text) = verb(&home, &atoll, &["import", "keeper", "--snapshot", &none]).await;
    assert!(!done && text.contains(&format!("has no snapshot `{none}`")), "{text}");
    let url = format!("{}/v1/services/keeper/data?snapshot={none}", atoll.admin);
    let answer = http.send(Request::post(url), "").await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()["type"].as_str()),
        (404, Some("urn:atoll:problem:no-such-snapshot"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_typing_error_in_a_name_is_refused_with_the_names_that_there_are() {
    let home = Home::new(&manifest(""));
    let (atoll, http) = (home.start().await, Http::default());
    let file = home.folder.path().join("keeper.jsonl").display().to_string();
    // A service of the manifest may have no data yet.
    let (done, text) = verb(&home, &atoll, &["export", "keeper", &file]).await;
    assert!(done, "{text}");
    fill(&http, &atoll, 3).await;
    let wrong: [&[&str]; 4] =
        [&["snapshot", "keepre"], &["export", "keepre"], &["import", "keepre", &file], &["snapshots", "keepre"]];
    for arguments in wrong {
        let (done, text) = verb(&home, &atoll, arguments).await;
        assert!(!done && text.contains("no service `keepre`") && text.contains("`keeper`"), "{arguments:?}: {text}");
    }
}

/// The same version of the database, with other data: it was begun anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_after_a_restore_is_a_new_one() {
    let home = Home::new(&manifest(""));
    let (atoll, http) = (home.start().await, Http::default());
    put(&http, &atoll, "k", "first").await;
    let (done, text) = verb(&home, &atoll, &["snapshot", "keeper"]).await;
    assert!(done, "{text}");
    atoll.stop().await;
    let state = home.folder.path().join(".atoll");
    let database = fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().path());
    database.filter(|path| path.is_file()).for_each(|path| fs::remove_file(path).unwrap());
    let atoll = home.start().await;
    put(&http, &atoll, "k", "other").await;
    let (done, text) = verb(&home, &atoll, &["snapshot", "keeper"]).await;
    assert!(done, "{text}");
    let (_, listed) = verb(&home, &atoll, &["snapshots", "keeper"]).await;
    let paths: Vec<_> = listed
        .lines()
        .filter(|line| line.contains(".jsonl"))
        .map(|line| line.split_whitespace().last().unwrap().to_owned())
        .collect();
    let [first, other] = &paths[..] else { panic!("{listed}") };
    let read = |path: &str| fs::read_to_string(home.folder.path().join(path)).unwrap();
    assert!(read(first).contains("first") && read(other).contains("other"), "{listed}");
}

/// An export is of one moment: each key has been written as often as the others, or once more for those before a place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_beside_writes_is_of_one_moment() {
    let home = Home::new(&manifest(""));
    let (atoll, http) = (home.start().await, Http::default());
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (stop, gateway) = (Arc::clone(&stop), atoll.gateway.clone());
        tokio::spawn(async move {
            let http = Http::default();
            let mut round = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                for key in 0..8 {
                    let put = Request::put(format!("{gateway}/keep/k{key}?text={round}"));
                    let answer = http.try_send(put.body(Full::default()).unwrap()).await.unwrap();
                    assert!(answer.status.is_success(), "{:?}", answer.body);
                }
                round += 1;
            }
            round
        })
    };
    eventually("all keys are written", async || (data(&http, &atoll).await.len() == 10).then_some(())).await;
    for _ in 0..20 {
        let lines = data(&http, &atoll).await;
        let rounds: Vec<u64> =
            entries(&lines).iter().map(|(_, value)| value.as_str().unwrap()[1..].parse().unwrap()).collect();
        assert!(rounds.is_sorted_by(|one, next| one >= next) && rounds[0] - rounds[7] <= 1, "{rounds:?}");
    }
    stop.store(true, Ordering::Relaxed);
    assert!(writer.await.unwrap() > 0);
}
