//! What every image knows of devices, whether it stands on the runtime or, as firmware, on nothing: looking things up in the
//! devicetree ([`devicetree`]), what QEMU hands over ([`fw_cfg`]), and the form of what is booted ([`arm64_image`]). Mapping registers is left to the caller.

#![no_std]

extern crate alloc;

pub mod arm64_image;
pub mod devicetree;
pub mod fw_cfg;
