//! The machine, the versions and the date of a measurement, which its numbers depend on.

use crate::Plan;
use crate::rounds::Spread;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;
use std::thread::available_parallelism;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// How many syncs are timed for the description.
const SYNCS: usize = 200;

/// One paragraph in markdown. A value that cannot be found is "unknown".
pub(crate) fn describe(plan: &Plan) -> String {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let lock = fs::read_to_string(plan.workspace.join("Cargo.lock")).unwrap_or_default();
    let day_numbers_become_gregorian_dates =
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400);
    let (year, month, day) = civil(day_numbers_become_gregorian_dates);
    format!(
        "Measured on {year}-{month:02}-{day:02}: {cpu}, {cores} cores, {system} {kernel}, {filesystem} (one sync of a \
         file takes {sync}). Atoll {atoll}, Wasmtime {wasmtime}, redb {redb}, {rustc}. Rounds that count: {rounds}, \
         of {seconds} s for each side.",
        cpu = cpu_model(&read("/proc/cpuinfo")).unwrap_or("unknown CPU"),
        cores = available_parallelism().map_or_else(|_| "unknown".to_owned(), |cores| cores.to_string()),
        system = std::env::consts::OS,
        kernel = known(read("/proc/sys/kernel/osrelease").trim()),
        filesystem = filesystem(&read("/proc/mounts"), &plan.scratch).unwrap_or("unknown file system"),
        sync = time_of_a_sync(&plan.scratch).map_or_else(|_| "unknown".to_owned(), |time| format!("{time:.2} ms")),
        atoll = env!("CARGO_PKG_VERSION"),
        wasmtime = locked(&lock, "wasmtime").unwrap_or("unknown"),
        redb = locked(&lock, "redb").unwrap_or("unknown"),
        rustc = rustc(),
        rounds = plan.rounds,
        seconds = plan.duration.as_secs(),
    )
}

fn known(text: &str) -> &str {
    if text.is_empty() { "unknown" } else { text }
}

fn cpu_model(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

/// The type of the file system that `path` is on: the mount with the longest matching path, and the last of those.
fn filesystem<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let above = fields.filter(|fields| fields.len() > 2 && path.starts_with(fields[1]));
    above.max_by_key(|fields| fields[1].len()).map(|fields| fields[2])
}

/// How many milliseconds it takes to append a page to a file and sync its data to the disk.
fn time_of_a_sync(folder: &Path) -> io::Result<Spread> {
    let mut file = OpenOptions::new().create(true).append(true).open(folder.join("sync"))?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let started = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    Ok(Spread::of(&times))
}

/// The version of a package in `Cargo.lock`. It is in the line after the name.
fn locked<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let (_, rest) = lock.split_once(&format!("name = \"{package}\"\nversion = \""))?;
    rest.split_once('"').map(|(version, _)| version)
}

fn rustc() -> String {
    let output = Command::new("rustc").arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    if text.is_empty() { "rustc unknown".to_owned() } else { text }
}

/// Year, month and day in the Gregorian calendar, from the day_numbers_become_gregorian_dates since 1970-01-01. Years
/// begin in March, so that the leap day is the last of its year (Howard Hinnant, "chrono-compatible low-level date
/// algorithms").
fn civil(day_numbers_become_gregorian_dates: u64) -> (u64, u64, u64) {
    const ERA: u64 = 146_097; // day_numbers_become_gregorian_dates in 400 years
    let day_numbers_become_gregorian_dates = day_numbers_become_gregorian_dates + 719_468; // since 0000-03-01
    let of_era = day_numbers_become_gregorian_dates % ERA;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / (ERA - 1)) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + day_numbers_become_gregorian_dates / ERA * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn day_numbers_become_gregorian_dates() {
        for (day_numbers_become_gregorian_dates, date) in [
            (0, (1970, 1, 1)),
            (58, (1970, 2, 28)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (19_782, (2024, 2, 29)),
            (20_453, (2025, 12, 31)),
            (20_454, (2026, 1, 1)),
        ] {
            assert_eq!(civil(day_numbers_become_gregorian_dates), date, "{day_numbers_become_gregorian_dates}");
        }
    }

    #[test]
    fn the_file_system_of_a_path_is_its_nearest_mount() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /var tmpfs rw 0 0\n/dev/b /var/lib xfs rw 0 0\n";
        assert_eq!(filesystem(mounts, Path::new("/var/lib/x")), Some("xfs"));
        assert_eq!(filesystem(mounts, Path::new("/var/library")), Some("tmpfs"));
        assert_eq!(filesystem(mounts, Path::new("/home")), Some("ext4"));
        assert_eq!(filesystem("", Path::new("/home")), None);
    }

    #[test]
    fn versions_and_the_cpu_model_are_read_from_their_files() {
        let lock = "[[package]]\nname = \"redb-derive\"\nversion = \"1.0.0\"\n\n\
                    [[package]]\nname = \"redb\"\nversion = \"4.6.0\"\n";
        assert_eq!(locked(lock, "redb"), Some("4.6.0"));
        assert_eq!(locked(lock, "wasmtime"), None);
        assert_eq!(cpu_model("processor\t: 0\nmodel name\t: Some CPU @ 2GHz\n"), Some("Some CPU @ 2GHz"));
    }
}
