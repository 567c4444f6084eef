//! Paths of files and addresses of redirections: no path leads out of its folder or to a hidden file, and no client
//! chooses the host that it is sent to.
//!
//! The text is two lines: a path, and the address of a redirection.
#![no_main]

use host::gateway::{FilePath, Redirection};
use http::StatusCode;
use libfuzzer_sys::fuzz_target;
use std::path::{Component, Path};

fuzz_target!(|text: &str| {
    let (path, address) = text.split_once('\n').unwrap_or((text, ""));
    if let Some(file) = FilePath::parse(path) {
        let joined = Path::new("/folder").join(file.as_path());
        assert!(joined.starts_with("/folder"), "{path:?}");
        for (at, component) in file.as_path().components().enumerate() {
            let Component::Normal(name) = component else { panic!("{path:?}: {component:?}") };
            let name = name.as_encoded_bytes();
            let is_public = at == 0 && name == b".well-known";
            assert!(is_public || !name.starts_with(b"."), "{path:?}");
            assert!(!name.iter().any(|byte| matches!(byte, 0 | b'/' | b'\\')), "{path:?}");
        }
    }
    for parameters in [None, Some(&["id"][..])] {
        if let Ok(redirection) = Redirection::new(address, parameters, StatusCode::PERMANENT_REDIRECT) {
            let description = redirection.description();
            let (_, said) = description.split_once(' ').expect("a status and an address");
            let is_path = said.starts_with('/') && !said.starts_with("//");
            let authority = said.split_once("://").and_then(|(_, rest)| rest.split(['/', '?', '#']).next());
            let is_fixed = authority.is_some_and(|host| !host.is_empty() && !host.contains(['{', '@']));
            assert!(is_path || is_fixed, "{said:?}");
        }
    }
});
