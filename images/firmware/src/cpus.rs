//! The CPUs of the devicetree, in an order that is the number by which [`crate::psci`] knows them, and their stacks.

use alloc::vec::Vec;
use core::arch::asm;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use dtoolkit::fdt::Fdt;
use dtoolkit::{Node, Property};
use reveille::MAX_CPUS;
use reveille::topology::is_cpu;

use crate::memory_map::{STACK_SIZE, STACKS};

/// The boot CPU's, until the next stage runs.
pub const BOOT_STACK_SIZE: usize = 256 << 10;
/// The affinity fields of MPIDR_EL1.
pub const AFFINITY: u64 = 0xff_00ff_ffff;

/// Memory that nothing needs cleared.
#[repr(C, align(4096))]
pub struct Memory<const SIZE: usize>([u8; SIZE]);

impl<const SIZE: usize> Memory<SIZE> {
    /// What it holds is never read.
    pub const NEW: Self = Self([0; SIZE]);
}

#[unsafe(link_section = ".uninitialised.boot_stack")]
pub static mut BOOT_STACK: Memory<BOOT_STACK_SIZE> = Memory::NEW;

/// The affinities of the CPUs, ascending. `reset.S` looks itself up here.
pub static CPU_IDS: AtomicPtr<u64> = AtomicPtr::new(core::ptr::null_mut());
/// How many there are.
pub static CPU_COUNT: AtomicUsize = AtomicUsize::new(0);

/// Reads which CPUs there are: their affinities, ascending.
///
/// # Errors
/// They cannot be used.
pub fn init(fdt: &Fdt<'_>) -> Result<&'static [u64], &'static str> {
    let nodes = fdt.find_node("/cpus").ok_or("the devicetree has no CPUs")?;
    let mut ids = Vec::new();
    for node in nodes.children().filter(is_cpu) {
        let reg = node.property("reg").ok_or("a CPU has no reg")?;
        ids.push(affinity_of(reg.value()));
    }
    if ids.len() > MAX_CPUS {
        return Err("the machine has more CPUs than fit");
    }
    ids.sort_unstable();
    let ids = ids.leak();
    let boot_cpu = ids.binary_search(&affinity()).map_err(|_| "the boot CPU is not in the devicetree")?;
    set_this_cpu(boot_cpu);
    CPU_IDS.store(ids.as_mut_ptr(), Ordering::Relaxed);
    CPU_COUNT.store(ids.len(), Ordering::Release);
    Ok(ids)
}

/// The affinity that the `reg` of a CPU's node says.
pub fn affinity_of(reg: &[u8]) -> u64 {
    reg.iter().fold(0, |id, &byte| id << 8 | u64::from(byte)) & AFFINITY
}

/// The affinities of all CPUs, by their place.
pub fn ids() -> &'static [u64] {
    let count = CPU_COUNT.load(Ordering::Acquire);
    if count == 0 {
        return &[];
    }
    // SAFETY: the list was there before its length was, and is never changed or freed.
    unsafe { core::slice::from_raw_parts(CPU_IDS.load(Ordering::Relaxed), count) }
}

/// The place of the CPU with this affinity.
pub fn place(affinity: u64) -> Option<usize> {
    ids().binary_search(&affinity).ok()
}

/// The affinity of this CPU.
pub fn affinity() -> u64 {
    arm_sysregs::el1::accessors::read_mpidr_el1().bits() & AFFINITY
}

/// Notes on this CPU which it is.
pub fn set_this_cpu(place: usize) {
    // SAFETY: nobody else uses TPIDR_EL3.
    unsafe { asm!("msr tpidr_el3, {}", in(reg) place, options(nomem, nostack, preserves_flags)) };
}

/// The place of this CPU.
pub fn this_cpu() -> usize {
    arm_sysregs::el3::accessors::read_tpidr_el3().bits() as usize
}

/// The top of a CPU's stack at EL3, which is its own for as long as it handles one call.
pub fn stack_top(place: usize) -> usize {
    STACKS.start + (place + 1) * STACK_SIZE
}
