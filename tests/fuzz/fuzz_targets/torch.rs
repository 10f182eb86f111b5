//! Files of `torch.save`: tensors and errors of one line, never a panic. Entries are stored as they are and
//! their checksums are not asked for, so that changes within the pickle reach its reader.
#![no_main]

use std::fs;
use vincie_dit::weights::Checkpoint;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let path = std::env::temp_dir().join(format!("vincie-fuzz-{}.pth", std::process::id()));
    fs::write(&path, bytes).expect("the temporary folder is writable");
    let outcome = Checkpoint::open(&path).and_then(|file| {
        for name in file.names() {
            if let Ok(tensor) = file.tensor(&name) {
                assert_eq!(Some(tensor.to_f32()?.dims()), file.shape(&name));
            }
        }
        Ok(())
    });
    if let Err(error) = outcome {
        assert_eq!(error.to_string().lines().count(), 1);
    }
});
