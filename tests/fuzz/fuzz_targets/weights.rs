//! Safetensors files: tensors and errors of one line, never a panic.
#![no_main]

use std::fs;
use vincie_dit::weights::Checkpoint;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let path = std::env::temp_dir().join(format!("vincie-fuzz-{}.safetensors", std::process::id()));
    fs::write(&path, bytes).expect("the temporary folder is writable");
    let outcome = Checkpoint::open(&path).and_then(|file| {
        for name in file.names() {
            let tensor = file.tensor(&name)?.to_f32()?;
            assert_eq!(Some(tensor.dims()), file.shape(&name));
        }
        Ok(())
    });
    if let Err(error) = outcome {
        assert_eq!(error.to_string().lines().count(), 1);
    }
});
