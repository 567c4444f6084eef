//! Which version of an interface may answer an import of another version, by the component model's rule: both are on
//! one track.

use super::interface::{Contract, Interface, InterfaceName};

impl InterfaceName {
    /// Whether `provider` may answer an import of this name: it has the same path, and a version on the same track. The
    /// provider need not be the newer version, because [`unmet`](crate::contract::unmet) then checks that it has all
    /// that the caller uses.
    pub fn compatible(&self, provider: &Self) -> bool {
        self.path == provider.path && self.version_track() == provider.version_track()
    }

    /// The common name of all versions that are compatible with this one: two names are compatible if and only if their
    /// tracks are equal. It is `shop:products/products@1` for 1.2.3, `…@0.2` for 0.2.3 and `…@0.0.1` for 0.0.1; a
    /// prerelease or a build is a track of its own.
    pub fn track(&self) -> String {
        match self.version_track() {
            Some(track) => format!("{}@{track}", self.path),
            None => self.path.clone(),
        }
    }

    /// The part of the version that must be equal: up to the first number that is not 0 (semver's rule for breaking
    /// changes).
    fn version_track(&self) -> Option<&str> {
        let version = self.version.as_deref()?;
        if !version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return Some(version);
        }
        let decisive = version.split('.').position(|number| number != "0");
        let parts = decisive.map_or(usize::MAX, |index| index + 1);
        let end = version.match_indices('.').nth(parts.saturating_sub(1)).map_or(version.len(), |(index, _)| index);
        Some(&version[..end])
    }

    /// The numbers of the version, to find the newest version on a track.
    fn numbers(&self) -> Vec<u64> {
        let numbers = self.version.iter().flat_map(|version| version.split('.'));
        numbers.map(|number| number.parse().unwrap_or(0)).collect()
    }
}

impl Contract {
    /// The export that answers an import of `wanted`: the export with exactly this name, else the newest compatible
    /// one.
    pub fn export(&self, wanted: &InterfaceName) -> Option<(&InterfaceName, &Interface)> {
        let newest = || {
            let compatible = self.exports.iter().filter(|(name, _)| wanted.compatible(name));
            compatible.max_by_key(|(name, _)| name.numbers())
        };
        self.exports.get_key_value(wanted).or_else(newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(version: &str) -> InterfaceName {
        InterfaceName::new(&format!("a:b/c@{version}"))
    }

    #[test]
    fn tracks_are_those_of_the_component_model() {
        let tracks = [
            ("1.0.0", "1"),
            ("1.2.3", "1"),
            ("10.2.3", "10"),
            ("0.2.6", "0.2"),
            ("0.10.0", "0.10"),
            ("0.0.1", "0.0.1"),
            ("0.0.0", "0.0.0"),
            ("0.2.0-rc.1", "0.2.0-rc.1"),
            ("1.0.0+build.7", "1.0.0+build.7"),
            // A name that is a track already is its own track.
            ("1", "1"),
            ("0.2", "0.2"),
        ];
        for (version, track) in tracks {
            assert_eq!(name(version).track(), format!("a:b/c@{track}"), "{version}");
        }
        assert_eq!(InterfaceName::new("a:b/c").track(), "a:b/c");
    }

    #[test]
    fn versions_without_a_breaking_change_between_them_are_compatible() {
        let pairs = [
            ("1.0.0", "1.9.3", true),
            ("1.9.0", "1.0.0", true),
            ("1.0.0", "2.0.0", false),
            ("1.0.0", "10.0.0", false),
            ("0.2.0", "0.2.9", true),
            ("0.2.0", "0.3.0", false),
            ("0.0.1", "0.0.1", true),
            ("0.0.1", "0.0.2", false),
            ("1.0.0", "1.0.0-rc.1", false),
            ("1.0.0-rc.1", "1.0.0-rc.1", true),
            ("1.0.0-rc.1", "1.0.0-rc.2", false),
            ("1.0.0+a", "1.0.0+b", false),
        ];
        for (caller, provider, expected) in pairs {
            assert_eq!(name(caller).compatible(&name(provider)), expected, "{caller} by {provider}");
        }
        let bare = InterfaceName::new("a:b/c");
        assert!(bare.compatible(&bare));
        assert!(!bare.compatible(&name("1.0.0")));
        assert!(!name("1.0.0").compatible(&InterfaceName::new("a:b/d@1.0.0")));
    }

    #[test]
    fn an_import_is_answered_by_its_exact_version_else_by_the_newest_compatible_one() {
        let mut contract = Contract::default();
        for version in ["1.2.0", "1.10.0", "2.0.0"] {
            contract.exports.insert(name(version), Interface::default());
        }
        let answers = |version: &str| contract.export(&name(version)).map(|(name, _)| name.to_string());
        assert_eq!(answers("1.2.0").as_deref(), Some("a:b/c@1.2.0"));
        assert_eq!(answers("1.0.0").as_deref(), Some("a:b/c@1.10.0"));
        assert_eq!(answers("3.0.0"), None);
    }

    proptest! {
        #[test]
        fn two_names_are_compatible_if_and_only_if_their_tracks_are_equal(
            a in "[ab](@(0|1|2)\\.(0|1|2)\\.(0|1|2)(-rc\\.1|\\+b)?)?",
            b in "[ab](@(0|1|2)\\.(0|1|2)\\.(0|1|2)(-rc\\.1|\\+b)?)?",
        ) {
            let (a, b) = (InterfaceName::new(&a), InterfaceName::new(&b));
            prop_assert_eq!(a.compatible(&b), a.track() == b.track());
            prop_assert_eq!(a.compatible(&b), b.compatible(&a));
            prop_assert!(a.compatible(&a));
        }
    }
}
