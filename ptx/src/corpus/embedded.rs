//! The corpus and the microtests inside the program, so that a binary that was carried to another
//! machine can run them there.

use std::fs;
use std::io;
use std::path::Path;

/// A folder of cases.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddedSet {
    /// Its name.
    pub name: &'static str,
    /// Files by name.
    pub files: &'static [(&'static str, &'static [u8])],
}

macro_rules! set {
    ($name:literal, cases: [$($case:literal)+], data: [$($data:literal)+]) => {
        EmbeddedSet {
            name: $name,
            files: &[
                $(
                    set!($name, $case, ".launch.toml"),
                    set!($name, $case, ".ptx"),
                )+
                $(set!($name, $data, ".safetensors"),)+
            ],
        }
    };
    ($folder:literal, $stem:literal, $ending:literal) => {
        (
            concat!($stem, $ending),
            include_bytes!(concat!("../../", $folder, "/", $stem, $ending)).as_slice(),
        )
    };
}

/// Kernels of several compilers, right and flawed.
pub static CORPUS: EmbeddedSet = set!(
    "corpus",
    cases: [
        "c_block_reduce" "c_block_reduce-flaw" "c_bulk_ring_sm90" "c_collatz" "c_last_block"
        "c_mbar_count-flaw" "c_oob_write-flaw" "h_mma_cpasync_sm80" "h_mma_nowait-flaw"
        "h_wgmma_tma_sm90a" "l_matmul_tiled" "t_attn_causal" "t_axpby_mask" "t_gemm_bf16"
        "t_softmax"
    ],
    data: [
        "c_block_reduce" "c_block_reduce-flaw" "c_bulk_ring_sm90" "c_collatz" "c_last_block"
        "c_mbar_count-flaw" "c_oob_write-flaw" "h_mma_cpasync_sm80" "h_wgmma_tma_sm90a"
        "l_matmul_tiled" "t_attn_causal" "t_axpby_mask" "t_gemm_bf16" "t_softmax"
    ]
);

/// One case a family of opcodes, with values from the text of the ISA.
pub static MICROTESTS: EmbeddedSet = set!(
    "microtests",
    cases: [
        "approx" "atomics" "bulk" "cluster" "collective" "compare" "convert" "copies" "float"
        "integer" "matrix" "mbarriers" "memory" "mma_wide" "tensor" "warpgroup" "wmma"
    ],
    data: [
        "approx" "atomics" "bulk" "cluster" "collective" "compare" "convert" "copies" "float"
        "integer" "matrix" "mbarriers" "memory" "mma_wide" "tensor" "warpgroup" "wmma"
    ]
);

impl EmbeddedSet {
    /// Writes the files into a folder, which is made where it is missing.
    pub fn unpack(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        self.files.iter().try_for_each(|(name, bytes)| fs::write(folder.join(name), bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_file_of_the_folders_is_inside() {
        for set in [CORPUS, MICROTESTS] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(set.name);
            let is_part = |name: &String| {
                [".launch.toml", ".ptx", ".safetensors"].iter().any(|end| name.ends_with(end))
            };
            let on_disk: BTreeSet<String> = fs::read_dir(&folder)
                .expect("the folder is part of the crate")
                .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
                .filter(is_part)
                .collect();
            let inside: BTreeSet<String> =
                set.files.iter().map(|(name, _)| (*name).to_owned()).collect();
            assert_eq!(inside, on_disk, "{}", set.name);
            assert_eq!(inside.len(), set.files.len(), "{}: a file stands twice", set.name);
        }
    }
}
