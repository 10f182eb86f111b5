//! Lists the kernels under `kernels/`, so that a file that stands there is in the binary.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=kernels");
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo names the crate's folder");
    let out = env::var("OUT_DIR").expect("cargo names a folder for results");
    let folder = Path::new(&root).join("kernels");
    let mut list = String::from("&[\n");
    for op in names(&folder).into_iter().filter(|name| folder.join(name).is_dir()) {
        for file in names(&folder.join(&op)).into_iter().filter(|name| name.ends_with(".ptx")) {
            let path = folder.join(&op).join(&file);
            println!("cargo::rerun-if-changed={}", path.display());
            writeln!(list, "({op:?}, {file:?}, include_str!({path:?})),").expect("text grows");
        }
    }
    list.push_str("]\n");
    fs::write(Path::new(&out).join("kernels.rs"), list).expect("the list can be written");
}

/// Names in a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry.expect("an entry can be read").file_name().to_string_lossy().into_owned()
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}
