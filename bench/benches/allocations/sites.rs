//! Where requests allocate: dhat's profile, summed up by places.

use serde_json::Value;
use std::collections::HashMap;
use std::fmt::Write;

/// Places that are listed.
const LISTED: usize = 25;

/// Code that allocates for whoever calls it.
const LIBRARIES: [&str; 9] =
    ["alloc::", "core::", "std::", "hashbrown::", "dhat::", "<dhat::", "__rust", "__rdl", "bytes::"];

#[derive(Default)]
struct Site {
    blocks: u64,
    bytes: u64,
}

/// The places with the most allocations, with counts for each of `requests`: the innermost code that is no library's of containers, and
/// the innermost code of the host above it.
pub(crate) fn table(profile: &[u8], requests: u64) -> anyhow::Result<String> {
    let profile: Value = serde_json::from_slice(profile)?;
    let frames: Vec<_> = profile["ftbl"].as_array().into_iter().flatten().map(|frame| name(frame)).collect();
    let mut sites: HashMap<(String, String), Site> = HashMap::new();
    for point in profile["pps"].as_array().into_iter().flatten() {
        let stack: Vec<&str> = point["fs"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|frame| frames.get(usize::try_from(frame.as_u64()?).ok()?).map(String::as_str))
            .collect();
        let library = |frame: &&&str| {
            let bare = frame.trim_start_matches(['<', '&', '[']);
            LIBRARIES.iter().any(|library| bare.starts_with(library) || frame.starts_with(library))
        };
        let inner = stack.iter().find(|frame| !library(frame)).copied().unwrap_or("?");
        let ours = stack.iter().find(|frame| frame.contains("host::")).copied().unwrap_or("–");
        let site = sites.entry((inner.to_owned(), ours.to_owned())).or_default();
        site.blocks += point["tbk"].as_u64().unwrap_or_default();
        site.bytes += point["tb"].as_u64().unwrap_or_default();
    }
    let mut sites: Vec<_> = sites.into_iter().collect();
    sites.sort_by_key(|(_, site)| std::cmp::Reverse((site.blocks, site.bytes)));
    let mut table = String::from("| allocations | bytes | in | of the host |\n| --: | --: | --- | --- |\n");
    let each = |total: u64| total as f64 / requests as f64;
    for ((inner, ours), site) in sites.iter().take(LISTED) {
        let ours = if ours == inner { "" } else { ours };
        writeln!(table, "| {:.2} | {:.0} | `{inner}` | `{ours}` |", each(site.blocks), each(site.bytes))?;
    }
    Ok(table)
}

/// `0x55…: path::to::function (src/file.rs:12:34)` without its address, hash and column.
fn name(frame: &Value) -> String {
    let text = frame.as_str().unwrap_or_default();
    let text = text.split_once(": ").map_or(text, |(_, text)| text);
    let (function, place) = text.split_once(" (").unwrap_or((text, ""));
    let place = place.trim_end_matches(')');
    let file = place.rsplit('/').next().unwrap_or_default();
    let file = file.rsplit_once(':').map_or(file, |(file, _)| file);
    if file.is_empty() { function.to_owned() } else { format!("{function} ({file})") }
}
