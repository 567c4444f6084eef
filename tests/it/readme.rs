//! The README quotes the smallest service, and the quotation is what is in `examples/hello`.

use super::components::workspace;
use std::fs;

#[test]
fn the_readme_quotes_the_smallest_service() {
    let read = |path: &str| fs::read_to_string(workspace().join(path)).unwrap();
    let readme = read("README.md");
    for (language, path) in [("toml", "examples/hello/Cargo.toml"), ("rust", "examples/hello/src/lib.rs")] {
        let text = read(path);
        // The comment at the head of the manifest is for those who are in the folder already.
        let code: String = text.split_inclusive('\n').skip_while(|line| line.starts_with("# ")).collect();
        assert!(readme.contains(&format!("```{language}\n{code}```\n")), "the README does not quote {path}");
    }
}
