//! A component's contract: any bytes are read or refused, and of what was read each interface is named.
#![no_main]

use host::contract::Contract;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(contract) = Contract::decode(bytes) {
        assert!(contract.exports.keys().all(|name| contract.export_names.contains(name)), "{contract:?}");
        assert!(contract.imports.keys().all(|name| contract.import_names.contains(name)), "{contract:?}");
    }
});
