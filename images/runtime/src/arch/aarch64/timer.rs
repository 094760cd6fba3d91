//! The generic timer: the counter that all CPUs share (CNTVCT_EL0), and a timer of each CPU's, used one shot at a time. At EL1
//! that is the virtual timer; at EL2 it is EL2's physical one, which VHE puts under the name of CNTP (Linux's
//! `arch_timer_select_ppi`).

use core::arch::asm;
use core::sync::atomic::{AtomicU32, Ordering};

use arm_gic::IntId;
use dtoolkit::fdt::Fdt;
use dtoolkit::standard::NodeStandard;
use dtoolkit::{Node, Property};
use spin::Once;

pub use reveille_aarch64::counter::{frequency, instant, ticks};

use super::processor;
use crate::devicetree;

/// What devicetrees call it. Those of 64-bit boards that also run 32-bit kernels have the older name.
const COMPATIBLE: [&str; 2] = ["arm,armv8-timer", "arm,armv7-timer"];
/// A GIC has 16 private interrupts for each CPU, other controllers fewer.
const LAST_PRIVATE: u32 = 15;

/// The interrupt of the timer that is used, among the private ones, from the devicetree.
static INTERRUPT: AtomicU32 = AtomicU32::new(0);

const ENABLE: u64 = 1;

fn is_at_el2() -> bool {
    processor::exception_level() == 2
}

/// Reads the timer's interrupt from the devicetree.
///
/// # Errors
/// What is missing.
pub fn init(fdt: &Fdt<'_>) -> Result<(), &'static str> {
    let is_timer = |node: &_| COMPATIBLE.iter().any(|name| NodeStandard::is_compatible(node, name));
    let node = devicetree::find_node(fdt, is_timer).ok_or("the devicetree has no arm,armv8-timer")?;
    // The binding's order, for nodes without names: secure, physical, virtual, EL2's physical, EL2's virtual.
    let (name, place) = if is_at_el2() { (b"hyp-phys".as_slice(), 3) } else { (b"virt".as_slice(), 2) };
    let names = node.property("interrupt-names");
    let named = names.and_then(|names| names.value().split(|&byte| byte == 0).position(|other| other == name));
    let interrupt = devicetree::interrupt(fdt, node, named.unwrap_or(place));
    let interrupt = interrupt.ok_or("the timer has no interrupt for its level")?;
    if !interrupt.is_private || interrupt.number > LAST_PRIVATE {
        return Err("the timer's interrupt is no private one");
    }
    INTERRUPT.store(interrupt.number, Ordering::Relaxed);
    Ok(())
}

/// What `ticks` of the counter are in nanoseconds of the physical counter, which all stages of the machine share: a hypervisor may give the
/// virtual one an offset.
pub fn shared_nanoseconds(ticks: u64) -> Option<u64> {
    static AHEAD: Once<u64> = Once::new();
    Some(instant(ticks.wrapping_sub(*AHEAD.call_once(ahead_of_physical))).0)
}

/// By how much the virtual counter is ahead of the physical one, modulo 2^64, as well as can be seen.
fn ahead_of_physical() -> u64 {
    const TRIES: usize = 8;
    let tries = core::array::from_fn::<_, TRIES, _>(|_| (physical_ticks(), ticks(), physical_ticks()));
    let closest = tries.into_iter().min_by_key(|(before, _, after)| after - before);
    let (before, virtual_ticks, after) = closest.expect("there are tries");
    if (before..=after).contains(&virtual_ticks) { 0 } else { virtual_ticks.wrapping_sub(before) }
}

/// The physical counter now (CNTPCT_EL0).
fn physical_ticks() -> u64 {
    let ticks: u64;
    // SAFETY: reading the counter has no effect; not `nomem`, so that it stays between the reads of the other.
    unsafe { asm!("isb", "mrs {}, cntpct_el0", out(reg) ticks, options(nostack, preserves_flags)) };
    ticks
}

/// The number of the timer's interrupt among the private ones of a CPU.
pub(super) fn private_number() -> u32 {
    INTERRUPT.load(Ordering::Relaxed)
}

/// The timer's interrupt as a GIC numbers it.
pub(super) fn interrupt() -> u32 {
    IntId::ppi(private_number()).into()
}

/// Has this CPU interrupted when the counter reaches `deadline`, instead of what it was programmed for before.
pub fn program(deadline: u64) {
    // SAFETY: both timers are the kernel's own, each at its level.
    unsafe {
        if is_at_el2() {
            asm!("msr cntp_cval_el0, {}", "msr cntp_ctl_el0, {}", "isb", in(reg) deadline, in(reg) ENABLE, options(nostack));
        } else {
            asm!("msr cntv_cval_el0, {}", "msr cntv_ctl_el0, {}", "isb", in(reg) deadline, in(reg) ENABLE, options(nostack));
        }
    }
}

/// Leaves this CPU without a timer interrupt.
pub fn stop() {
    // SAFETY: as above.
    unsafe {
        if is_at_el2() {
            asm!("msr cntp_ctl_el0, xzr", "isb", options(nostack));
        } else {
            asm!("msr cntv_ctl_el0, xzr", "isb", options(nostack));
        }
    }
}
