//! Large answers on the disk, through the real binary.

use super::*;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;

const LENGTH: usize = 3 << 20;

fn large(_: &http::request::Parts, before: usize) -> Script {
    let content: String = (0..LENGTH).map(|at| char::from(b'a' + ((at + before) % 23) as u8)).collect();
    (200, vec![("cache-control", "max-age=600".to_owned()), ("etag", format!("\"{before}\""))], content)
}

/// The files of answers in the home's folder.
fn files(home: &Home) -> Vec<fs::Metadata> {
    let entries = fs::read_dir(home.folder.path().join(".atoll/answers")).unwrap().map(Result::unwrap);
    let files = entries.filter(|entry| entry.path().extension().is_some_and(|end| end == "answer"));
    files.map(|entry| entry.metadata().unwrap()).collect()
}

#[tokio::test]
async fn a_large_answer_is_kept_on_the_disk_until_it_is_purged_or_the_host_starts_anew() {
    let origin = Origin::start(large).await;
    let told = "[gateway.cache]\ndisk = '64MiB'\ndisk_object = '4MiB'\n";
    let home = Home::new(&(manifest(&origin, "") + told));
    let http = Http::default();
    let atoll = home.start().await;
    let get = async |atoll: &Atoll, fields: &[(&str, &str)]| {
        let request = Request::builder().uri(format!("{}/cached/large", atoll.gateway));
        http.send(fields.iter().fold(request, |request, (name, value)| request.header(*name, *value)), "").await
    };
    let first = get(&atoll, &[]).await;
    assert!(status(&first).ends_with("detail=to-disk") && first.body.len() == LENGTH, "{}", status(&first));
    let hit = eventually("the answer is kept", async || {
        let answer = get(&atoll, &[]).await;
        status(&answer).ends_with("detail=disk").then_some(answer)
    })
    .await;
    assert_eq!(hit.body, first.body);
    let part = get(&atoll, &[("range", "bytes=1000000-2000000")]).await;
    assert_eq!((part.status.as_u16(), &part.body[..]), (206, &first.body[1_000_000..=2_000_000]));
    assert_eq!(get(&atoll, &[("if-none-match", "\"0\"")]).await.status, 304);
    assert_eq!(origin.requests(), 1);

    let folder = fs::metadata(home.folder.path().join(".atoll/answers")).unwrap();
    let [file] = &files(&home)[..] else { panic!("one file") };
    assert_eq!((folder.permissions().mode() & 0o777, file.permissions().mode() & 0o777), (0o700, 0o600));
    assert_eq!(file.len(), LENGTH as u64);
    let fill: Value = serde_json::from_slice(&http.get(&format!("{}/v1/cache", atoll.admin)).await.body).unwrap();
    assert_eq!((&fill["disk"]["answers"], &fill["disk"]["bytes"]), (&1.into(), &LENGTH.into()), "{fill}");
    let metrics = http.get(&format!("{}/metrics", atoll.admin)).await;
    assert!(text(&metrics).contains(&format!("atoll_cache_disk_bytes {LENGTH}\n")), "{}", text(&metrics));

    // A file of before is nothing to the next host.
    atoll.kill().await;
    assert_eq!(files(&home).len(), 1);
    let atoll = home.start().await;
    assert!(files(&home).is_empty());
    let anew = get(&atoll, &[]).await;
    assert!(status(&anew).contains("fwd=uri-miss") && anew.body.len() == LENGTH);
    assert_eq!(origin.requests(), 2);
    eventually("the answer is kept", async || (files(&home).len() == 1).then_some(())).await;
}
