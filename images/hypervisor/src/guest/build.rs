//! What is in a guest's memory when it begins: its kernel, its ramdisk, and the devicetree that tells it of its machine.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use guest_config::{Guest as Asked, GuestMachine, Module};
use psci_server::Entry;
use reveille::CpuIndex;
use vgic::{REDISTRIBUTOR_SIZE, affinity};

use super::devices::{DISTRIBUTOR, DISTRIBUTOR_SIZE, REDISTRIBUTORS, UART};
use super::memory::GuestMemory;
use super::{Guest, MAX_VCPUS};

/// Where the memory of every guest begins.
const RAM: u64 = 0x4000_0000;
/// What kernels of arm64 and the devicetree are aligned to.
const ALIGNMENT: u64 = 2 << 20;
/// The most that a devicetree is.
const DEVICETREE_ROOM: u64 = 2 << 20;
/// Where the header of an arm64 Image has its magic number, its offset from [`ALIGNMENT`], and its size.
const MAGIC: Range<usize> = 56..60;
const TEXT_OFFSET: Range<usize> = 8..16;
const IMAGE_SIZE: Range<usize> = 16..24;

/// How vCPU 0 begins.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    kernel: u64,
    devicetree: u64,
}

impl Start {
    /// The boot protocol: the devicetree in X0.
    pub const fn entry(&self) -> Entry {
        Entry { address: self.kernel, context_id: self.devicetree }
    }
}

/// Makes the guest that was asked for: with memory of its own, in which everything is that it begins with.
///
/// # Errors
/// What makes it impossible.
pub fn build(
    number: usize,
    asked: &Asked<'_>,
    homes: impl Iterator<Item = CpuIndex>,
) -> Result<(Arc<Guest>, Start), &'static str> {
    let size = (asked.memory << 10) & !(ALIGNMENT - 1);
    let mut memory = GuestMemory::new(RAM, size)?;
    let (kernel, kernel_end) = place_kernel(module(&asked.kernel))?;
    memory.write(kernel, module(&asked.kernel))?;
    let devicetree = memory.addresses().end - DEVICETREE_ROOM;
    let ramdisk = match &asked.ramdisk {
        Some(ramdisk) => Some(place_ramdisk(&mut memory, devicetree, ramdisk)?),
        None => None,
    };
    if ramdisk.as_ref().map_or(devicetree, |ramdisk| ramdisk.start) < kernel_end {
        return Err("the guest's memory is too small for its kernel");
    }
    let vcpus = asked.vcpus.min(MAX_VCPUS);
    let affinities: Vec<u64> = (0..vcpus).map(affinity).collect();
    let machine = GuestMachine {
        memory: &[memory.addresses()],
        mpidrs: &affinities,
        distributor: DISTRIBUTOR..DISTRIBUTOR + DISTRIBUTOR_SIZE,
        redistributors: REDISTRIBUTORS..REDISTRIBUTORS + vcpus as u64 * REDISTRIBUTOR_SIZE,
        pl011: asked.vpl011.then_some(UART),
        bootargs: asked.bootargs,
        ramdisk,
    };
    let blob = machine.devicetree().map_err(|_| "the guest's devicetree cannot be written")?;
    memory.write(devicetree, &blob)?;
    // SAFETY: barriers, and an invalidation of the instruction caches: what was written there is about to be executed.
    unsafe { core::arch::asm!("dsb ish", "ic ialluis", "dsb ish", "isb", options(nostack, preserves_flags)) };
    let guest = Guest::new(number, asked.name, memory, homes.take(vcpus))?;
    Ok((Arc::new(guest), Start { kernel, devicetree }))
}

/// What a module is.
fn module(module: &Module) -> &'static [u8] {
    // SAFETY: in the machine's memory, as was checked when the configuration was read; reserved, so nobody writes it; and mapped, as all
    // memory is.
    unsafe { core::slice::from_raw_parts(module.address as *const u8, module.size as usize) }
}

/// Where a kernel is put, and where it ends with what it needs behind it.
fn place_kernel(image: &[u8]) -> Result<(u64, u64), &'static str> {
    if image.get(MAGIC) != Some(b"ARM\x64") {
        return Err("the kernel is no arm64 Image");
    }
    let number = |range: Range<usize>| image[range].iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte));
    let (offset, size) = (number(TEXT_OFFSET), number(IMAGE_SIZE).max(image.len() as u64));
    let end = offset.checked_add(size).and_then(|end| end.checked_add(RAM));
    Ok((RAM + offset, end.ok_or("the kernel's header is wrong about its size")?))
}

/// Puts the ramdisk below `end`.
fn place_ramdisk(memory: &mut GuestMemory, end: u64, ramdisk: &Module) -> Result<Range<u64>, &'static str> {
    let start = end.checked_sub(ramdisk.size).ok_or("the guest's memory is too small for its ramdisk")? & !0xfff;
    memory.write(start, module(ramdisk))?;
    Ok(start..start + ramdisk.size)
}
