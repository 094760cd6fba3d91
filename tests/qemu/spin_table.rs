//! CPUs that nothing but a word in memory can start. A boot loader of the tests puts them into pens first.

use dtoolkit::model::{DeviceTree, DeviceTreeNode};
use reveille_cli::boot::BootOptions;
use reveille_cli::image::BuiltImage;
use reveille_cli::report::Outcome;
use reveille_system_tests::devicetree::{self, cpu, cpu_names, set};
use reveille_system_tests::pens::{self, PEN, PENS_END};
use reveille_system_tests::{Booted, Stand, cpus};

use crate::Test;

/// The tests of this module.
pub const TESTS: &[(&str, Test)] = &[
    ("rows_40_to_43_cpus_come_out_of_their_pens", own_words),
    ("row_44_a_word_that_several_cpus_share", shared_word),
    ("row_45_a_word_outside_the_memory_of_the_kernel", far_word),
    ("row_40_a_word_that_is_not_aligned_drops_only_that_cpu", misaligned),
    ("row_50_a_machine_may_mix_its_methods", mixed),
    ("cpus_from_pens_go_and_come_back", hotplug),
];

/// Where the kernel lies here.
pub const KERNEL: u64 = 0x4060_0000;
/// Behind the 512 MiB that the devicetree names.
const FAR: u64 = 0x6100_0000;

/// Boots four CPUs, of which those with a word wait in pens; `words` has an address for each CPU but the first.
fn boot(stand: &Stand, words: [Option<u64>; 3], append: &str) -> Result<Booted, String> {
    boot_with(stand, words, append, Vec::new())
}

/// Boots four CPUs of which three wait for the same word, with further arguments for QEMU.
pub fn boot_with_shared_word(stand: &Stand, append: &str, qemu_arguments: Vec<String>) -> Result<Booted, String> {
    boot_with(stand, [Some(pens::word(0)); 3], append, qemu_arguments)
}

fn boot_with(
    stand: &Stand,
    words: [Option<u64>; 3],
    append: &str,
    qemu_arguments: Vec<String>,
) -> Result<Booted, String> {
    boot_other(stand, stand.image(), words, append, qemu_arguments)
}

/// Boots another image where the kernel would be.
pub fn boot_other(
    stand: &Stand,
    image: &BuiltImage,
    words: [Option<u64>; 3],
    append: &str,
    mut qemu_arguments: Vec<String>,
) -> Result<Booted, String> {
    let mut tree = devicetree::of_virt(stand.qemu(), 4)?;
    let names = cpu_names(&tree);
    reserve(&mut tree)?;
    let mut penned = Vec::new();
    for (id, word) in (1..).zip(words) {
        let Some(word) = word else { continue };
        let node = cpu(&mut tree, &names[id as usize]);
        set(node, "enable-method", b"spin-table\0");
        set(node, "cpu-release-addr", &word.to_be_bytes());
        penned.push((id, word & !7));
    }
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    // The devicetree stays as it is.
    qemu_arguments.extend(["-m".into(), "1G".into()]);
    let options = BootOptions {
        devicetree: Some(devicetree::write(&tree, folder.path())?),
        append: Some(append.into()),
        qemu_arguments,
        ..cpus(4)
    };
    stand.boot_image_at(image, KERNEL, pens::loader(&penned), options)
}

/// Keeps the kernel out of the pens, as rows 41 and 46 ask of a devicetree.
fn reserve(tree: &mut DeviceTree) -> Result<(), String> {
    let mut memory = DeviceTreeNode::new("reserved-memory").map_err(|error| error.to_string())?;
    set(&mut memory, "#address-cells", &2_u32.to_be_bytes());
    set(&mut memory, "#size-cells", &2_u32.to_be_bytes());
    set(&mut memory, "ranges", b"");
    let mut pens = DeviceTreeNode::new(format!("pens@{PEN:x}")).map_err(|error| error.to_string())?;
    set(&mut pens, "reg", &[PEN, PENS_END - PEN].map(u64::to_be_bytes).concat());
    memory.add_child(pens);
    tree.root.add_child(memory);
    Ok(())
}

fn own_words(stand: &Stand) -> Result<(), String> {
    let words = [1, 2, 3].map(|number| Some(pens::word(number)));
    boot(stand, words, "")?.expect_all_online(4).map(|_| ())
}

fn shared_word(stand: &Stand) -> Result<(), String> {
    boot(stand, [Some(pens::word(0)); 3], "")?.expect_all_online(4).map(|_| ())
}

fn far_word(stand: &Stand) -> Result<(), String> {
    boot(stand, [Some(FAR), Some(FAR + 8), Some(FAR + 0x10_0000)], "")?.expect_all_online(4).map(|_| ())
}

fn misaligned(stand: &Stand) -> Result<(), String> {
    let booted = boot(stand, [Some(pens::word(1)), Some(pens::word(2) + 4), Some(pens::word(3))], "")?;
    let problems = booted.problems()?;
    let named = problems.len() == 1 && problems[0].contains("cpu-release-addr: it is not a multiple of 8");
    booted.expect(named, "the address is what is wrong")?;
    let report = booted.report()?;
    booted.expect(report.cpus[2].outcome == Outcome::Failed && report.online_count == 3, "the others are online")
}

fn mixed(stand: &Stand) -> Result<(), String> {
    let booted = boot(stand, [Some(pens::word(1)), None, Some(pens::word(3))], "")?;
    let report = booted.expect_all_online(4)?;
    let started_by = |name: &str, cpu| {
        let boot_cpu = report.cpus[0].events.iter();
        boot_cpu.filter(|event| event.name == name && event.target == Some(cpu)).count()
    };
    let by_psci = [1, 2, 3].map(|cpu| started_by("cpu_psci_cpu_boot", cpu));
    let by_word = [1, 2, 3].map(|cpu| started_by("smp_spin_table_cpu_boot", cpu));
    booted.expect(by_psci == [0, 1, 0] && by_word == [1, 0, 1], "each by its own method")
}

fn hotplug(stand: &Stand) -> Result<(), String> {
    let words = [Some(pens::word(1)), Some(pens::word(2)), None];
    boot(stand, words, "reveille.soak=60")?.expect_all_online(4).map(|_| ())
}
