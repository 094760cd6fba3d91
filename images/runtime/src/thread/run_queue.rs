//! A CPU's run queue, and the switch from one of its threads to another.
//!
//! Only the CPU itself takes threads out to run them, or to move them because it goes down; any CPU may make one ready, and may fetch
//! one that waits and is free ([`super::balance`]). The lock of another CPU's run queue may be held together with one's own, the lower
//! index first.
//!
//! Of those that are ready the one runs next that has had least, by its time (the crate `fair-share`).

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use core::time::Duration;

use reveille::CpuIndex;

use super::{Placement, Thread, balance};
use crate::arch::context::switch;
use crate::arch::{interrupts, timer};
use crate::interrupt_controller::send_ipi;
use crate::ipi::Ipi;
use crate::lock::IrqLock;
use crate::per_cpu::smp_processor_id;
use crate::{clock, watchdog};

/// How long a thread runs while others are ready.
pub(super) const SLICE: Duration = Duration::from_millis(10);

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
    /// One whose registers are being saved, and whose stack is in use until that is done: nobody else runs it, or frees it.
    leaving: Option<Arc<Thread>>,
    /// When the slice of the current thread ends.
    slice_end: u64,
    /// From when on the current thread's running is not in its time yet.
    accounted: u64,
    /// See [`FairShare::floor`](fair_share::FairShare::floor).
    floor: u64,
}

crate::per_cpu! {
    pub(super) static RUN_QUEUE: IrqLock<RunQueue> = IrqLock::new(RunQueue {
        open: false,
        dying: false,
        ready: VecDeque::new(),
        blocked: Vec::new(),
        current: None,
        idle: None,
        leaving: None,
        slice_end: 0,
        accounted: 0,
        floor: 0,
    });
    pub(super) static CURRENT: AtomicPtr<Thread> = AtomicPtr::new(ptr::null_mut());
    static TICKS: AtomicU32 = AtomicU32::new(0);
    static SLICE_ENDED: AtomicBool = AtomicBool::new(false);
}

impl RunQueue {
    pub fn current_is_idle(&self) -> bool {
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

    /// Makes `next` the thread that runs here.
    fn switch_to(&mut self, next: &Arc<Thread>) {
        self.current = Some(Arc::clone(next));
        self.begin_slice();
        CURRENT.store(Arc::as_ptr(next).cast_mut(), Ordering::Relaxed);
        if self.has_free() {
            balance::wake_idle();
        }
    }

    /// Has the slice of the current thread end soon.
    pub fn shorten_slice(&mut self) {
        if !self.current_is_idle() {
            self.slice_end = self.slice_end.min(clock::ticks_after(SLICE / 16));
            self.program_timer();
        }
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
        self.arrive(blocked.thread);
    }

    /// A thread that has slept, or was on another CPU, is ready here.
    pub fn arrive(&mut self, thread: Arc<Thread>) {
        let alone = self.ready.is_empty() && self.current_is_idle();
        if alone {
            // Its own is as old as what it ran last.
            self.floor = balance::share().floor(self.floor, balance::highest_floor());
        }
        let time = balance::share().arrival(thread.time.get(), self.floor, alone);
        thread.time.set(time);
        if alone {
            // Whoever comes before it has run is compared with it.
            self.floor = balance::share().floor(self.floor, time);
        }
        self.make_ready(thread);
    }

    /// A new thread is ready.
    pub fn begin(&mut self, thread: Arc<Thread>) {
        thread.time.set(self.floor);
        self.make_ready(thread);
    }

    fn make_ready(&mut self, thread: Arc<Thread>) {
        let (free, cpu) = (thread.placement == Placement::Free, thread.cpu());
        self.ready.push_back(thread);
        if free {
            balance::note_waiting(cpu, true, self.least_free());
        }
    }

    /// Takes the thread at `place` out of those that are ready.
    pub fn take_ready(&mut self, place: usize) -> Arc<Thread> {
        let thread = self.ready.remove(place).expect("the place of a thread that is ready");
        if thread.placement == Placement::Free {
            balance::note_waiting(thread.cpu(), false, self.least_free());
        }
        thread
    }

    /// Whether one with this name is here, and bound to this CPU.
    pub fn has_bound(&self, name: &str) -> bool {
        let blocked = self.blocked.iter().map(|blocked| &blocked.thread);
        let mut all = self.ready.iter().chain(blocked).chain(&self.current);
        all.any(|thread| thread.placement == Placement::Bound && thread.name == name)
    }

    fn has_free(&self) -> bool {
        self.ready.iter().any(|thread| thread.placement == Placement::Free)
    }

    /// The least time of the free threads that are ready.
    fn least_free(&self) -> u64 {
        let free = self.ready.iter().filter(|thread| thread.placement == Placement::Free);
        free.map(|thread| thread.time.get()).min().unwrap_or(u64::MAX)
    }

    /// The least time of what runs here and what is ready.
    pub fn least(&self) -> Option<u64> {
        let current = self.current.as_ref().filter(|_| !self.current_is_idle());
        self.ready.iter().chain(current).map(|thread| thread.time.get()).min()
    }

    /// Whether it has not been switched away from yet.
    pub fn is_leaving(&self, thread: &Arc<Thread>) -> bool {
        self.leaving.as_ref().is_some_and(|leaving| Arc::ptr_eq(leaving, thread))
    }

    /// Adds what the current thread has run to its time. For the CPU whose run queue this is.
    pub fn account(&mut self) {
        let now = timer::ticks();
        let ran = now.saturating_sub(self.accounted);
        self.accounted = now;
        if let Some(current) = self.current.as_ref().filter(|_| !self.current_is_idle()) {
            current.time.set(current.time.get() + ran);
            current.ran.set(current.ran.get() + ran);
            let is_free = current.placement == Placement::Free;
            let least = self.least().unwrap_or(0);
            self.floor = balance::share().floor(self.floor, least);
            if is_free {
                balance::note_floor(self.floor);
            }
        }
    }

    /// Takes the thread that runs next out of those that are ready; none if that is `previous`, whose slice has ended.
    fn take_next(&mut self, previous: Option<&Arc<Thread>>) -> Option<Arc<Thread>> {
        let place = match (self.ready.len(), previous) {
            (0, _) => return None,
            (1, None) => 0,
            (_, previous) => {
                // Of equals `previous` is the last: it has just run.
                let times = self.ready.iter().chain(previous).map(|thread| thread.time.get());
                balance::share().next(times)?.0
            }
        };
        (place < self.ready.len()).then(|| self.take_ready(place))
    }

    /// Has `cpu`, whose run queue this is, look at it, and another CPU if this one may not come to it soon. The interrupt is sent while the
    /// lock is held: after the run queue was closed none comes any more.
    pub fn kick(&self, cpu: CpuIndex) {
        if self.open && cpu != smp_processor_id() {
            send_ipi(cpu, Ipi::Reschedule);
        }
        if !self.current_is_idle() && self.has_free() {
            balance::wake_idle();
        }
    }
}

/// Why the running thread leaves its CPU.
pub(super) enum Leave {
    /// Others are to run, if there are any.
    Yield,
    /// Its slice has ended.
    Preempted,
    Block {
        wake_at: u64,
    },
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
    let may_switch = |queue: &RunQueue| queue.current_is_idle() || SLICE_ENDED.load(Ordering::Relaxed);
    if balance::anyone_waits() && may_switch(&RUN_QUEUE.lock()) {
        balance::fetch_thread();
    }
    let queue = RUN_QUEUE.lock();
    let due = !queue.ready.is_empty() && may_switch(&queue);
    drop(queue);
    if due {
        SLICE_ENDED.store(false, Ordering::Relaxed);
        schedule(Leave::Preempted);
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
    // Also of one that runs alone: whoever wakes up is compared with it.
    queue.account();
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
    queue.account();
    let Some(previous) = queue.current.take() else { return };
    let idle = queue.idle.clone().expect("a CPU with a current thread has an idle one");
    if matches!(leave, Leave::Block { .. }) && previous.woken.swap(false, Ordering::Relaxed) {
        queue.current = Some(previous);
        return;
    }
    let goes_on = matches!(leave, Leave::Yield | Leave::Preempted) && !Arc::ptr_eq(&previous, &idle);
    let ready = match leave {
        _ if queue.dying => None,
        Leave::Preempted if goes_on => queue.take_next(Some(&previous)).or_else(|| Some(Arc::clone(&previous))),
        _ => queue.take_next(None),
    };
    // Who lets others run goes on where there are none.
    let next = ready.or_else(|| (goes_on && !queue.dying).then(|| Arc::clone(&previous))).unwrap_or(idle);
    let is_same = Arc::ptr_eq(&previous, &next);
    match leave {
        Leave::Block { wake_at } => queue.block(Arc::clone(&previous), wake_at),
        _ if goes_on && !is_same => queue.make_ready(Arc::clone(&previous)),
        _ => {}
    }
    queue.switch_to(&next);
    if is_same {
        return;
    }
    let from = previous.context.get();
    let to = next.context.get();
    queue.leaving = Some(previous);
    // The run queue holds both; a reference on the stack of a thread that ends would never be dropped.
    drop((next, queue));
    // SAFETY: interrupts are masked. `from` is the running thread, kept alive by the queue until `finish_switch`, until when no other CPU
    // fetches it; `to` was saved by `switch` or made by `with_entry`, and is current nowhere else: it was in this queue alone.
    unsafe { switch(from, *to) };
    finish_switch();
}

/// Done by every thread that was switched to: the one before it has its registers saved, and is freed if it has ended.
pub(super) fn finish_switch() {
    let left = RUN_QUEUE.lock().leaving.take();
    drop(left);
}
