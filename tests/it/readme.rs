//! The README quotes the two smallest services; the quotations must equal the files in `examples`.

use super::components::workspace;
use std::fs;

#[test]
fn the_readme_quotes_both_examples_as_they_are() {
    let read = |path: &str| fs::read_to_string(workspace().join(path)).unwrap();
    let readme = read("README.md");
    for (language, path) in [
        ("wit", "examples/greeter/wit/greeter.wit"),
        ("rust", "examples/greeter/src/lib.rs"),
        ("toml", "examples/greeter/Cargo.toml"),
        ("toml", "examples/hello/Cargo.toml"),
        ("rust", "examples/hello/src/lib.rs"),
    ] {
        let text = read(path);
        // The README omits the comment at the top of the manifest: it is for readers who are in the folder already.
        let code: String = text.split_inclusive('\n').skip_while(|line| line.starts_with("# ")).collect();
        assert!(readme.contains(&format!("```{language}\n{code}```\n")), "the README does not quote {path}");
    }
}
