//! Files for the tools around the command line: the schema of the manifest, completions for shells, man pages.

use super::command::Command;
use super::terminal;
use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;
use std::fs;
use std::path::Path;

/// Made from the declarations of the keys; a test of `config` holds it against them.
const SCHEMA: &str = include_str!("../../schema/atoll.schema.json");

/// Prints the JSON schema of the manifest.
pub(super) fn schema() -> anyhow::Result<()> {
    Ok(terminal::print(SCHEMA)?)
}

/// Prints what a shell completes.
pub(super) fn completions(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Command::command(), "atoll", &mut script);
    Ok(terminal::print(&String::from_utf8(script)?)?)
}

/// Writes a man page for the command and one for each verb: `atoll.1`, `atoll-run.1`.
pub(super) fn man(folder: &Path) -> anyhow::Result<()> {
    let told = || format!("writing man pages to {}", folder.display());
    fs::create_dir_all(folder).with_context(told)?;
    clap_mangen::generate_to(Command::command(), folder).with_context(told)?;
    terminal::note(&format!("man pages are in {0}; `man -l {0}/atoll.1` shows the first", folder.display()));
    Ok(())
}
