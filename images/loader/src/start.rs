//! The one start of all CPUs (LK's `arch/arm64/start.S`): which of them is the boot CPU.

use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicU32, Ordering};

use reveille::{CallError, ContextId, Cpu, EnableMethod};
use reveille_aarch64::cache::clean_to_point_of_coherency;
use reveille_aarch64::holding_pen::HoldingPen;
use reveille_aarch64::pen::Pen;
use reveille_boards::QEMU_VIRT_GIC_V3;
use reveille_runtime::arch::cpu_start::to_physical;

// Both are read or written before .bss is cleared, and so are not there.
/// 0 until there is something for other CPUs to boot from: whoever enters then is the boot CPU.
#[unsafe(link_section = ".data.start")]
static OTHERS_ENTER: AtomicU32 = AtomicU32::new(0);
/// 1 if all CPUs entered at once, at EL3.
#[unsafe(link_section = ".data.start")]
static ENTERED_AT_EL3: AtomicU32 = AtomicU32::new(0);

global_asm!(
    include_str!("start.S"),
    others_enter = sym OTHERS_ENTER,
    entered_at_el3 = sym ENTERED_AT_EL3,
    GICD_LOW = const QEMU_VIRT_GIC_V3.distributor & 0xffff,
    GICD_HIGH = const QEMU_VIRT_GIC_V3.distributor >> 16,
    GICR_LOW = const QEMU_VIRT_GIC_V3.redistributors & 0xffff,
    GICR_HIGH = const QEMU_VIRT_GIC_V3.redistributors >> 16,
);

unsafe extern "C" {
    safe fn _start();
}

/// Has everyone who enters from here on go the way of the other CPUs, and those that wait for it.
pub fn let_others_enter() {
    OTHERS_ENTER.store(1, Ordering::Relaxed);
    clean_to_point_of_coherency(&OTHERS_ENTER);
    // SAFETY: a hint.
    unsafe { asm!("sev", options(nostack, preserves_flags)) };
}

/// The physical address at which every CPU enters.
pub fn address() -> u64 {
    to_physical(_start as *const () as usize)
}

/// Whether all CPUs entered at once, at EL3.
pub fn was_at_el3() -> bool {
    ENTERED_AT_EL3.load(Ordering::Relaxed) != 0
}

/// CPUs that entered at the same time as the boot CPU, and wait in the loader's pen. No devicetree has a method for them.
pub struct EnteredAtOnce(pub HoldingPen);

impl EnteredAtOnce {
    /// The name that the loader gives to the method.
    pub const NAME: &'static str = "reveille,entered-at-once";
}

impl EnableMethod for EnteredAtOnce {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn cpu_prepare(&self, _: &Cpu) -> Result<(), CallError> {
        Ok(())
    }

    fn cpu_boot(&self, cpu: &Cpu, context: ContextId) -> Result<(), CallError> {
        self.0.release(cpu, context);
        Ok(())
    }
}
