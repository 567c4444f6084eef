//! `Range`: any value and any length of content give a part within the content, or none.
#![no_main]

use host::cache::{ByteRange, RangeChoice};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: (u16, &[u8])| {
    let (length, value) = (usize::from(data.0), data.1);
    if let Some(RangeChoice::Part(ByteRange { first, last })) = RangeChoice::parse(value, length) {
        assert!(first <= last && last < length, "{first}-{last} of {length}");
    }
});
