//! Files with keys and other secrets, which other users of the machine can read or change.

use crate::config::{Finding, Manifest};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The bits of a mode that are every user's: to read, to write.
const READ: u32 = 0o004;
const WRITE: u32 = 0o002;

/// One warning for each such file that the manifest names. A file that is not there is another matter.
pub(in crate::app) fn check(manifest: &Manifest) -> Vec<Finding> {
    let open = manifest.private_files().iter().filter_map(|file| {
        let (message, help) = open_to_all(&file.path)?;
        Some(manifest.diagnose_private(file, message, help))
    });
    open.collect()
}

/// What is wrong with the mode of the file at `path`, which has a secret, and the mend; `None`: nothing. What the group
/// may is the operator's choice: it is how a secret comes from another user's hand.
pub(super) fn open_to_all(path: &Path) -> Option<(String, String)> {
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o7777;
    let can = match (mode & READ != 0, mode & WRITE != 0) {
        (true, true) => "read and change",
        (true, false) => "read",
        (false, true) => "change",
        (false, false) => return None,
    };
    let shown = path.display();
    let message =
        format!("the file {shown} has a secret, and every user of this machine can {can} it (mode {mode:04o})");
    Some((message, format!("run `chmod 600 {shown}`; for a volume of Kubernetes, write `defaultMode: 0440`")))
}

/// Whether a JWK set has keys that nobody but their owner should have: private ones, or shared ones (RFC 7518, section
/// 6). An issuer publishes neither.
pub(super) fn has_private_keys(set: impl AsRef<[u8]>) -> bool {
    let set: Option<serde_json::Value> = serde_json::from_slice(set.as_ref()).ok();
    let keys = set.as_ref().and_then(|set| set.get("keys")?.as_array());
    keys.is_some_and(|keys| keys.iter().any(|key| key.get("d").is_some() || key.get("k").is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_that_lets_everybody_in_is_told_with_its_mend() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("shop.key");
        assert_eq!(open_to_all(&path), None, "there is none");
        fs::write(&path, "secret").expect("written");
        for (mode, told) in [
            (0o600, None),
            (0o400, None),
            (0o640, None),
            (0o644, Some("can read it (mode 0644)")),
            (0o604, Some("can read it (mode 0604)")),
            (0o666, Some("can read and change it (mode 0666)")),
            (0o602, Some("can change it (mode 0602)")),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("changed");
            let found = open_to_all(&path);
            assert_eq!(found.is_some(), told.is_some(), "{mode:o}");
            if let (Some((message, help)), Some(told)) = (found, told) {
                assert!(message.ends_with(told) && message.contains("shop.key"), "{message}");
                assert!(help.contains(&format!("chmod 600 {}", path.display())), "{help}");
            }
        }
    }

    #[test]
    fn a_set_with_private_or_shared_keys_is_a_secret() {
        assert!(!has_private_keys(r#"{"keys":[{"kty":"EC","x":"a","y":"b"}]}"#));
        assert!(has_private_keys(r#"{"keys":[{"kty":"EC","x":"a"},{"kty":"EC","x":"a","d":"c"}]}"#));
        assert!(has_private_keys(r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#));
        assert!(!has_private_keys("no json"));
    }
}
