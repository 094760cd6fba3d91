//! Arm's interrupt controllers, and which of them the machine has.

use alloc::boxed::Box;
use core::ptr::NonNull;

use dtoolkit::fdt::Fdt;
use dtoolkit::standard::NodeStandard;

use super::gic_v2::{self, GicV2};
use super::gic_v3::{self, GicV3};
use super::memory_map;
use crate::devicetree;
use crate::interrupt_controller::InterruptController;

/// The first controller of the devicetree that there is a driver for, with what all CPUs share of it reset.
///
/// # Errors
/// What is missing or cannot be mapped.
pub fn init(fdt: &Fdt<'_>) -> Result<&'static dyn InterruptController, &'static str> {
    let is_v3 = |node: &_| NodeStandard::is_compatible(node, gic_v3::COMPATIBLE);
    let is_v2 = |node: &_| gic_v2::COMPATIBLE.iter().any(|name| NodeStandard::is_compatible(node, name));
    let node = devicetree::find_node(fdt, |node| is_v3(node) || is_v2(node))
        .ok_or("the devicetree has no interrupt controller that there is a driver for")?;
    Ok(if is_v3(&node) { Box::leak(Box::new(GicV3::new(node)?)) } else { Box::leak(Box::new(GicV2::new(node)?)) })
}

/// Maps a part of the controller.
pub(super) fn map<T>(address: usize, size: usize) -> Result<NonNull<T>, &'static str> {
    memory_map::map_device(address, size).map_err(|_| "the GIC's registers cannot be mapped")?;
    NonNull::new(address as *mut T).ok_or("the GIC lies at address 0")
}
