//! The build of one service.

use super::source_files::SourceFiles;
use crate::base::ServiceName;
use crate::config::{BuildConfig, Draft, Manifest, ManifestErrors, environment};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};
use thiserror::Error;

/// How the component of a service is made, and what its sources were when it was made last.
#[derive(Debug, Clone)]
pub struct BuildStep {
    /// The service.
    pub service: ServiceName,
    config: BuildConfig,
    /// The sources of the last build, or of the last look.
    seen: SourceFiles,
}

/// Why a build made no component.
#[derive(Debug, Error)]
pub enum BuildFailure {
    /// The shell did not start.
    #[error("the build of `{service}` does not start: {source}")]
    Start {
        /// The service.
        service: ServiceName,
        /// Why.
        source: std::io::Error,
    },
    /// The command failed. Its output says why.
    #[error("the build of `{service}` failed ({status}): {command}\n{output}")]
    Failed {
        /// The service.
        service: ServiceName,
        /// Its command.
        command: String,
        /// How the command ended.
        status: std::process::ExitStatus,
        /// What it printed.
        output: String,
    },
    /// The command succeeded, and the component is not there.
    #[error("the build of `{service}` made no {}: `component` names the file that `build` makes", .component.display())]
    Nothing {
        /// The service.
        service: ServiceName,
        /// The file that is missing.
        component: PathBuf,
    },
}

impl BuildStep {
    /// The builds of the manifest at `path`, in its order. Components that are not built yet are no error.
    ///
    /// # Errors
    /// What else is wrong with the manifest.
    pub fn read(path: &Path) -> Result<Vec<Self>, ManifestErrors> {
        let draft = Draft::load(path, &environment)?;
        match ManifestErrors::from_findings(draft.findings().to_vec()) {
            Some(errors) => Err(errors),
            None => Ok(Self::all(&draft.manifest)),
        }
    }

    /// The services whose components are not built yet, if nothing else is wrong with the text of the manifest at
    /// `path`. What is found wrong with what it names is another matter.
    pub fn missing(path: &Path) -> Vec<ServiceName> {
        let Ok(draft) = Draft::load(path, &environment) else { return Vec::new() };
        let built: Vec<_> = Self::all(&draft.manifest).into_iter().map(|step| step.service).collect();
        let missing: Vec<_> = draft.absent().iter().map(|(service, _)| service.clone()).collect();
        let is_whole = draft.findings().is_empty() && missing.iter().all(|service| built.contains(service));
        if is_whole { missing } else { Vec::new() }
    }

    fn all(manifest: &Manifest) -> Vec<Self> {
        let steps = manifest.services.iter().filter_map(|service| {
            let config = service.build.clone()?;
            let seen = SourceFiles::below(&config.watch, &config.component);
            Some(Self { service: service.spec.name.clone(), config, seen })
        });
        steps.collect()
    }

    /// The command line for `sh -c`.
    pub fn command(&self) -> &str {
        &self.config.command
    }

    /// The file that it makes.
    pub fn component(&self) -> &PathBuf {
        &self.config.component
    }

    /// Whether the component is missing, or a source is newer.
    pub fn is_stale(&self) -> bool {
        let built = fs::metadata(&self.config.component).and_then(|facts| facts.modified());
        let sources = SourceFiles::below(&self.config.watch, &self.config.component);
        built.map_or(true, |built| sources.newest().is_some_and(|newest| newest > built))
    }

    /// A source that has changed since the last build or the last look.
    pub fn look(&mut self) -> Option<PathBuf> {
        let now = SourceFiles::below(&self.config.watch, &self.config.component);
        let changed = now.changed_since(&self.seen).map(PathBuf::from)?;
        self.seen = now;
        Some(changed)
    }

    /// Runs the command, and returns how long it took. A source that changes meanwhile is seen by the next look.
    ///
    /// # Errors
    /// [`BuildFailure`]. A file that the command has left is not to be served then.
    pub fn run(&mut self) -> Result<Duration, BuildFailure> {
        let (service, began) = (self.service.clone(), Instant::now());
        self.seen = SourceFiles::below(&self.config.watch, &self.config.component);
        let mut command = Command::new("sh");
        command.args(["-c", &self.config.command]).current_dir(&self.config.folder).stdin(Stdio::null());
        // Flags for the host (coverage, sanitizers, target-cpu) do not fit WebAssembly.
        command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
        // A script that makes bindings or a component by `atoll wit` takes the program that builds.
        if let Ok(atoll) = env::current_exe() {
            command.env("ATOLL", atoll);
        }
        let done = command.output().map_err(|source| BuildFailure::Start { service: service.clone(), source })?;
        if !done.status.success() {
            let output = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
            let (command, status) = (self.config.command.clone(), done.status);
            return Err(BuildFailure::Failed { service, command, status, output });
        }
        if !self.config.component.is_file() {
            return Err(BuildFailure::Nothing { service, component: self.config.component.clone() });
        }
        Ok(began.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, FileTimes};
    use std::time::SystemTime;

    fn step(folder: &Path, build: &str) -> BuildStep {
        fs::create_dir_all(folder.join("a/src")).unwrap();
        fs::write(folder.join("a/src/a.js"), "1").unwrap();
        let text = format!("[service.a]\ncomponent = \"a/a.wasm\"\nbuild = {build:?}\n");
        fs::write(folder.join("atoll.toml"), text).unwrap();
        let draft = Draft::load(&folder.join("atoll.toml"), &|_| None).unwrap();
        assert!(draft.findings().is_empty(), "{:?}", draft.findings());
        BuildStep::all(&draft.manifest).remove(0)
    }

    /// Sets the time of a file, so that no test waits for the clock of the file system.
    fn touch(path: &Path, seconds: u64) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        File::options().append(true).open(path).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
    }

    #[test]
    fn a_build_is_out_of_date_when_a_source_is_newer() {
        let folder = tempfile::tempdir().unwrap();
        let mut step = step(folder.path(), "cat src/*.js > a.wasm");
        assert!(step.is_stale(), "the component is missing");
        step.run().unwrap();
        let (source, component) = (folder.path().join("a/src/a.js"), folder.path().join("a/a.wasm"));
        assert_eq!(fs::read_to_string(&component).unwrap(), "1", "it ran in the component's folder");
        touch(&source, 1_000);
        touch(&component, 2_000);
        assert!(!step.is_stale());
        for left_out in ["a/target", "a/node_modules", "a/.hidden"] {
            fs::create_dir_all(folder.path().join(left_out)).unwrap();
            fs::write(folder.path().join(left_out).join("new"), "").unwrap();
        }
        assert!(!step.is_stale(), "what a build writes is no source");
        touch(&source, 3_000);
        assert!(step.is_stale());
    }

    #[test]
    fn a_change_is_seen_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut step = step(folder.path(), "cp src/a.js a.wasm");
        step.run().unwrap();
        assert_eq!(step.look(), None, "the component is no source of itself");
        let new = folder.path().join("a/src/b.js");
        fs::write(&new, "2").unwrap();
        assert_eq!(step.look(), Some(new.clone()));
        assert_eq!(step.look(), None);
        fs::remove_file(&new).unwrap();
        assert_eq!(step.look(), Some(new));
    }

    #[test]
    fn a_failed_build_says_what_it_printed() {
        let folder = tempfile::tempdir().unwrap();
        let failed = step(folder.path(), "echo out; echo err >&2; exit 3").run().unwrap_err().to_string();
        for part in ["`a`", "exit status: 3", "out\n", "err\n"] {
            assert!(failed.contains(part), "{failed}");
        }
        let nothing = step(folder.path(), "true").run().unwrap_err().to_string();
        assert!(nothing.contains("a.wasm"), "{nothing}");
    }
}
