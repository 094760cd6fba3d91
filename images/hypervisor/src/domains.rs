//! The guests that the machine's devicetree asks for (Xen's `domain_build.c`).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use dtoolkit::Node;
use dtoolkit::fdt::Fdt;
use guest_config::{Configuration, Guest as Asked, Limits};
use reveille::CpuIndex;
use reveille_runtime::{clock, console, devicetree, memory, println, thread, trace};

use crate::guest::build::{self, Start};
use crate::guest::{self, Guest, MAX_VCPUS, call_log, devices, output};
use crate::names::name;
use crate::virt;

/// How much memory guest 0 has where nothing is said, in KiB: less, if less is left.
const DEFAULT_MEMORY: u64 = 512 << 10;
/// The least memory that a guest is given, in KiB.
const LEAST_MEMORY: u64 = 32 << 10;
/// What the hypervisor keeps of the memory, in bytes.
const OWN_MEMORY: usize = 32 << 20;

/// Guests that are ready to begin.
pub type Guests = Vec<(Arc<Guest>, Start)>;

/// Makes all guests. What was asked for and cannot be is said.
pub fn create(fdt: &Fdt<'_>) -> Guests {
    let ram: Vec<Range<u64>> = ram(fdt).collect();
    let cpus: Vec<CpuIndex> = virt::cpus().collect();
    let limits = Limits {
        vcpus: MAX_VCPUS,
        default_vcpus: cpus.len().min(MAX_VCPUS),
        memory: memory::free().saturating_sub(OWN_MEMORY) as u64 >> 10,
        default_memory: DEFAULT_MEMORY,
        least_memory: LEAST_MEMORY,
        spis: devices::SPIS as u32,
        ram: &ram,
    };
    let configuration = Configuration::read(fdt, &limits);
    if configuration.guests.len() > 1 {
        output::expect_several();
    }
    let mut guests = Guests::new();
    let mut homes = cpus.iter().copied().cycle();
    for (number, asked) in configuration.guests.iter().enumerate() {
        let _span = trace::span(if number == 0 { name::create_dom0 } else { name::create_domUs });
        match asked {
            Ok(asked) => guests.extend(create_one(number, asked, &mut homes)),
            Err(refused) => {
                println!("{refused}");
                guest::note_failure();
            }
        }
    }
    guests
}

fn create_one(
    number: usize,
    asked: &Asked<'_>,
    homes: &mut impl Iterator<Item = CpuIndex>,
) -> Option<(Arc<Guest>, Start)> {
    let Asked { name, vcpus, memory, .. } = asked;
    match build::build(number, asked, homes) {
        Ok(built) => {
            println!("Guest {number} ({name}): {vcpus} vCPUs, {} MiB", memory >> 10);
            Some(built)
        }
        Err(reason) => {
            println!("Guest {number} ({name}) cannot be made: {reason}");
            guest::note_failure();
            None
        }
    }
}

/// The machine's memory.
fn ram<'a>(fdt: &Fdt<'a>) -> impl Iterator<Item = Range<u64>> + 'a {
    let memory = fdt.root().children().filter(|node| node.name_without_address() == "memory");
    memory.flat_map(devicetree::regions).map(|region| region.start as u64..region.end as u64)
}

/// Has all begin. What is typed goes to guest 0.
///
/// # Errors
/// There is no room for a thread.
pub fn unpause(fdt: &Fdt<'_>, guests: &Guests) -> Result<(), &'static str> {
    call_log::start()?;
    guests.iter().try_for_each(|(guest, start)| guest.start(start))?;
    let Some((guest, _)) = guests.iter().find(|(guest, _)| guest.number == 0) else { return Ok(()) };
    if let Err(reason) = devicetree::console_interrupt(fdt).and_then(|it| console::init_input(it, CpuIndex::BOOT)) {
        println!("The console is looked at now and then: {reason}");
    }
    let guest = Arc::clone(guest);
    let hand_over = move || loop {
        // It waits for a person, and looks after what guests print meanwhile.
        let deadline = if output::are_several() { clock::ticks_after(output::PATIENCE) } else { u64::MAX };
        match console::wait_for_byte(deadline) {
            Ok(byte) => guest.type_byte(byte),
            Err(_) => output::show_begun(),
        }
    };
    thread::spawn("input", CpuIndex::BOOT, hand_over).map(|_| ())
}
