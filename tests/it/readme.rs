//! The README quotes the smallest services, and the quotations are what is in `examples`.

use super::components::workspace;
use std::fs;

#[test]
fn the_readme_quotes_the_smallest_services() {
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
        // The comment at the head of the manifest is for those who are in the folder already.
        let code: String = text.split_inclusive('\n').skip_while(|line| line.starts_with("# ")).collect();
        assert!(readme.contains(&format!("```{language}\n{code}```\n")), "the README does not quote {path}");
    }
}
