//! Boots on machines of every breadth: other interrupt controllers, other processors, many CPUs.

use std::path::Path;

use dtoolkit::model::DeviceTreeNode;
use reveille_cli::boot::{BootOptions, ImageFormat};
use reveille_cli::fetch;
use reveille_system_tests::devicetree::{self, set};
use reveille_system_tests::stub::Stub;
use reveille_system_tests::{Stand, cpus};

use crate::Test;

/// The tests of this module.
pub const TESTS: &[(&str, Test)] = &[
    ("1_cpu_on_a_gic_v2", |stand| gic_v2(stand, 1, 1)),
    ("4_cpus_on_a_gic_v2", |stand| gic_v2(stand, 4, 1)),
    ("8_cpus_on_a_gic_v2", |stand| gic_v2(stand, 8, 1)),
    ("1_cpu_on_a_gic_v2_at_el2", |stand| gic_v2(stand, 1, 2)),
    ("4_cpus_on_a_gic_v2_at_el2", |stand| gic_v2(stand, 4, 2)),
    ("8_cpus_on_a_gic_v2_at_el2", |stand| gic_v2(stand, 8, 2)),
    ("4_cpus_that_stay_at_el2_on_a_gic_v2", |stand| {
        let options = BootOptions { gic: Some(2), entry_level: Some(2), cpu_model: Some("max".into()), ..cpus(4) };
        stand.boot(&options)?.expect_all_online(4).map(|_| ())
    }),
    ("row_38_cpus_without_vhe_drop_to_el1_by_image", |stand| at_el2(stand, "cortex-a57", ImageFormat::Image, "EL1")),
    ("row_38_cpus_without_vhe_drop_to_el1_by_elf", |stand| at_el2(stand, "cortex-a57", ImageFormat::Elf, "EL1")),
    ("row_38_cpus_with_vhe_stay_at_el2_by_image", |stand| at_el2(stand, "max", ImageFormat::Image, "EL2")),
    ("row_38_cpus_with_vhe_stay_at_el2_by_elf", |stand| at_el2(stand, "max", ImageFormat::Elf, "EL2")),
    ("64_cpus_stay_at_el2", sixty_four_at_el2),
    ("row_36_any_base_of_2_mib_will_do", any_base),
    ("the_console_may_be_a_16550", ns16550),
    ("124_cpus_are_the_first_to_need_a_second_region_of_redistributors", |stand| {
        stand.boot(&cpus(124))?.expect_all_online(124).map(|_| ())
    }),
];

/// The tests of this module that take long, or need the network once.
pub const LONG_TESTS: &[(&str, Test)] = &[
    ("row_36_u_boot_starts_the_image_at_el1", |stand| u_boot(stand, 1)),
    ("row_36_u_boot_starts_the_image_at_el2", |stand| u_boot(stand, 2)),
];

/// Where QEMU's `virt` has PCI configuration space, and its memory for I/O ports.
const PCI_CONFIGURATION: u64 = 0x40_1000_0000;
const PCI_PORTS: u64 = 0x3eff_0000;

fn any_base(stand: &Stand) -> Result<(), String> {
    let gibibytes = |count: u32| vec!["-m".to_owned(), format!("{count}G")];
    // Odd multiples of 2 MiB, the end of a GiB, other GiB than the devicetree's, and more than 32 bits.
    for base in [0x4060_0000, 0x7fe0_0000, 0x8020_0000, 0xbfc0_0000, 0x1_4020_0000] {
        for entry_level in [Some(1), Some(2)] {
            let options = BootOptions { qemu_arguments: gibibytes(6), entry_level, ..cpus(4) };
            let booted = stand.boot_at(base, Stub::default(), options)?;
            booted.expect_all_online(4).map_err(|complaint| format!("at {base:#x}: {complaint}"))?;
        }
    }
    Ok(())
}

fn ns16550(stand: &Stand) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let output = folder.path().join("console");
    let (loader, options) = with_16550(stand, folder.path(), &format!("file,path={}", output.display()))?;
    let booted = stand.boot_at(0x4060_0000, loader, options)?;
    let console = std::fs::read_to_string(&output).map_err(|error| error.to_string())?;
    let lines: Vec<&str> = console.lines().collect();
    let said =
        lines.contains(&"Brought up 4 of 4 CPUs") && lines.iter().any(|line| line.contains("Proof of job: passed"));
    booted.expect(said, &format!("the 16550 should have said that four CPUs are up:\n{console}"))?;
    booted.expect(booted.0.console.lines().len() == 0, "nothing should come from the PL011")
}

/// A machine with a 16550 behind PCI's I/O ports, which are memory on this machine; `chardev` is what QEMU connects it to. Its
/// devicetree, which is written to `folder`, says of no interrupt. The loader does what firmware does: it gives the device an
/// address.
pub fn with_16550(stand: &Stand, folder: &Path, chardev: &str) -> Result<(Stub, BootOptions), String> {
    const SLOT: u64 = 2;
    const PORT: u32 = 0x1000;
    let mut tree = devicetree::of_virt(stand.qemu(), 4)?;
    let mut serial = DeviceTreeNode::new("serial@3eff1000").map_err(|error| error.to_string())?;
    set(&mut serial, "compatible", b"ns16550a\0");
    let registers = [PCI_PORTS + u64::from(PORT), 8];
    set(&mut serial, "reg", &registers.map(u64::to_be_bytes).concat());
    tree.root.add_child(serial);
    let chosen = tree.find_node_mut("/chosen").ok_or("QEMU's devicetree has /chosen")?;
    set(chosen, "stdout-path", b"/serial@3eff1000:115200n8\0");

    let function = PCI_CONFIGURATION + (SLOT << 15);
    let loader = Stub::default().store(function + 0x10, PORT).store(function + 4, 1);
    let mut options = BootOptions { devicetree: Some(devicetree::write(&tree, folder)?), ..cpus(4) };
    options.qemu_arguments = vec![
        "-chardev".into(),
        format!("{chardev},id=console"),
        "-device".into(),
        format!("pci-serial,chardev=console,addr={SLOT}"),
    ];
    Ok((loader, options))
}

/// Enters four CPUs at EL2, and checks that they stay where they should.
fn at_el2(stand: &Stand, cpu_model: &str, format: ImageFormat, level: &str) -> Result<(), String> {
    let options =
        BootOptions { entry_level: Some(2), cpu_model: Some(cpu_model.into()), format: Some(format), ..cpus(4) };
    let booted = stand.boot(&options)?;
    let report = booted.expect_all_online(4)?;
    booted.expect(report.entry_level == Some(2), "it was entered at another exception level")?;
    let said = booted.0.console.lines().any(|line| line.ends_with(&format!("entered at EL2, running at {level}")));
    booted.expect(said, &format!("it should run at {level}"))
}

fn gic_v2(stand: &Stand, count: u32, entry_level: u8) -> Result<(), String> {
    let options = BootOptions { gic: Some(2), entry_level: Some(entry_level), ..cpus(count) };
    stand.boot(&options)?.expect_all_online(count).map(|_| ())
}

fn sixty_four_at_el2(stand: &Stand) -> Result<(), String> {
    let options = BootOptions { entry_level: Some(2), cpu_model: Some("max".into()), ..cpus(64) };
    stand.boot(&options)?.expect_all_online(64).map(|_| ())
}

/// U-Boot finds the kernel and its command line where QEMU leaves them for firmware, and starts it by `booti`, at an address and
/// with a devicetree of U-Boot's own.
fn u_boot(stand: &Stand, entry_level: u8) -> Result<(), String> {
    let firmware = fetch::debian_u_boot().map_err(|error| format!("U-Boot cannot be had: {error}"))?;
    let qemu_arguments = vec!["-bios".into(), firmware.to_string_lossy().into_owned()];
    let booted = stand.boot(&BootOptions { qemu_arguments, entry_level: Some(entry_level), ..cpus(4) })?;
    let report = booted.expect_all_online(4)?;
    booted.expect(report.entry_level == Some(entry_level), "it was entered at another exception level")?;
    let said = booted.0.console.lines().any(|line| line.contains("Starting kernel"));
    booted.expect(said, "U-Boot should have started the kernel")
}
