//! Training configurations: what is accepted is written and read again as the same.
#![no_main]

use vincie_dit::train::config::TrainConfig;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match TrainConfig::parse("input.toml", text, &[]) {
        Ok(config) => {
            let again = TrainConfig::parse("again.toml", &config.to_toml().expect("values can be written"), &[]);
            assert_eq!(again.expect("our own configuration is readable"), config);
        }
        Err(error) => assert_eq!(error.to_string().lines().count(), 1),
    }
});
