//! The manifest: any text is read, or refused with findings. Each has a message and a position inside of the text.
#![no_main]

use host::config::Manifest;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|text: &str| {
    let no_variables = |_: &str| None;
    if let Err(errors) = Manifest::parse("atoll.toml", text.to_owned(), Path::new("/nowhere"), &no_variables) {
        let lines = text.split('\n').count();
        for finding in errors.findings() {
            assert!(!finding.message().is_empty(), "a finding without a message");
            assert!(finding.position().is_none_or(|(line, _)| (1..=lines).contains(&line)), "{:?}", finding.position());
        }
    }
});
