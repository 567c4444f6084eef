//! Where requests allocate: dhat's profile, summed up by source lines.

use serde_json::Value;
use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;

/// How many source lines are listed.
const LISTED: usize = 20;

/// Files of containers, which allocate on behalf of their callers, as dhat shortens the paths.
const CONTAINERS: [&str; 22] = [
    "alloc/src/",
    "core/src/",
    "std/src/",
    "dhat-",
    "bytes-",
    "hashbrown-",
    "raw/",
    "src/raw/",
    "src/raw_vec/",
    "src/vec/",
    "src/fmt/",
    "src/ops/",
    "src/ptr/",
    "src/str/",
    "src/iter/",
    "src/backtrace/",
    "src/collections/",
    "src/sync/",
    "src/io/",
    "src/alloc",
    "src/boxed.rs",
    "src/slice",
];

/// One line of a backtrace.
struct Frame {
    function: String,
    /// File and line.
    location: String,
    /// Whether the file is one of the host's.
    ours: bool,
}

#[derive(Default)]
struct Site {
    blocks: u64,
    bytes: u64,
}

/// A table of the source lines with the most allocations, counted for each of `requests`. A row has the innermost
/// code that is not a container, and the innermost line of the host above it.
pub(crate) fn table(profile: &[u8], requests: u64) -> anyhow::Result<String> {
    let profile: Value = serde_json::from_slice(profile)?;
    let frames: Vec<_> = list(&profile["ftbl"]).map(|frame| Frame::read(frame.as_str().unwrap_or_default())).collect();
    let mut sites: HashMap<(String, &str), Site> = HashMap::new();
    for point in list(&profile["pps"]) {
        let stack = || list(&point["fs"]).filter_map(|at| frames.get(usize::try_from(at.as_u64()?).ok()?));
        let inner = stack().find(|frame| !frame.is_container());
        let inner = inner.map_or_else(|| "?".to_owned(), |frame| format!("{} ({})", frame.function, frame.location));
        let ours = stack().find(|frame| frame.ours).map_or("", |frame| &frame.location);
        let site = sites.entry((inner, ours)).or_default();
        site.blocks += point["tbk"].as_u64().unwrap_or_default();
        site.bytes += point["tb"].as_u64().unwrap_or_default();
    }
    let mut sites: Vec<_> = sites.into_iter().collect();
    sites.sort_by_key(|(_, site)| std::cmp::Reverse((site.blocks, site.bytes)));
    let mut table = String::from("| allocations | bytes | in | for the host's |\n| --: | --: | --- | --- |\n");
    let each = |total: u64| total as f64 / requests as f64;
    for ((inner, ours), site) in sites.iter().take(LISTED) {
        writeln!(table, "| {:.2} | {:.0} | {inner} | {ours} |", each(site.blocks), each(site.bytes))?;
    }
    Ok(table)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

impl Frame {
    /// Reads `0x55…: path::to::function<types> (src/file.rs:12:34)`.
    fn read(text: &str) -> Self {
        let text = text.split_once(": ").map_or(text, |(_, text)| text);
        let (function, location) = text.rsplit_once(" (").unwrap_or((text, ""));
        let location = location.trim_end_matches(')');
        let location = location.rsplit_once(':').map_or(location, |(location, _column)| location);
        let function = without_types(function);
        // dhat keeps only the end of a path. tokio has a file whose path ends like one of ours; its function names
        // tell it apart.
        let file = location.rsplit_once(':').map_or(location, |(file, _line)| file);
        let file = file.strip_prefix("src/").unwrap_or(file);
        let of_host = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/src").join(file);
        let ours = file.contains('/') && of_host.exists() && !function.starts_with("set_scheduler");
        Self { function, location: location.to_owned(), ours }
    }

    fn is_container(&self) -> bool {
        self.location.is_empty() || CONTAINERS.iter().any(|path| self.location.starts_with(path))
    }
}

/// The name of a function without the types in angle brackets.
fn without_types(function: &str) -> String {
    let mut depth = 0_u32;
    let keep = |letter: &char| {
        match letter {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            _ => return depth == 0,
        }
        false
    };
    let bare: String = function.chars().filter(keep).collect();
    if bare.is_empty() { function.to_owned() } else { bare }
}
