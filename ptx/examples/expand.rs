//! Writes every kernel of the catalogue, expanded, into a folder.
fn main() {
    let folder = std::env::args().nth(1).expect("a folder");
    for kernel in vincie_ptx::catalogue::kernels() {
        std::fs::write(format!("{folder}/{}.ptx", kernel.name), kernel.text()).expect("written");
    }
}
