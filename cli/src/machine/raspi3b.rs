//! The devicetree of the Raspberry Pi 3B, as far as a kernel needs it to bring its CPUs up: in place of the one that the board's
//! firmware brings along, since QEMU has none. Numbers are those of the BCM2837 and of QEMU's model of it.

use dtoolkit::ToPropertyValue;
use dtoolkit::memreserve::MemoryReservation;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};

/// Firmware's pens and the words that CPUs wait for there.
const PENS: MemoryReservation = MemoryReservation::new(0, 0x1000);
/// The word that CPU 0 would wait for; those of the others follow.
const FIRST_WORD: u64 = 0xd8;
const CPUS: u32 = 4;
/// The phandle of the local interrupt controller.
const LOCAL_INTC: u32 = 1;
/// A level, active high.
const HIGH: u32 = 4;

/// The devicetree, flattened.
pub(super) fn devicetree() -> Vec<u8> {
    let mut tree = DeviceTree::new();
    tree.memory_reservations.push(PENS);
    tree.root = node("")
        .cells("#address-cells", [1])
        .cells("#size-cells", [1])
        .with("compatible", ["raspberrypi,3-model-b", "brcm,bcm2837"].as_slice())
        .with("model", "Raspberry Pi 3 Model B")
        .cells("interrupt-parent", [LOCAL_INTC])
        .holding(node("chosen").with("stdout-path", "serial1:115200n8"))
        .holding(node("aliases").with("serial1", "/soc/serial@7e215040"))
        // The last 76 MiB of the gibibyte are the VideoCore's and, from 0x3f000000 on, devices.
        .holding(node("memory@0").with("device_type", "memory").cells("reg", [0, 0x3b40_0000]))
        .holding(cpus())
        .holding(timer())
        .holding(soc())
        .0;
    tree.to_dtb()
}

fn cpus() -> Making {
    let cpu = |number: u32| {
        node(format!("cpu@{number}"))
            .with("device_type", "cpu")
            .with("compatible", "arm,cortex-a53")
            .cells("reg", [number])
            .with("enable-method", "spin-table")
            .with("cpu-release-addr", FIRST_WORD + 8 * u64::from(number))
    };
    let cpus = node("cpus").cells("#address-cells", [1]).cells("#size-cells", [0]);
    (0..CPUS).map(cpu).fold(cpus, Making::holding)
}

/// Each CPU's timers: secure, physical, virtual, EL2's.
fn timer() -> Making {
    let interrupts = [0, 1, 3, 2].map(|number| [number, HIGH]);
    node("timer").with("compatible", "arm,armv8-timer").with("interrupts", interrupts.as_flattened())
}

/// The devices: at the VideoCore's addresses, and where CPUs see them.
fn soc() -> Making {
    let local_intc = node("local_intc@40000000")
        .with("compatible", "brcm,bcm2836-l1-intc")
        .cells("reg", [0x4000_0000, 0x100])
        .with("interrupt-controller", [0_u8; 0])
        .cells("#interrupt-cells", [2])
        .cells("phandle", [LOCAL_INTC]);
    let mini_uart =
        node("serial@7e215040").with("compatible", "brcm,bcm2835-aux-uart").cells("reg", [0x7e21_5040, 0x40]);
    node("soc")
        .with("compatible", "simple-bus")
        .cells("#address-cells", [1])
        .cells("#size-cells", [1])
        .cells("ranges", [0x7e00_0000, 0x3f00_0000, 0x0100_0000, 0x4000_0000, 0x4000_0000, 0x1000])
        .holding(local_intc)
        .holding(mini_uart)
}

/// A node that is being made.
struct Making(DeviceTreeNode);

fn node(name: impl Into<String>) -> Making {
    Making(DeviceTreeNode::new_unchecked(name))
}

impl Making {
    fn with(mut self, property: &str, value: impl ToPropertyValue) -> Self {
        self.0.add_property(DeviceTreeProperty::new_unchecked(property, value));
        self
    }

    fn cells<const N: usize>(self, property: &str, value: [u32; N]) -> Self {
        self.with(property, value)
    }

    fn holding(mut self, child: Self) -> Self {
        self.0.add_child(child.0);
        self
    }
}

#[cfg(test)]
mod tests {
    use dtoolkit::fdt::Fdt;
    use dtoolkit::{Node, Property};

    use super::*;

    #[test]
    fn each_cpu_has_its_word_in_the_memory_that_is_reserved() {
        let bytes = devicetree();
        let fdt = Fdt::new(&bytes).unwrap();
        let cpus = fdt.find_node("/cpus").unwrap();
        let words = cpus.children().map(|cpu| cpu.property("cpu-release-addr").unwrap().value_as::<u64>().unwrap());
        assert_eq!(words.collect::<Vec<_>>(), [0xd8, 0xe0, 0xe8, 0xf0]);
        let reserved: Vec<_> = fdt.memory_reservations().map(|range| (range.address(), range.size())).collect();
        assert_eq!(reserved, [(0, 0x1000)]);
    }
}
