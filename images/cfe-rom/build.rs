//! Links the ROM to where malta's boot flash is, and its data to the memory that CFE reserves.

fn main() {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("rom.ld");
    println!("cargo::rerun-if-changed={}", script.display());
    println!("cargo::rustc-link-arg-bins=-T{}", script.display());
}
