//! Data that are made again from their events, and data that are erased with what was kept of events.

use super::super::atoll::{Atoll, Home};
use super::{Book, MANIFEST};
use serde_json::json;

async fn verb(home: &Home, host: &Atoll, arguments: &[&str]) -> String {
    let output = home.output(&[arguments, &["--admin", &host.admin]].concat()).await;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_model_is_made_again_from_any_place_while_others_serve() {
    let home = Home::new(MANIFEST);
    let host = home.start().await;
    let book = Book::of(&host);
    for n in 0..6 {
        book.entry(&format!("e{n}"), &format!("k{}", n % 2), "twice").await;
    }
    book.settled("entries").await;
    let meant = home.output(&["events", "rebuild", "reader", "--admin", &host.admin]).await;
    assert!(!meant.status.success() && String::from_utf8_lossy(&meant.stderr).contains("--yes"), "{meant:?}");
    let told = verb(&home, &host, &["events", "rebuild", "reader", "--yes"]).await;
    assert_eq!(told, "reader: its data are erased, and it gets 6 events of `entries` again\n");
    // Others serve meanwhile, and what they publish is handled behind what is handled again.
    book.entry("e6", "k0", "").await;
    book.settled("entries").await;
    for n in 0..6 {
        for kind in ["seen", "again"] {
            assert_eq!(book.value("reader", &format!("{kind}/e{n}")).await, "1", "{kind}/e{n}");
        }
        assert_eq!(book.value("writer", &format!("written/e{n}")).await, "1");
    }
    assert_eq!(book.value("reader", "order/k0").await, "e0 e2 e4 e6 ");
    verb(&home, &host, &["events", "rebuild", "reader", "entries", "--from", "7", "--keep-data"]).await;
    book.settled("entries").await;
    assert_eq!(book.value("reader", "seen/e6").await, "2", "it was delivered again, and nothing was erased");
    verb(&home, &host, &["events", "rebuild", "reader", "--since", "1h", "--yes"]).await;
    book.settled("entries").await;
    assert_eq!(book.value("reader", "order/k0").await, "e0 e2 e4 e6 ");
    // A restart changes nothing of it.
    host.stop().await;
    let host = home.start().await;
    let book = Book::of(&host);
    book.settled("entries").await;
    assert_eq!(book.value("reader", "seen/e6").await, "1");
    // A slip of the number empties no read model.
    let beyond = ["events", "rebuild", "reader", "entries", "--from", "99999", "--yes", "--admin", &host.admin];
    let beyond = home.output(&beyond).await;
    assert!(String::from_utf8_lossy(&beyond.stderr).contains("its last one is 7"), "{beyond:?}");
    assert_eq!(book.value("reader", "seen/e6").await, "1");
    let unknown = home.output(&["events", "rebuild", "writer", "--yes", "--admin", &host.admin]).await;
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("`writer` subscribes to no topic"), "{unknown:?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erased_data_take_dead_letters_along() {
    let home = Home::new(MANIFEST);
    let host = home.start().await;
    let book = Book::of(&host);
    book.entry("bad", "a", "fail").await;
    book.entry("good", "b", "").await;
    book.settled("entries").await;
    assert_eq!(book.dead().await.len(), 1);
    verb(&home, &host, &["state", "erase", "reader", "--yes"]).await;
    assert_eq!(book.dead().await.len(), 0);
    let end = book.settled("entries").await;
    assert_eq!((&end["dead"], &end["handled"]), (&json!(0), &json!(1)));
    assert_eq!(book.value("reader", "seen/good").await, "", "it is not delivered again");
    host.stop().await;
}
