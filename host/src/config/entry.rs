//! Who is let in, by address: `allow` and `deny` of `[gateway]` and of a route, and `maintenance` of `[gateway]`.

use super::reader::key::ManifestKey;
use super::reader::kind::{FlagKind, KindError, ListKind, ValueKind, refused};
use super::reader::measure::{DAY, DurationKind};
use super::reader::section::Section;
use crate::gateway::{AddressList, AddressRange, AddressRangeError, EntrySettings};
use toml::Spanned;
use toml::de::DeValue;

/// A range of addresses.
struct AddressRangeKind;

impl ValueKind for AddressRangeKind {
    type Value = AddressRange;

    fn accepts(&self) -> String {
        "an address or a range like `10.0.0.0/8`".into()
    }

    fn help(&self) -> String {
        "write an address, \"192.0.2.7\", or its first bits and their number, \"10.0.0.0/8\" or \"2001:db8::/32\""
            .into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<AddressRange, Vec<KindError>> {
        let text = value.get_ref().as_str().ok_or_else(|| refused(self, value))?;
        text.parse().map_err(|error| match error {
            AddressRangeError::Malformed => refused(self, value),
            AddressRangeError::NotFirst(first) => {
                let length = text.split_once('/').map_or("", |(_, length)| length);
                let (message, help) = (error.to_string(), format!("write \"{first}/{length}\""));
                vec![KindError { span: value.span(), message, help }]
            }
        })
    }
}

const RANGES: ListKind<AddressRangeKind> = ListKind { of: AddressRangeKind, max: 1024 };

static ALLOW: ManifestKey<ListKind<AddressRangeKind>> = ManifestKey::new(
    "allow",
    RANGES,
    "[]",
    "The clients that are let in, by their addresses behind `trusted_proxies`. Others are answered with 403. Empty: \
     everybody.",
);
static DENY: ManifestKey<ListKind<AddressRangeKind>> =
    ManifestKey::new("deny", RANGES, "[]", "The clients that are not let in, also if `allow` names them.");
static ON: ManifestKey<FlagKind> = ManifestKey::new(
    "on",
    FlagKind,
    "false",
    "Whether there is maintenance from the start: every request is answered with 503. `atoll maintenance on` and `off` \
     switch it while the host runs; a restart takes what stands here.",
);
static RETRY_AFTER: ManifestKey<DurationKind> = ManifestKey::new(
    "retry_after",
    DurationKind { min: 1000, max: 7 * DAY },
    r#""1m""#,
    "When clients are told to come back.",
);
static OPERATORS: ManifestKey<ListKind<AddressRangeKind>> = ManifestKey::new(
    "allow",
    RANGES,
    "[]",
    "Whose requests are answered all the same, so that operators can look before everybody else. Empty: nobody's.",
);

/// Reads `allow` and `deny`.
pub(super) fn addresses(section: &mut Section<'_>) -> AddressList {
    let allow = section.get_sourced(&ALLOW);
    if allow.value.is_empty() && allow.span().is_some() {
        let message = "an empty `allow` keeps nobody out, and `deny` alone decides";
        section.report.push(allow.origin.clone(), message, "name who is let in, or leave it out");
    }
    AddressList { allow: ranges(allow.value), deny: ranges(section.get(&DENY)) }
}

/// Reads what every request passes first.
pub(super) fn read(gateway: &mut Section<'_>) -> EntrySettings {
    let addresses = addresses(gateway);
    let mut section = gateway.section("maintenance");
    let (maintenance, retry_after) = (section.get(&ON), section.get(&RETRY_AFTER));
    let operators = AddressList { allow: ranges(section.get(&OPERATORS)), deny: Vec::new() };
    section.close();
    EntrySettings { addresses, operators, maintenance, retry_after }
}

fn ranges(written: Vec<Spanned<AddressRange>>) -> Vec<AddressRange> {
    written.into_iter().map(Spanned::into_inner).collect()
}
