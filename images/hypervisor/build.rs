//! Links the image by the linker script of its architecture.

fn main() {
    let architecture = std::env::var("CARGO_CFG_TARGET_ARCH").expect("cargo says what it builds for");
    let script = format!("../runtime/src/arch/{architecture}/image.ld");
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    println!("cargo::rerun-if-changed={}", script.display());
    println!("cargo::rustc-link-arg-bins=-T{}", script.display());
}
