//! Lines of source in trap reports: the real binary with a component that was built with debug information.

use super::atoll::{Home, Http};
use super::components::component;

#[tokio::test]
async fn a_component_with_debug_information_has_lines_of_source_in_its_trap_reports_also_once_it_is_swapped() {
    let home = Home::new(
        "[service.lined]\ncomponent = \"{component:fixture-hello}\"\nretry = { tries = 0 }\n\
         [[route]]\nprefix = \"/lined\"\nservice = \"lined\"\n",
    );
    let (atoll, http) = (home.start().await, Http::default());
    let run = async |arguments: &[&str]| {
        let output = home.command(arguments).env("ATOLL_ADMIN", &atoll.admin).output().await.unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    // The host gets the bytes of the component, and no file of its own has them but the cache.
    run(&["swap", "lined", component("fixture-lined").to_str().unwrap()]).await;
    assert_eq!(http.get(&format!("{}/lined?number=1", atoll.gateway)).await.status, 200);
    assert_eq!(http.get(&format!("{}/lined?number=10", atoll.gateway)).await.status, 502);

    let source = include_str!("../../components/fixtures/lined/src/lib.rs");
    let place = |comment: &str| {
        let line = 1 + source.lines().position(|line| line.ends_with(comment)).unwrap();
        format!("components/fixtures/lined/src/lib.rs:{line}:")
    };
    let text = run(&["traps", "lined"]).await;
    let frame = |what: &str, place: &str| text.lines().position(|line| line.contains(what) && line.contains(place));
    let inlined = frame("below_ten at ", &place("// the line of the inlined function"));
    let function = frame("fixture_lined::answer at ", &place("// the line of the function"));
    assert!(inlined.is_some() && function == inlined.map(|line| line + 1), "{text}");
    // The first cause names the innermost line that is the component's own.
    let why = run(&["why", "lined"]).await;
    assert!(why.contains(&place("// the line of the inlined function")), "{why}");
}
