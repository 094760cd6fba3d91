//! What is in a guest's memory when it begins: its kernel, its ramdisk, and the devicetree that tells it of its machine.

use alloc::sync::Arc;
use alloc::vec::Vec;

use guest_config::{Guest as Asked, GuestMachine, Layout};
use psci_server::Entry;
use reveille::CpuIndex;
use vgic::{REDISTRIBUTOR_SIZE, affinity};

use super::devices::{DISTRIBUTOR, DISTRIBUTOR_SIZE, REDISTRIBUTORS, UART};
use super::memory::GuestMemory;
use super::{Guest, Home, MAX_VCPUS, granted};
use crate::modules;

/// Where the memory of every guest begins.
pub const RAM: u64 = 0x4000_0000;

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
    mut free_homes: impl Iterator<Item = CpuIndex>,
) -> Result<(Arc<Guest>, Start), &'static str> {
    let size = asked.memory << 10;
    let unreadable = "its kernel is no arm64 Image";
    let header = modules::header(&asked.kernel).ok_or(unreadable)?;
    let layout = Layout::new(&(RAM..RAM + size), &header, &asked.kernel, asked.ramdisk.as_ref());
    // It was looked at when the configuration was read, and nobody writes there.
    let Layout { kernel, ramdisk, devicetree } = layout.map_err(|_| unreadable)?;
    let mut memory = GuestMemory::new(RAM, size)?;
    memory.write(kernel, modules::bytes(&asked.kernel))?;
    if let Some((place, module)) = ramdisk.as_ref().zip(asked.ramdisk.as_ref()) {
        memory.write(place.start, modules::bytes(module))?;
    }
    let pl031 = granted::pl031(number);
    pl031.map_or(Ok(()), |address| memory.grant_device(address, granted::PL031_SIZE))?;
    let vcpus = asked.vcpus.min(MAX_VCPUS);
    let affinities: Vec<u64> = (0..vcpus).map(affinity).collect();
    let machine = GuestMachine {
        memory: &[memory.addresses()],
        mpidrs: &affinities,
        distributor: DISTRIBUTOR..DISTRIBUTOR + DISTRIBUTOR_SIZE,
        redistributors: REDISTRIBUTORS..REDISTRIBUTORS + vcpus as u64 * REDISTRIBUTOR_SIZE,
        pl011: asked.vpl011.then_some(UART),
        pl031,
        bootargs: asked.bootargs,
        ramdisk,
    };
    let blob = machine.devicetree().map_err(|_| "the guest's devicetree cannot be written")?;
    memory.write(devicetree, &blob)?;
    // SAFETY: barriers, and an invalidation of the instruction caches: what was written there is about to be executed.
    unsafe { core::arch::asm!("dsb ish", "ic ialluis", "dsb ish", "isb", options(nostack, preserves_flags)) };
    let homes = (0..vcpus).filter_map(|vcpu| match asked.pins.get(vcpu) {
        Some(cpu) => CpuIndex::new(cpu).map(|cpu| Home { cpu, is_bound: true }),
        None => free_homes.next().map(|cpu| Home { cpu, is_bound: false }),
    });
    let guest = Guest::new(number, asked.name, memory, homes)?;
    Ok((Arc::new(guest), Start { kernel, devicetree }))
}
