//! Writes every kernel of the catalogue whose name contains a word, expanded, into a folder.
//! `cargo run -p vincie-ptx --example expand -- FOLDER [WORD]`

fn main() {
    let mut arguments = std::env::args().skip(1);
    let Some(folder) = arguments.next() else {
        eprintln!("usage: expand FOLDER [WORD]");
        std::process::exit(2);
    };
    let word = arguments.next().unwrap_or_default();
    let kernels = vincie_ptx::catalogue::kernels().iter();
    for kernel in kernels.filter(|kernel| kernel.name.contains(&word)) {
        let path = format!("{folder}/{}.ptx", kernel.name);
        if let Err(error) = std::fs::write(&path, kernel.text()) {
            eprintln!("{path}: {error}");
            std::process::exit(1);
        }
    }
}
