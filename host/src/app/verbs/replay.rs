//! `atoll replay`: a recorded call, replayed in this process, which needs no host, no store and no other service.

use crate::app::assembly::load;
use crate::base::{Digest, ServiceName};
use crate::contract::InterfaceName;
use crate::egress::Allow;
use crate::events::Topic;
use crate::recording::{Blob, MaskRules, PlaybackReport, RecordedQuestion, Recording};
use crate::runtime::{
    Component, Grants, GuestEnv, InstancePool, Isolation, Limits, Link, PublishGrant, Runtime, Settings,
};
use crate::state::Store;
use anyhow::{Context, anyhow, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_blocking;

/// The replays of one recording.
#[derive(Debug)]
pub struct Replays {
    /// The digest of the component that was replayed.
    pub revision: Digest,
    /// One for each replay.
    pub reports: Vec<PlaybackReport>,
}

/// How long a replay may take, if its service's limit is not known.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Replays `recording` so many times, each on a fresh instance. `against`: with this component; `None`: with that of
/// the manifest, which must be the one that was recorded.
///
/// # Errors
/// The component cannot be read, is another one, or does not fit the recording.
pub async fn replay(
    recording: Recording,
    against: Option<&Path>,
    manifest: &Path,
    times: u32,
) -> anyhow::Result<Replays> {
    let file = match against {
        Some(file) => file.to_owned(),
        None => recorded_component(&recording, manifest)?,
    };
    let bytes = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let revision = Digest::of(&bytes);
    if against.is_none() && revision.to_string() != recording.revision {
        bail!(
            "{} is {}, and the recording is of {}: name a component with `--against`",
            file.display(),
            revision.short(),
            recording.revision.get(..12).unwrap_or_default()
        );
    }
    let memory = usize::try_from(recording.memory).unwrap_or(usize::MAX).clamp(1 << 16, 4 << 30);
    let settings = Settings { cache: PathBuf::from(".atoll/cache"), ..Settings::default() };
    let start = if recording.deterministic { Runtime::deterministic } else { Runtime::new };
    let runtime = Arc::new(start(&settings, SLOTS, memory).map_err(anyhow::Error::from)?);
    let component = {
        let runtime = Arc::clone(&runtime);
        spawn_blocking(move || runtime.compile(&bytes)).await?
    };
    let component = component.with_context(|| file.display().to_string())?;
    let limits = Limits { memory, timeout: TIMEOUT, concurrency: 1, ..Limits::default() };
    let grants = Arc::new(grants(&recording)?);
    let links = links(&component, &recording)?;
    let made = component.revision(&runtime, grants, &limits, &links);
    let pool = InstancePool::new(Arc::clone(&runtime), Arc::new(made?), limits, &Isolation::Request);
    let (recording, rules) = (Arc::new(recording), Arc::new(MaskRules::default()));
    let mut reports = Vec::new();
    for _ in 0..times {
        reports.push(pool.replay(&recording, &rules).await.map_err(|error| anyhow!("{}", error.detail))?);
    }
    Ok(Replays { revision, reports })
}

/// The slots of the replay's pool: those of one instance, which may be composed of many parts, for each depth.
const SLOTS: usize = 64;

/// The component of the recorded service in the manifest.
fn recorded_component(recording: &Recording, manifest: &Path) -> anyhow::Result<PathBuf> {
    let help = "name the component with `--against`, or the manifest with `--manifest`";
    let draft = load::manifest(manifest).with_context(|| help)?;
    let services = &draft.manifest.services;
    let service = services.iter().find(|service| service.spec.name.as_str() == recording.service);
    let component = service.and_then(|service| service.component.clone());
    component
        .ok_or_else(|| anyhow!("{} has no component for service `{}`: {help}", manifest.display(), recording.service))
}

/// What the guest had, as far as it is in the recording. The store is never asked.
fn grants(recording: &Recording) -> anyhow::Result<Grants> {
    let service = ServiceName::new(&recording.service)?;
    let texts = |values: &BTreeMap<String, Blob>| -> BTreeMap<String, String> {
        let text = |value: &Blob| String::from_utf8_lossy(value.bytes()).into_owned();
        values.iter().map(|(name, value)| (name.clone(), text(value))).collect()
    };
    let bucket = Store::absent().bucket(&service);
    let publish = PublishGrant { topics: Vec::<Arc<Topic>>::new(), bucket: bucket.clone() };
    let secrets: GuestEnv = texts(&recording.secrets).into_iter().collect();
    let config = texts(&recording.config);
    Ok(Grants::new(service, Some(bucket), Vec::new(), Allow::default(), &config)
        .with_secrets(&secrets)
        .with_env(texts(&recording.env).into_iter().collect())
        .with_publish(Some(publish)))
}

/// The services that answered the imports when the call was recorded. Of an import that was not called any name will
/// do: a call of it stops the replay.
fn links(component: &Component, recording: &Recording) -> anyhow::Result<Vec<Link>> {
    let called: BTreeMap<&str, &str> = recording
        .exchanges
        .iter()
        .filter_map(|exchange| match &exchange.question {
            RecordedQuestion::Call { service, function, .. } => Some((function.split('#').next()?, service.as_str())),
            _ => None,
        })
        .collect();
    let link = |import: &InterfaceName| {
        let service = called.get(import.to_string().as_str()).copied().unwrap_or("recorded");
        Ok(Link { import: import.clone(), service: ServiceName::new(service)? })
    };
    component.contract().imports.keys().map(link).collect()
}
