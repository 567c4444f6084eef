//! The manifest as a whole.

use crate::base::ServiceName;
use crate::config::edge::{self, AdminSettings, GatewaySettings};
use crate::config::file::File;
use crate::config::finding::{Finding, ManifestErrors, ManifestText, ValueOrigin};
use crate::config::kind::Count;
use crate::config::measure::{GIB, MIB, Size, in_memory};
use crate::config::place::{Places, ServiceKey};
use crate::config::route::{self, Route};
use crate::config::section::{ManifestKey, Report, Section};
use crate::config::service::{self, ServiceConfig};
use crate::config::syntax;
use crate::contract::HttpBindingKey;
use crate::{runtime, state};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

/// What `atoll.toml` and the environment say, checked. Paths are joined to the manifest's folder.
#[derive(Debug)]
pub struct Manifest {
    /// The public edge.
    pub gateway: GatewaySettings,
    /// The operators' edge.
    pub admin: AdminSettings,
    /// The database of all services.
    pub state: state::Settings,
    /// The engine.
    pub runtime: runtime::Settings,
    /// How deep services may call one another: 1 to 256.
    pub call_depth: usize,
    /// In the order of the manifest; no two of one name.
    pub services: Vec<ServiceConfig>,
    /// In the order of the manifest, which is the last rule of their precedence.
    pub routes: Vec<Route>,
    pub(super) source: Arc<ManifestText>,
    pub(super) service_places: BTreeMap<ServiceName, Places<ServiceKey>>,
    /// As many as routes.
    pub(super) route_places: Vec<Places<HttpBindingKey>>,
}

/// The longest manifest that is read, in bytes: 10,000 lines.
const LONGEST: u64 = 1 << 20;

/// Set, it takes the place of `state.path`.
const STATE_PATH: &str = "ATOLL_STATE_PATH";

static PATH: ManifestKey<File> = ManifestKey { name: "path", kind: File, default: Some(r#"".atoll/state.redb""#) };
static MAX_BATCH: ManifestKey<Count<u16>> =
    ManifestKey { name: "max_batch", kind: Count { min: 1, max: 10_000 }, default: Some("256") };
/// Below 8 MiB the largest transaction of a guest would leave no room for another.
static QUEUE: ManifestKey<Size> =
    ManifestKey { name: "queue", kind: Size { min: 8 * MIB, max: GIB }, default: Some(r#""16MiB""#) };
static PAGES: ManifestKey<Size> =
    ManifestKey { name: "cache", kind: Size { min: MIB, max: 64 * GIB }, default: Some(r#""64MiB""#) };

static CACHE: ManifestKey<File> = ManifestKey { name: "cache", kind: File, default: Some(r#"".atoll/cache""#) };
static INSTANCES: ManifestKey<Count<u32>> =
    ManifestKey { name: "instances", kind: Count { min: 0, max: 100_000 }, default: Some("0") };
static CALL_DEPTH: ManifestKey<Count<u16>> =
    ManifestKey { name: "call_depth", kind: Count { min: 1, max: 256 }, default: Some("32") };

impl Manifest {
    /// Reads and checks the manifest at `path`; `env` gives the variables of the environment.
    ///
    /// # Errors
    /// Everything that is wrong with the file and with the variables that override it.
    pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ManifestErrors> {
        let name = path.display().to_string();
        let folder = path.parent().unwrap_or(Path::new(""));
        match read_text(path) {
            Ok(text) => Self::parse(&name, text, folder, env),
            Err(error) => {
                let source = Arc::new(ManifestText { name: name.clone(), text: String::new() });
                let help = "name the manifest on the command line, as in `atoll run path/to/atoll.toml`";
                let message = format!("cannot read the manifest {name}: {error}");
                Err(Finding::new(source, ValueOrigin::Absent, message, help).into())
            }
        }
    }

    /// Like [`Manifest::load`], with the text at hand: `name` is what errors call it, `folder` where its paths begin.
    ///
    /// # Errors
    /// As [`Manifest::load`].
    pub fn parse(
        name: &str,
        text: String,
        folder: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ManifestErrors> {
        let source = Arc::new(ManifestText { name: name.into(), text });
        let (table, syntax) = syntax::parse(&source);
        let report = Report::new(source.clone(), syntax);
        let manifest = read(Section::root(table.get_ref(), &report), folder, env);
        match ManifestErrors::from_findings(report.into_findings()) {
            Some(errors) => Err(errors),
            None => Ok(manifest),
        }
    }
}

/// The variables of this process, for [`Manifest::load`]. What is no UTF-8 is shown with replacement characters rather than ignored: a
/// wrong path is an error that somebody sees, a default in its place is not.
pub fn environment(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment for the host")]
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// The text, of a bounded length: the path may be a device or a pipe.
fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::other("it is longer than 1 MiB"));
    }
    Ok(text)
}

/// Reads the sections; what comes of it is a manifest only when the report stays empty.
pub(super) fn read(mut root: Section<'_>, folder: &Path, env: &dyn Fn(&str) -> Option<String>) -> Manifest {
    let source = root.report.source.clone();
    let (gateway, admin) = edge::read(&mut root, env);

    let mut section = root.section("state");
    let state = state::Settings {
        path: folder.join(section.get_or_variable(&PATH, STATE_PATH, env).value),
        max_batch: section.get(&MAX_BATCH).into(),
        queue: in_memory(section.get(&QUEUE)),
        cache: in_memory(section.get(&PAGES)),
    };
    section.close();

    let mut section = root.section("runtime");
    let instances = section.get(&INSTANCES);
    let runtime = runtime::Settings {
        cache: folder.join(section.get(&CACHE)),
        instances: usize::try_from(instances).expect("at most 100,000"),
    };
    let call_depth = section.get(&CALL_DEPTH).into();
    section.close();

    let services = service::read_all(&mut root, folder);
    let routes = route::read_all(&mut root, &services, gateway.timeout);
    root.close();
    Manifest {
        gateway,
        admin,
        state,
        runtime,
        call_depth,
        services: services.all,
        routes: routes.all,
        source,
        service_places: services.places,
        route_places: routes.places,
    }
}
