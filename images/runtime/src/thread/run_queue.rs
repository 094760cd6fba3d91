//! A CPU's run queue, and the switch from one of its threads to another.
//!
//! Only the CPU itself takes threads out to run them or to move them; any CPU may make one ready. The lock of another CPU's run
//! queue may be held together with one's own, the lower index first.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use core::time::Duration;

use reveille::CpuIndex;

use super::Thread;
use crate::arch::context::switch;
use crate::arch::{interrupts, timer};
use crate::interrupt_controller::send_ipi;
use crate::ipi::Ipi;
use crate::lock::IrqLock;
use crate::per_cpu::smp_processor_id;
use crate::{clock, watchdog};

/// How long a thread runs while others are ready.
const SLICE: Duration = Duration::from_millis(10);

/// A blocked thread, and the counter's value at which it is woken at the latest.
pub(super) struct Blocked {
    pub thread: Arc<Thread>,
    pub wake_at: u64,
}

/// The threads of one CPU.
pub(super) struct RunQueue {
    /// Whether the CPU takes threads. While it does not, there are bound ones here only, and the CPU is sent no interrupt for
    /// them: it looks when it comes up.
    pub open: bool,
    /// The idle thread is to run next, whoever is ready: the CPU is about to die.
    pub dying: bool,
    pub ready: VecDeque<Arc<Thread>>,
    pub blocked: Vec<Blocked>,
    pub current: Option<Arc<Thread>>,
    pub idle: Option<Arc<Thread>>,
    /// One that has ended and whose stack was in use until the switch away from it was done.
    ended: Option<Arc<Thread>>,
    /// When the slice of the current thread ends.
    slice_end: u64,
}

crate::per_cpu! {
    pub(super) static RUN_QUEUE: IrqLock<RunQueue> = IrqLock::new(RunQueue {
        open: false,
        dying: false,
        ready: VecDeque::new(),
        blocked: Vec::new(),
        current: None,
        idle: None,
        ended: None,
        slice_end: 0,
    });
    pub(super) static CURRENT: AtomicPtr<Thread> = AtomicPtr::new(ptr::null_mut());
    static TICKS: AtomicU32 = AtomicU32::new(0);
    static SLICE_ENDED: AtomicBool = AtomicBool::new(false);
}

impl RunQueue {
    fn current_is_idle(&self) -> bool {
        match (&self.current, &self.idle) {
            (Some(current), Some(idle)) => Arc::ptr_eq(current, idle),
            _ => false,
        }
    }

    /// Makes what runs on this CPU its idle thread.
    pub fn run_idle(&mut self) {
        let idle = self.idle.clone().expect("an idle thread is made before its CPU runs");
        CURRENT.store(Arc::as_ptr(&idle).cast_mut(), Ordering::Relaxed);
        self.current = Some(idle);
    }

    /// Programs this CPU's timer for the first sleeper, the watchdog and, unless it idles, the end of the slice. A CPU that takes no threads
    /// needs no timer.
    pub fn program_timer(&self) {
        let slice_end = (!self.current_is_idle()).then_some(self.slice_end);
        let wake_up = self.blocked.iter().map(|blocked| blocked.wake_at).min();
        match slice_end.into_iter().chain(wake_up).fold(watchdog::check_at(), u64::min) {
            deadline if self.open && deadline != u64::MAX => timer::program(deadline),
            _ => timer::stop(),
        }
    }

    /// Gives the current thread a slice.
    fn begin_slice(&mut self) {
        if !self.current_is_idle() {
            self.slice_end = clock::ticks_after(SLICE);
        }
        self.program_timer();
    }

    pub fn block(&mut self, thread: Arc<Thread>, wake_at: u64) {
        self.blocked.push(Blocked { thread, wake_at });
    }

    /// Makes `thread` ready if it is blocked here.
    pub fn wake(&mut self, thread: &Arc<Thread>) -> bool {
        let position = self.blocked.iter().position(|blocked| Arc::ptr_eq(&blocked.thread, thread));
        position.map(|position| self.wake_at(position)).is_some()
    }

    fn wake_at(&mut self, position: usize) {
        let blocked = self.blocked.swap_remove(position);
        self.ready.push_back(blocked.thread);
    }

    /// Has `cpu`, whose run queue this is, look at it. The interrupt is sent while the lock is held: after the run queue was
    /// closed none comes any more.
    pub fn kick(&self, cpu: CpuIndex) {
        if self.open && cpu != smp_processor_id() {
            send_ipi(cpu, Ipi::Reschedule);
        }
    }
}

/// Why the running thread leaves its CPU.
pub(super) enum Leave {
    Yield,
    Block { wake_at: u64 },
    Exit,
}

/// Programs this CPU's timer anew: there is something that comes before what it was programmed for, or that no longer comes.
pub(crate) fn reprogram_timer() {
    // The caller may not mask interrupts, and must not move between the choice of the run queue and its lock.
    let _masked = interrupts::mask();
    RUN_QUEUE.lock().program_timer();
}

/// On the way out of an interrupt: switches threads where the slice has ended or the CPU was idle. Interrupts are masked.
pub(crate) fn preempt() {
    watchdog::touch();
    let queue = RUN_QUEUE.lock();
    let due = !queue.ready.is_empty() && (queue.current_is_idle() || SLICE_ENDED.swap(false, Ordering::Relaxed));
    drop(queue);
    if due {
        schedule(Leave::Yield);
    }
}

/// This CPU's timer has fired: wakes sleepers, ends the slice.
pub(crate) fn timer_interrupt() {
    TICKS.fetch_add(1, Ordering::Relaxed);
    let now = timer::ticks();
    watchdog::timer_interrupt(now);
    let mut queue = RUN_QUEUE.lock();
    while let Some(position) = queue.blocked.iter().position(|blocked| blocked.wake_at <= now) {
        queue.wake_at(position);
    }
    SLICE_ENDED.store(true, Ordering::Relaxed);
    queue.begin_slice();
}

/// The name of the thread that `cpu` runs, unless the run queue is in use.
pub(crate) fn name_of_current(cpu: CpuIndex) -> Option<&'static str> {
    RUN_QUEUE.of(cpu).try_lock()?.current.as_ref().map(|current| current.name)
}

/// How many timer interrupts `cpu` has had.
#[must_use]
pub fn ticks_of(cpu: CpuIndex) -> u32 {
    TICKS.of(cpu).load(Ordering::Relaxed)
}

/// Goes over to the next thread. Interrupts are masked. Returns when this one runs again, on another CPU perhaps.
pub(super) fn schedule(leave: Leave) {
    let mut queue = RUN_QUEUE.lock();
    let Some(previous) = queue.current.take() else { return };
    let idle = queue.idle.clone().expect("a CPU with a current thread has an idle one");
    match leave {
        Leave::Block { .. } if previous.woken.swap(false, Ordering::Relaxed) => {
            queue.current = Some(previous);
            return;
        }
        Leave::Yield if Arc::ptr_eq(&previous, &idle) => {}
        Leave::Yield => queue.ready.push_back(Arc::clone(&previous)),
        Leave::Block { wake_at } => queue.block(Arc::clone(&previous), wake_at),
        Leave::Exit => queue.ended = Some(Arc::clone(&previous)),
    }
    let ready = if queue.dying { None } else { queue.ready.pop_front() };
    let next = ready.unwrap_or(idle);
    queue.current = Some(Arc::clone(&next));
    queue.begin_slice();
    CURRENT.store(Arc::as_ptr(&next).cast_mut(), Ordering::Relaxed);
    let from = previous.context.get();
    let to = next.context.get();
    // The run queue holds both; a reference on the stack of a thread that ends would never be dropped.
    drop((previous, next, queue));
    if from == to {
        return;
    }
    // SAFETY: interrupts are masked. `from` is the running thread, kept alive by the queue until `finish_switch`; `to` was saved
    // by `switch` or made by `with_entry`, and is current nowhere else: it was in this queue alone, and only this CPU takes
    // threads out of it.
    unsafe { switch(from, *to) };
    finish_switch();
}

/// Done by every thread that was switched to: frees one that has ended.
pub(super) fn finish_switch() {
    let ended = RUN_QUEUE.lock().ended.take();
    drop(ended);
}
