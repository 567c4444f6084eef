//! Routes that send their clients elsewhere.

use super::Edge;
use crate::it::atoll::Home;

#[tokio::test]
async fn clients_are_sent_to_the_address_of_the_route() {
    let edge = Edge::start(
        r#"
        [[route]]
        path = "/legacy/{id}"
        redirect = "/users/{id}"
        [[route]]
        prefix = "/old"
        redirect = "https://shop.example/new/{rest}"
        redirect_status = 301
        [[route]]
        prefix = "/here"
        redirect = "/{rest}"
        redirect_status = 307
        [[route]]
        path = "/now"
        redirect = "/later?from=now#top"
        redirect_status = 303
        "#,
    )
    .await;
    for (path, status, location) in [
        ("/legacy/7?a=b%20c", 308, "/users/7?a=b%20c"),
        ("/legacy/a%C3%A9", 308, "/users/a%C3%A9"),
        ("/old", 301, "https://shop.example/new/"),
        ("/old/a/b?c", 301, "https://shop.example/new/a/b?c"),
        ("/%6fld/a", 301, "https://shop.example/new/a"),
        ("/here//evil.example/x", 307, "/evil.example/x"),
        ("/now?a", 303, "/later?from=now#top"),
    ] {
        let answer = edge.ask("POST", path, &[]).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (status, location), "{path}");
    }
    assert_eq!(edge.server.requests(), 0, "no service is called");
}

#[tokio::test]
async fn an_address_by_which_a_client_could_choose_the_host_is_a_mistake_of_the_manifest() {
    for (route, position, message) in [
        ("path = \"/a/{b}\"\nredirect = \"https://{b}.example/\"", "3:12", "could use to choose the host"),
        ("path = \"/a\"\nredirect = \"//shop.example/\"", "3:12", "is neither a path nor a URL"),
        ("prefix = \"/a\"\nredirect = \"/{b}\"", "3:12", "a route with a `prefix` has no such parameter"),
        ("prefix = \"/a\"\nredirect = \"/b\"\nredirect_status = 200", "4:19", "301, 302, 303, 307 or 308"),
        ("prefix = \"/a\"\nredirect = \"/b\"\nfiles = \".\"", "3:12", "exclude each other"),
        ("prefix = \"/a\"\nfiles = \"none\"", "3:9", "cannot find the folder"),
        ("prefix = \"/a\"\nfiles = \".\"\nfallback = \"none\"", "4:12", "there is no file `none`"),
        ("prefix = \"/a\"\nfiles = \".\"\nwebsocket = true", "4:13", "`websocket` has no effect with `files`"),
        ("prefix = \"/a\"\nredirect = \"/b\"\nfallback = \"x\"", "4:12", "`fallback` has no effect without `files`"),
    ] {
        let home = Home::new(&format!("[[route]]\n{route}\n"));
        let output = home.output(&["check", "atoll.toml"]).await;
        let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() && text.contains(message), "{route}\n{text}");
        assert!(text.contains(&format!("atoll.toml:{position}")), "{route}\n{text}");
    }
}
