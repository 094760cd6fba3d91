//! The one start of all CPUs (LK's `arch/arm64/start.S`): which of them is the boot CPU.

use core::arch::global_asm;
use core::sync::atomic::{AtomicU32, Ordering};

use reveille_aarch64::cache::clean_to_point_of_coherency;
use reveille_runtime::arch::cpu_start::to_physical;

/// 0 until the boot CPU has claimed the image: whoever enters then is another CPU. Not in .bss, which the boot CPU clears after it has read this.
#[unsafe(link_section = ".data.others_enter")]
static OTHERS_ENTER: AtomicU32 = AtomicU32::new(0);

global_asm!(include_str!("start.S"), others_enter = sym OTHERS_ENTER);

unsafe extern "C" {
    safe fn _start();
}

/// Has everyone who enters from here on go the way of the other CPUs.
pub fn let_others_enter() {
    OTHERS_ENTER.store(1, Ordering::Relaxed);
    clean_to_point_of_coherency(&OTHERS_ENTER);
}

/// The physical address at which every CPU enters.
pub fn address() -> u64 {
    to_physical(_start as *const () as usize)
}
