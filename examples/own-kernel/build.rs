//! Links by the linker script of aarch64-rt, at an address that leaves QEMU room for the devicetree at the start of RAM.

fn main() {
    println!("cargo::rerun-if-changed=memory.ld");
    println!("cargo::rustc-link-search={}", env!("CARGO_MANIFEST_DIR"));
    println!("cargo::rustc-link-arg=-Timage.ld");
    println!("cargo::rustc-link-arg=-Tmemory.ld");
}
