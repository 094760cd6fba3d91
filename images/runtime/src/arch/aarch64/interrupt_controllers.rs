//! The interrupt controllers that there are drivers for, and which of them the machine has.

use alloc::boxed::Box;
use core::ptr::NonNull;

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::standard::NodeStandard;

use super::bcm2836::{self, Bcm2836};
use super::gic_v2::{self, GicV2};
use super::gic_v3::{self, GicV3};
use super::memory_map;
use crate::devicetree;
use crate::interrupt_controller::InterruptController;

type Made = Result<&'static dyn InterruptController, &'static str>;

/// A driver, and the devices that it is for.
struct Driver {
    compatible: &'static [&'static str],
    new: fn(&Fdt<'_>, FdtNode<'_>) -> Made,
}

const DRIVERS: [Driver; 3] = [
    Driver { compatible: &[gic_v3::COMPATIBLE], new: |fdt, node| leak(GicV3::new(fdt, node)?) },
    Driver { compatible: &gic_v2::COMPATIBLE, new: |fdt, node| leak(GicV2::new(fdt, node)?) },
    Driver { compatible: &[bcm2836::COMPATIBLE], new: |fdt, node| leak(Bcm2836::new(fdt, node)?) },
];

fn leak(controller: impl InterruptController + 'static) -> Made {
    Ok(Box::leak(Box::new(controller)))
}

/// The first controller of the devicetree that there is a driver for, with what all CPUs share of it reset.
///
/// # Errors
/// What is missing or cannot be mapped.
pub fn init(fdt: &Fdt<'_>) -> Made {
    let driver_of = |node: &FdtNode<'_>| {
        DRIVERS.iter().find(|driver| driver.compatible.iter().any(|name| NodeStandard::is_compatible(node, name)))
    };
    let node = devicetree::find_node(fdt, |node| driver_of(node).is_some());
    let found = node.and_then(|node| Some((driver_of(&node)?, node)));
    let (driver, node) = found.ok_or("the devicetree has no interrupt controller that there is a driver for")?;
    (driver.new)(fdt, node)
}

/// Maps a part of the controller.
pub(super) fn map<T>(address: usize, size: usize) -> Result<NonNull<T>, &'static str> {
    let registers = memory_map::map_device(address, size);
    registers.map(NonNull::cast).map_err(|_| "the interrupt controller's registers cannot be mapped")
}
