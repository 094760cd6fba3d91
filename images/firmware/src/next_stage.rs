//! What is booted: the arm64 Image that QEMU was given, its initrd and its command line, taken from fw_cfg.
//!
//! ```text
//! start of memory  the devicetree, and the pens at the end of 2 MiB, if CPUs wait in such
//!         + 2 MiB  the Image, at its text_offset, with the room that its header asks for
//!                  the initrd, at the next multiple of 2 MiB
//! ```

use core::arch::asm;
use core::ops::Range;

use dtoolkit::Node;
use dtoolkit::fdt::Fdt;
use psci_server::Entry;
use reveille_devices::arm64_image::{Header, UNIT};
use reveille_devices::fw_cfg::{FwCfg, Handover};

use crate::devicetree::{Given, patch};
use crate::memory_map;
use crate::pens::Pens;

const NO_ROOM: &str = "the machine has too little memory";

/// The memory that is the next stage's.
///
/// # Errors
/// There is none, or not where it is expected.
pub fn memory(fdt: &Fdt<'_>) -> Result<Range<usize>, &'static str> {
    let mut nodes = fdt.root().children().filter(|node| node.name_without_address() == "memory");
    let region = nodes.find_map(|node| reveille_devices::devicetree::regions(node).next());
    let region = region.ok_or("the devicetree has no memory")?;
    let (start, end) = (region.start, region.end.min(memory_map::RAM.end));
    if start >= memory_map::RAM.start && start.is_multiple_of(UNIT) && start < end {
        Ok(start..end)
    } else {
        Err("the memory is not where this firmware expects it")
    }
}

/// Where the pens are, if there are any.
///
/// # Errors
/// The devicetree that is still to be read is there.
pub fn pens_address(fdt: &Fdt<'_>, ram: &Range<usize>) -> Result<usize, &'static str> {
    let address = ram.start + UNIT - Pens::SIZE;
    if fdt.data().as_ptr_range().end.addr() > address { Err("the devicetree exceeds its place") } else { Ok(address) }
}

/// Puts everything into its place in `ram`: what the boot CPU enters with.
///
/// # Errors
/// There is nothing to boot, or it does not fit.
pub fn load(fdt: &Fdt<'_>, fw_cfg: &mut FwCfg, ram: &Range<usize>, pens: Option<Pens>) -> Result<Entry, &'static str> {
    let size = fw_cfg.handover_size(Handover::Kernel);
    if size == 0 {
        return Err("QEMU was given no -kernel");
    }
    let header =
        Header::parse(&fw_cfg.handover(Handover::Kernel, Header::SIZE)).ok_or("the kernel is no arm64 Image")?;
    let kernel = (ram.start + UNIT).checked_add(header.text_offset).ok_or(NO_ROOM)?;
    let kernel_end = place(fw_cfg, Handover::Kernel, kernel, size, ram)?;
    let kernel_end = kernel.checked_add(header.image_size).ok_or(NO_ROOM)?.max(kernel_end);

    let initrd_size = fw_cfg.handover_size(Handover::Initrd);
    let mut initrd = None;
    if initrd_size != 0 {
        let start = kernel_end.next_multiple_of(UNIT);
        place(fw_cfg, Handover::Initrd, start, initrd_size, ram)?;
        initrd = Some(start..start + initrd_size);
    }
    if kernel_end > ram.end {
        return Err(NO_ROOM);
    }
    let command_line = fw_cfg.handover(Handover::CommandLine, usize::MAX);
    let devicetree = patch(fdt, &Given { command_line, initrd, pens })?;
    if devicetree.len() > UNIT - Pens::SIZE {
        return Err("the devicetree exceeds its place");
    }
    let target: *mut u8 = core::ptr::with_exposed_provenance_mut(ram.start);
    // SAFETY: the start of memory is nobody's but the devicetree's that QEMU put there, which is not read any more.
    unsafe { target.copy_from_nonoverlapping(devicetree.as_ptr(), devicetree.len()) };
    clean(ram.start..ram.start + devicetree.len());
    Ok(Entry { address: kernel as u64, context_id: ram.start as u64 })
}

/// Has what QEMU hands over put at `start`. Returns the end of the memory that this took.
fn place(
    fw_cfg: &mut FwCfg,
    what: Handover,
    start: usize,
    size: usize,
    ram: &Range<usize>,
) -> Result<usize, &'static str> {
    let end = start.checked_add(FwCfg::place_size(size)).filter(|&end| end <= ram.end).ok_or(NO_ROOM)?;
    if !start.is_multiple_of(16) {
        return Err("the kernel's text_offset is odd");
    }
    // SAFETY: memory behind what is in use, aligned, and mapped to itself, which is how the device sees it.
    unsafe { fw_cfg.place(what, start..end) }?;
    clean(start..end);
    Ok(end)
}

/// Has everyone see what was written to `range`: what runs next has its caches off.
pub fn clean(range: Range<usize>) {
    let ctr: usize;
    // SAFETY: reading CTR_EL0 has no effect.
    unsafe { asm!("mrs {}, ctr_el0", out(reg) ctr, options(nomem, nostack, preserves_flags)) };
    let line = 4 << (ctr >> 16 & 0xf);
    for address in (range.start & !(line - 1)..range.end).step_by(line) {
        // SAFETY: writes back what caches hold of mapped memory, and has them forget it.
        unsafe { asm!("dc civac, {}", in(reg) address, options(nostack, preserves_flags)) };
    }
    // SAFETY: a barrier.
    unsafe { asm!("dsb sy", options(nostack, preserves_flags)) };
}
