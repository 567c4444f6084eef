//! The tutorial quotes the files of its example, and each of its manifests is one. `just tutorial` walks the steps.

use super::components::workspace;
use host::config::Draft;
use std::fs;

#[test]
fn what_the_tutorial_quotes_stands_in_its_example() {
    let tutorial = fs::read_to_string(workspace().join("docs/tutorial.md")).unwrap();
    let mut quotes = 0;
    // "`path`:", an empty line, and a fenced block.
    for part in tutorial.split("\n`examples/").skip(1) {
        let Some((path, rest)) = part.split_once("`:\n\n```") else { panic!("{part}") };
        let code = rest.split_once('\n').and_then(|(_, rest)| rest.split_once("```\n")).expect(path).0;
        let file = fs::read_to_string(workspace().join("examples").join(path)).expect(path);
        assert!(file.contains(code), "{path} has no such lines:\n{code}");
        quotes += 1;
    }
    assert_eq!(quotes, 9);
}

#[test]
fn each_step_of_the_tutorial_is_a_manifest() {
    for step in 1..=5 {
        let path = workspace().join(format!("examples/from-flask/step-{step}.toml"));
        let draft = Draft::load(&path, &|_| None).unwrap();
        assert!(draft.findings().is_empty(), "step {step}: {:?}", draft.findings());
        // The components need not be built.
        let components = draft.manifest.services.iter().filter(|service| service.build.is_some()).count();
        assert_eq!(components, [0, 0, 1, 2, 3][step - 1], "step {step}");
        assert_eq!(draft.manifest.services.len(), 3, "step {step}");
    }
}
