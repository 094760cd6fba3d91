//! CPUs that misbehave, in the kernel that is built for it, by the options of its command line: on their way to the kernel
//! ([`arrival`]), in its hotplug steps ([`steps`]), and on their way out ([`departure`]). And CPUs that die altogether, in the
//! kernel as it is shipped, with a few instructions replaced.

pub mod arrival;
pub mod departure;
pub mod steps;

use std::path::Path;

use object::{Object, ObjectSymbol};
use reveille_cli::image::BuiltImage;
use reveille_cli::verdict::Verdict;
use reveille_system_tests::{Stand, cpus};

use crate::Test;

/// The tests of this module.
pub const TESTS: &[(&str, Test)] = &[
    ("the_shipped_kernel_knows_no_faults", shipped),
    ("an_exception_is_reported_with_the_number_of_its_cpu", exception),
    ("a_stack_that_runs_into_its_guard_page_is_reported", overflow),
];

/// Where a CPU is that is online, and one that is off.
pub const ONLINE: &str = "at sched:active, Online, firmware says ON";
pub const OFFLINE: &str = "at offline, Offline, firmware says OFF";

/// UDF.
const UNDEFINED: &[u32] = &[0];
/// SUB SP, SP, #256; STR XZR, [SP]; and back.
const EAT_THE_STACK: &[u32] = &[0xd104_03ff, 0xf900_03ff, 0x17ff_fffe];

fn shipped(stand: &Stand) -> Result<(), String> {
    let contains = |file: &Path, text: &str| {
        let bytes = std::fs::read(file).map_err(|error| error.to_string())?;
        Ok::<bool, String>(bytes.windows(text.len()).any(|window| window == text.as_bytes()))
    };
    for text in ["reveille.fault", "reveille_fault", "reveille.script"] {
        // The ELF file has the names of functions too.
        if !contains(&stand.faulty_image()?.elf, text)? {
            return Err(format!("the image that is built for faults should have {text} in it"));
        }
        if contains(&stand.image().elf, text)? || contains(&stand.image().flat, text)? {
            return Err(format!("the image that is shipped should not have {text} in it"));
        }
    }
    Ok(())
}

/// A copy of the image, in `folder`, in which the function whose symbol has `function` in it begins with `instructions`.
fn changed(image: &BuiltImage, function: &str, instructions: &[u32], folder: &Path) -> Result<BuiltImage, String> {
    let elf = std::fs::read(&image.elf).map_err(|error| error.to_string())?;
    let object = object::File::parse(&*elf).map_err(|error| error.to_string())?;
    let symbol = object.symbols().find(|symbol| symbol.name().is_ok_and(|name| name.contains(function)));
    // The image is linked at 0: an address is a place in the file.
    let place = symbol.ok_or_else(|| format!("the image has no function {function}"))?.address() as usize;
    let mut bytes = std::fs::read(&image.flat).map_err(|error| error.to_string())?;
    for (position, instruction) in instructions.iter().enumerate() {
        bytes[place + position * 4..][..4].copy_from_slice(&instruction.to_le_bytes());
    }
    let flat = folder.join("changed.Image");
    std::fs::write(&flat, bytes).map_err(|error| error.to_string())?;
    Ok(BuiltImage { flat, ..image.clone() })
}

/// Boots two CPUs of which the second dies at its first Rust: the console says so, with its number.
fn dies(stand: &Stand, instructions: &[u32], report: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let image = changed(stand.image(), "secondary_start_kernel", instructions, folder.path())?;
    let booted = stand.boot_image(&image, &cpus(2))?;
    booted.expect(matches!(booted.0.verdict, Verdict::Died(_)), "the machine should have died")?;
    let said = booted.0.console.lines().any(|line| line.contains("CPU 1 panicked") && line.contains(report));
    booted.expect(said, &format!("CPU 1 should have reported: {report}"))
}

fn exception(stand: &Stand) -> Result<(), String> {
    dies(stand, UNDEFINED, "undefined instruction")
}

fn overflow(stand: &Stand) -> Result<(), String> {
    dies(stand, EAT_THE_STACK, "stack overflow")
}
