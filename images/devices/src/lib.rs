//! What every image knows of devices, whether it stands on the runtime or, as firmware, on nothing: looking things up in the
//! devicetree ([`devicetree`]), and what QEMU hands over ([`fw_cfg`]). Mapping registers is left to the caller.

#![no_std]

extern crate alloc;

pub mod devicetree;
pub mod fw_cfg;
