//! Which version of an interface answers for which other one, by the component model's rule.

use super::interface::{Contract, Interface, InterfaceName};

impl InterfaceName {
    /// Whether an import of this name may be answered by `provider`: the same path, and a version on the same track. Whether the
    /// provider then has what the caller uses is for [`unmet`](super::unmet) to say; so it need not be the newer one.
    pub fn compatible(&self, provider: &Self) -> bool {
        self.path == provider.path && self.version_track() == provider.version_track()
    }

    /// The name of all versions that are compatible with this one: two names are compatible just when their tracks are equal.
    /// `shop:products/products@1` for 1.2.3, `…@0.2` for 0.2.3, `…@0.0.1` for itself; a prerelease or a build stands for itself alone.
    pub fn track(&self) -> String {
        match self.version_track() {
            Some(track) => format!("{}@{track}", self.path),
            None => self.path.clone(),
        }
    }

    /// The part of the version that must be equal: up to the first number that is not 0 (semver's rule for what may break).
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

    /// The version's numbers, to tell the newest of those on one track.
    fn numbers(&self) -> Vec<u64> {
        let numbers = self.version.iter().flat_map(|version| version.split('.'));
        numbers.map(|number| number.parse().unwrap_or(0)).collect()
    }
}

impl Contract {
    /// The export that answers an import of `wanted`: the one of this very name, else the newest that is compatible.
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
            // Names that are canonical already are their own tracks.
            ("1", "1"),
            ("0.2", "0.2"),
        ];
        for (version, track) in tracks {
            assert_eq!(name(version).track(), format!("a:b/c@{track}"), "{version}");
        }
        assert_eq!(InterfaceName::new("a:b/c").track(), "a:b/c");
    }

    #[test]
    fn only_what_may_not_break_is_compatible() {
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
    fn the_very_version_answers_else_the_newest_that_is_compatible() {
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
        fn two_names_are_compatible_just_when_their_tracks_are_equal(
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
