//! Lists the golden numbers of the repository, so that the program can check itself on a machine
//! that has nothing else.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo names the crate's folder");
    let out = env::var("OUT_DIR").expect("cargo names a folder for results");
    let folder = Path::new(&root).join("../tests/golden");
    println!("cargo::rerun-if-changed={}", folder.display());
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry.expect("an entry can be read").file_name().to_string_lossy().into_owned()
    };
    let mut names: Vec<String> = entries.map(name).filter(|name| name != "README.md").collect();
    names.sort();
    let mut list = String::from("&[\n");
    for name in names {
        let path = folder.join(&name);
        println!("cargo::rerun-if-changed={}", path.display());
        writeln!(list, "({name:?}, include_bytes!({path:?}) as &[u8]),").expect("text grows");
    }
    list.push_str("]\n");
    fs::write(Path::new(&out).join("golden.rs"), list).expect("the list can be written");
}
