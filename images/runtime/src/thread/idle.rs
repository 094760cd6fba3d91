//! The idle thread of each CPU: made once, and begun anew each time that the CPU comes up.

use alloc::sync::Arc;

use reveille::CpuIndex;

use super::run_queue::{Leave, RUN_QUEUE, schedule};
use super::{Placement, Thread, balance};
use crate::arch::interrupts;
use crate::memory::Stack;

/// Makes the idle thread of `cpu`, unless it has one, before the CPU is brought up (Linux's `fork_idle`): the address just above
/// its stack, on which the CPU starts each time that it comes up.
///
/// # Errors
/// There is no room for its stack.
pub fn fork_idle(cpu: CpuIndex) -> Result<usize, &'static str> {
    let mut queue = RUN_QUEUE.of(cpu).lock();
    if queue.idle.is_none() {
        queue.idle = Some(Arc::new(Thread::new("swapper", cpu, Placement::Bound, Some(Stack::allocate()?))));
    }
    Ok(queue.idle.as_ref().map_or(0, |idle| idle.stack_top()))
}

/// Makes what runs on this CPU its idle thread, each time that the CPU has come up. Its per-CPU area is in use.
pub fn adopt_idle() {
    RUN_QUEUE.lock().run_idle();
}

/// Makes what runs on the boot CPU its idle thread (Linux's `init_idle` for the boot CPU), and has the CPU take threads.
pub fn adopt_boot_idle() {
    let mut queue = RUN_QUEUE.lock();
    queue.idle = Some(Arc::new(Thread::new("swapper", CpuIndex::BOOT, Placement::Bound, None)));
    queue.run_idle();
    queue.open = true;
}

/// Has this CPU's idle thread run next, whoever is ready, and call what it was given for that ([`idle`]). The caller is a bound
/// thread that masks interrupts, and then blocks or parks; it goes on when the CPU has come up again.
pub fn request_idle_death() {
    RUN_QUEUE.lock().dying = true;
}

/// The idle thread's work, for ever: sleeps until there is other work (Linux's `cpu_startup_entry`).
///
/// After [`request_idle_death`] it calls `on_death`, with interrupts masked, to switch the CPU off. If that returns, the CPU goes on
/// as it is.
pub fn idle(on_death: fn()) -> ! {
    let _masked = interrupts::mask();
    loop {
        let mut queue = RUN_QUEUE.lock();
        let dying = core::mem::take(&mut queue.dying);
        let rests = queue.ready.is_empty();
        drop(queue);
        if dying {
            on_death();
        } else if rests {
            balance::while_idle(interrupts::wait);
        }
        interrupts::take_pending();
        schedule(Leave::Yield);
    }
}
