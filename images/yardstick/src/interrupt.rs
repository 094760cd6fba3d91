//! An interrupt from one CPU to another, until it is handled there.

use core::arch::global_asm;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use dtoolkit::fdt::Fdt;
use reveille::Topology;
use reveille_aarch64::cache::clean_to_point_of_coherency;
use reveille_aarch64::psci::PsciNode;
use reveille_runtime::arch::gic_v3::GicV3;

use crate::Phase;
use crate::floor::kick_until;

/// How many interrupts are sent.
const INTERRUPTS: u64 = 1000;

/// What the CPU knows that is interrupted.
#[repr(C)]
struct Interrupted {
    /// Its redistributor's address.
    redistributor: AtomicU64,
    /// 1 when it is ready, and 1 more for each interrupt that it has handled.
    count: AtomicU32,
}

static INTERRUPTED: Interrupted = Interrupted { redistributor: AtomicU64::new(0), count: AtomicU32::new(0) };

global_asm!(
    include_str!("interrupt.S"),
    REDISTRIBUTOR = const offset_of!(Interrupted, redistributor),
    COUNT = const offset_of!(Interrupted, count),
);

unsafe extern "C" {
    /// See `interrupt.S`.
    fn yardstick_ipi_entry();
    fn yardstick_send_ipis(count: u64, request: u64, interrupted: *const Interrupted, times: *mut [u64; 2]);
}

/// [`INTERRUPTS`] to the second CPU, each sent when the one before it has been handled.
pub fn send(fdt: &Fdt<'_>, psci: &PsciNode, topology: &Topology) -> Result<Phase, &'static str> {
    let gic = GicV3::init(fdt)?;
    let cpu = topology.cpus().get(1).ok_or("there is no second CPU")?;
    let redistributor = gic.redistributor_address(cpu.hw_id).ok_or("the second CPU has no redistributor")?;
    INTERRUPTED.redistributor.store(redistributor as u64, Ordering::Relaxed);
    clean_to_point_of_coherency(&INTERRUPTED);
    let context = (&raw const INTERRUPTED).addr() as u64;
    kick_until(psci, &[cpu.hw_id.0], &[context], yardstick_ipi_entry, &INTERRUPTED.count);
    let mut times = [0; 2];
    // SAFETY: the other CPU shares nothing but the count, which is static. The bench ends a run in which it does not answer.
    unsafe { yardstick_send_ipis(INTERRUPTS, request(cpu.hw_id.0), &raw const INTERRUPTED, &raw mut times) };
    Ok(Phase { first_kick: times[0], last_arrival: times[1] })
}

/// ICC_SGI1R_EL1 for SGI 0 to the CPU with this id.
const fn request(hw_id: u64) -> u64 {
    let (aff0, aff1, aff2, aff3) = (hw_id & 0xff, hw_id >> 8 & 0xff, hw_id >> 16 & 0xff, hw_id >> 32 & 0xff);
    1 << (aff0 % 16) | aff1 << 16 | aff2 << 32 | (aff0 / 16) << 44 | aff3 << 48
}
