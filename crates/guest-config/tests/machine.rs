//! The devicetree of a guest, read as a guest reads it.

use std::ops::Range;

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::{Node, Property};
use guest_config::{GuestMachine, Pl011};

const RAMDISK: Range<u64> = 0x4800_0000..0x4812_3456;

fn machine() -> GuestMachine<'static> {
    GuestMachine {
        memory: &[0x4000_0000..0x5000_0000, 0x1_0000_0000..0x1_4000_0000],
        mpidrs: &[0, 1, 0x100],
        distributor: 0x800_0000..0x801_0000,
        redistributors: 0x80a_0000..0x810_0000,
        pl011: Some(Pl011 { address: 0x900_0000, intid: 33 }),
        pl031: None,
        bootargs: "console=ttyAMA0",
        ramdisk: Some(RAMDISK),
    }
}

fn u64s(node: &FdtNode<'_>, property: &str) -> Vec<u64> {
    let property = node.property(property).unwrap();
    property.value().as_chunks().0.iter().map(|bytes| u64::from_be_bytes(*bytes)).collect()
}

fn u32s(node: &FdtNode<'_>, property: &str) -> Vec<u32> {
    let property = node.property(property).unwrap();
    property.value().as_chunks().0.iter().map(|bytes| u32::from_be_bytes(*bytes)).collect()
}

fn text(node: &FdtNode<'_>, property: &str) -> String {
    node.property(property).unwrap().value_as().unwrap()
}

#[test]
fn a_guest_finds_its_memory_cpus_and_firmware() {
    let blob = machine().devicetree().unwrap();
    let fdt = Fdt::new(&blob).unwrap();
    assert_eq!(u64s(&fdt.find_node("/memory@40000000").unwrap(), "reg"), [0x4000_0000, 0x1000_0000]);
    assert_eq!(u64s(&fdt.find_node("/memory@100000000").unwrap(), "reg"), [0x1_0000_0000, 0x4000_0000]);
    let cpus: Vec<_> = fdt.find_node("/cpus").unwrap().children().collect();
    assert_eq!(cpus.iter().map(|cpu| u64s(cpu, "reg")[0]).collect::<Vec<_>>(), [0, 1, 0x100]);
    assert!(cpus.iter().all(|cpu| text(cpu, "enable-method") == "psci" && text(cpu, "device_type") == "cpu"));
    assert_eq!(text(&fdt.find_node("/psci").unwrap(), "method"), "hvc");
}

#[test]
fn a_guest_finds_its_interrupt_controller_timer_and_console() {
    let blob = machine().devicetree().unwrap();
    let fdt = Fdt::new(&blob).unwrap();
    let gic = fdt.find_node("/interrupt-controller@8000000").unwrap();
    assert_eq!(u64s(&gic, "reg"), [0x800_0000, 0x1_0000, 0x80a_0000, 0x6_0000]);
    assert_eq!(u32s(&fdt.root(), "interrupt-parent"), u32s(&gic, "phandle"));
    // The third is the virtual timer: PPI 11, which is INTID 27.
    assert_eq!(u32s(&fdt.find_node("/timer").unwrap(), "interrupts")[6..9], [1, 11, 4]);

    let chosen = fdt.find_node("/chosen").unwrap();
    assert_eq!(text(&chosen, "bootargs"), "console=ttyAMA0");
    assert_eq!(u64s(&chosen, "linux,initrd-start"), [RAMDISK.start]);
    assert_eq!(u64s(&chosen, "linux,initrd-end"), [RAMDISK.end]);
    let console = fdt.find_node(&text(&chosen, "stdout-path")).unwrap();
    assert_eq!(u64s(&console, "reg"), [0x900_0000, 0x1000]);
    assert_eq!(u32s(&console, "interrupts"), [0, 1, 4]);
    assert_eq!(u32s(&console, "clocks")[..1], u32s(&fdt.find_node("/apb-pclk").unwrap(), "phandle"));
}

#[test]
fn a_guest_finds_its_clock_with_or_without_a_console() {
    let pl031 = Some(0x901_0000);
    for machine in [GuestMachine { pl031, ..machine() }, GuestMachine { pl031, pl011: None, ..machine() }] {
        let blob = machine.devicetree().unwrap();
        let fdt = Fdt::new(&blob).unwrap();
        let clock = fdt.find_node("/pl031@9010000").unwrap();
        assert_eq!(u64s(&clock, "reg"), [0x901_0000, 0x1000]);
        assert_eq!(u32s(&clock, "clocks"), u32s(&fdt.find_node("/apb-pclk").unwrap(), "phandle"));
        assert!(clock.property("interrupts").is_none());
    }
}

#[test]
fn a_guest_without_console_or_ramdisk_is_told_of_none() {
    let blob = GuestMachine { pl011: None, ramdisk: None, ..machine() }.devicetree().unwrap();
    let fdt = Fdt::new(&blob).unwrap();
    let chosen = fdt.find_node("/chosen").unwrap();
    assert!(chosen.property("stdout-path").is_none() && chosen.property("linux,initrd-start").is_none());
    assert!(fdt.root().children().all(|node| node.name_without_address() != "pl011"));
}

#[test]
fn a_command_line_that_no_devicetree_can_hold_is_an_error() {
    let error = GuestMachine { bootargs: "a\0b", ..machine() }.devicetree().unwrap_err();
    assert_eq!(error.to_string(), "the devicetree of a guest cannot be written: Strings cannot contain NUL");
}
