//! The scripts. Each is one step of the server, which does it whole, and has it whole in its log.

use super::resp::RespArguments;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use std::fmt::Write as _;
use std::sync::LazyLock;

/// A script, which the server knows by the digest of its text.
pub(in crate::state) struct RedisScript {
    text: &'static str,
    digest: String,
}

/// A script of this file, with what several need. The server looks at the first line: it does not begin a script when
/// it has no memory left or takes no writes, so that none ends in the middle.
macro_rules! script {
    ($flags:literal, $file:literal) => {
        LazyLock::new(|| {
            RedisScript::new(concat!("#!lua", $flags, "\n", include_str!("scripts/common.lua"), include_str!($file)))
        })
    };
}

pub(super) static RIGHTS: LazyLock<RedisScript> = script!(" flags=no-writes", "scripts/rights.lua");
/// The same with a first line of a script that writes: the server refuses it while it takes no writes.
pub(super) static MAY_WRITE: LazyLock<RedisScript> = script!("", "scripts/rights.lua");
pub(in crate::state) static CLAIM: LazyLock<RedisScript> = script!(" flags=allow-oom", "scripts/claim.lua");
pub(super) static RELEASE: LazyLock<RedisScript> = script!(" flags=allow-oom", "scripts/release.lua");
pub(super) static LOOK: LazyLock<RedisScript> = script!(" flags=allow-oom", "scripts/look.lua");
pub(super) static BEFORE: LazyLock<RedisScript> = script!(" flags=no-writes", "scripts/before.lua");
pub(in crate::state) static WRITE: LazyLock<RedisScript> = script!("", "scripts/write.lua");
/// It makes room.
pub(in crate::state) static ERASE: LazyLock<RedisScript> = script!(" flags=allow-oom", "scripts/erase.lua");
pub(in crate::state) static SETTLE: LazyLock<RedisScript> = script!(" flags=allow-oom", "scripts/settle.lua");
pub(super) static GET: LazyLock<RedisScript> = script!(" flags=no-writes", "scripts/get.lua");
pub(super) static SCAN: LazyLock<RedisScript> = script!(" flags=no-writes", "scripts/scan.lua");
pub(super) static KEYS: LazyLock<RedisScript> = script!(" flags=no-writes", "scripts/keys.lua");
pub(in crate::state) static FREEZE: LazyLock<RedisScript> = script!("", "scripts/freeze.lua");
pub(in crate::state) static THAW: LazyLock<RedisScript> = script!(" flags=allow-oom", "scripts/thaw.lua");
pub(super) static FROZEN_GET: LazyLock<RedisScript> = script!(" flags=allow-oom", "scripts/frozen_get.lua");
pub(super) static FROZEN_SCAN: LazyLock<RedisScript> = script!(" flags=allow-oom", "scripts/frozen_scan.lua");

impl RedisScript {
    fn new(text: &'static str) -> Self {
        let bytes = digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        let mut hex = String::new();
        for byte in bytes.as_ref() {
            let _ = write!(hex, "{byte:02x}");
        }
        Self { text, digest: hex }
    }

    /// The digest by which the server knows it.
    pub(in crate::state) fn digest(&self) -> &str {
        &self.digest
    }

    #[cfg(test)]
    pub(in crate::state) fn text(&self) -> &'static str {
        self.text
    }

    /// The request that runs it by its digest, with these arguments.
    pub(super) fn by_digest(&self, arguments: &RespArguments) -> Vec<u8> {
        arguments.after(&RespArguments::of(&[b"EVALSHA", self.digest().as_bytes(), b"0"]))
    }

    /// The request that runs it, and has the server know it from then on.
    pub(super) fn by_text(&self, arguments: &RespArguments) -> Vec<u8> {
        arguments.after(&RespArguments::of(&[b"EVAL", self.text.as_bytes(), b"0"]))
    }
}
