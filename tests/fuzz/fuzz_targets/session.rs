//! Session records: what is read is written and read again without loss.
#![no_main]

use vincie_data::session::SessionRecord;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    match SessionRecord::parse(bytes, "key") {
        Ok(record) => {
            let again = SessionRecord::parse(&record.to_json(), "key");
            assert_eq!(again.expect("our own record is readable"), record);
        }
        Err(what) => assert_eq!(what.lines().count(), 1),
    }
});
