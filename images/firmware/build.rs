//! Links the firmware to where QEMU's virt has its flash, and its data to secure memory.

fn main() {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("firmware.ld");
    println!("cargo::rerun-if-changed={}", script.display());
    println!("cargo::rustc-link-arg-bins=-T{}", script.display());
    // All images are linked as position independent; this one has its place, so its addresses can be written where they belong.
    println!("cargo::rustc-link-arg-bins=--apply-dynamic-relocs");
}
