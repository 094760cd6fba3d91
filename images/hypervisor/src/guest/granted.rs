//! Devices of the machine that guest 0 has, and nobody else (Xen's `handle_device`, for its first domain).
//!
//! No IOMMU keeps a device that writes to memory by itself to its guest's, so only those are given that do not: the real-time clock, whose
//! registers guest 0 finds where the machine has them. Its interrupt, an alarm's, is not passed on.

use core::fmt;

use dtoolkit::fdt::Fdt;
use dtoolkit::standard::NodeStandard;
use reveille_runtime::devicetree;
use spin::Once;

use super::build::RAM;
use super::devices;

/// The size of a PL031's registers, in bytes: a page.
pub const PL031_SIZE: u64 = 0x1000;
/// The guest that has devices of the machine.
const OWNER: usize = 0;

static PL031: Once<u64> = Once::new();

/// What there is to give.
pub struct Found(Option<u64>);

/// In words.
impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => write!(f, "guest {OWNER} has the real-time clock at {address:#x}, and nobody has others"),
            None => f.write_str("no guest has devices of the machine"),
        }
    }
}

/// Finds the devices that are given.
pub fn find(fdt: &Fdt<'_>) -> Found {
    let wanted = |node: &_| NodeStandard::is_compatible(node, "arm,pl031") && devicetree::is_available(node);
    let node = devicetree::find_node(fdt, wanted);
    let region = node.and_then(|node| devicetree::physical_regions(fdt, node).next());
    let address = region.map(|region| region.start as u64).filter(|&address| is_free(address));
    address.inspect(|&address| _ = PL031.call_once(|| address));
    Found(address)
}

/// Whether a guest has nothing else there, and the page is the device's alone.
fn is_free(address: u64) -> bool {
    address.is_multiple_of(PL031_SIZE) && address < RAM && !devices::are_at(&(address..address + PL031_SIZE))
}

/// Where the registers of the real-time clock are, if the guest has it.
pub fn pl031(guest: usize) -> Option<u64> {
    PL031.get().copied().filter(|_| guest == OWNER)
}
