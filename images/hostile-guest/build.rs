//! Links the image by the linker script of its architecture.

fn main() {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/src/arch/aarch64/image.ld");
    println!("cargo::rerun-if-changed={}", script.display());
    println!("cargo::rustc-link-arg-bins=-T{}", script.display());
}
