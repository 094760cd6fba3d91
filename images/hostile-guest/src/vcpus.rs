//! The vCPUs of the guest: the first one, which does what is done by one, and the others, which come when they are wanted.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;

use reveille_psci_caller::{code, id};
use reveille_runtime::arch::timer;
use reveille_runtime::clock;

use crate::attempt::Attempts;
use crate::calls::hvc;
use crate::registers::read_register;

/// The most vCPUs that are used.
pub const MOST: usize = 8;
/// How long a vCPU may take that is wanted: a busy host needs long.
const PATIENCE: Duration = Duration::from_secs(60);
const STACK: usize = 16 << 10;

/// What a vCPU begins with; `attempt.S` has the layout of its first part.
#[repr(C, align(64))]
pub struct Start {
    pub ttbr0: u64,
    tcr: u64,
    mair: u64,
    vbar: u64,
    sctlr: u64,
    stack: u64,
    index: u64,
    work: Work,
}

/// What a vCPU does, until [`is_over`]; which one it is, and what it tries things with.
pub type Work = fn(usize, &mut Attempts);

#[repr(C, align(16))]
struct Stack(UnsafeCell<[u8; STACK]>);
struct Cell<T>(UnsafeCell<T>);

// SAFETY: each is one vCPU's, which is started once at a time, by the first one.
unsafe impl Sync for Stack {}
// SAFETY: as above.
unsafe impl<T> Sync for Cell<T> {}

static STACKS: [Stack; MOST] = [const { Stack(UnsafeCell::new([0; STACK])) }; MOST];
static ATTEMPTS: [Cell<Attempts>; MOST] = [const { Cell(UnsafeCell::new(Attempts::new())) }; MOST];
static STARTS: [Cell<Option<Start>>; MOST] = [const { Cell(UnsafeCell::new(None)) }; MOST];
/// When those that work now are to stop, by the counter; or at once.
static END: AtomicU64 = AtomicU64::new(0);
static STOP: AtomicBool = AtomicBool::new(false);

unsafe extern "C" {
    fn other_vcpu();
}

/// The affinity of a vCPU, as long as there are no more than 16.
pub const fn id_of(index: usize) -> u64 {
    index as u64
}

/// The physical address at which vCPUs enter.
pub fn entry() -> u64 {
    other_vcpu as *const () as u64
}

/// The vCPUs of this guest.
pub struct Vcpus {
    /// How many there are.
    pub count: usize,
}

impl Vcpus {
    /// As many as the hypervisor knows.
    pub fn count() -> Self {
        let exists = |&index: &usize| hvc(id::AFFINITY_INFO, [id_of(index), 0, 0]) != code::INVALID_PARAMETERS;
        Self { count: (0..MOST).take_while(exists).count() }
    }

    /// Switches a vCPU on, which is off.
    pub fn start(&self, index: usize, work: Work) -> Result<(), &'static str> {
        let stack = STACKS[index].0.get() as u64 + STACK as u64;
        let start = Start {
            ttbr0: read_register!("ttbr0_el1"),
            tcr: read_register!("tcr_el1"),
            mair: read_register!("mair_el1"),
            vbar: read_register!("vbar_el1"),
            sctlr: read_register!("sctlr_el1"),
            stack,
            index: index as u64,
            work,
        };
        // SAFETY: the vCPU is off, so it is nobody's.
        let address = unsafe {
            *STARTS[index].0.get() = Some(start);
            (*STARTS[index].0.get()).as_ref().map_or(core::ptr::null(), |start| &raw const *start)
        };
        match hvc(id::CPU_ON, [id_of(index), entry(), address as u64]) {
            code::SUCCESS => Ok(()),
            _ => Err("CPU_ON of a vCPU that is off was refused"),
        }
    }

    /// Waits until a vCPU is off.
    pub fn wait_off(&self, index: usize) -> Result<(), &'static str> {
        let end = clock::ticks_after(PATIENCE);
        while hvc(id::AFFINITY_INFO, [id_of(index), 0, 0]) != code::OFF {
            if timer::ticks() > end {
                return Err("a vCPU does not come back");
            }
            relax();
        }
        Ok(())
    }

    /// Has all vCPUs do `work`, the first one too, for so long, and waits until the others are off again.
    pub fn all(&self, limit: Duration, own: &mut Attempts, work: Work) -> Result<(), &'static str> {
        END.store(clock::ticks_after(limit), Ordering::SeqCst);
        STOP.store(false, Ordering::SeqCst);
        (1..self.count).try_for_each(|index| self.start(index, work))?;
        work(0, own);
        STOP.store(true, Ordering::SeqCst);
        (1..self.count).try_for_each(|index| self.wait_off(index))
    }
}

/// What the first vCPU tries things with. Once.
pub fn attempts_of_the_first() -> &'static mut Attempts {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    assert!(!TAKEN.swap(true, Ordering::SeqCst), "there is one of them");
    // SAFETY: nobody had it before.
    unsafe { &mut *ATTEMPTS[0].0.get() }
}

/// Whether those that work are to stop.
pub fn is_over() -> bool {
    STOP.load(Ordering::Relaxed) || timer::ticks() > END.load(Ordering::Relaxed)
}

/// Lets an emulator run others that wait for their turn.
pub fn relax() {
    reveille_runtime::arch::interrupts::relax();
}

#[unsafe(no_mangle)]
extern "C" fn other_vcpu_main(start: &Start) -> ! {
    let index = start.index as usize;
    // SAFETY: this vCPU's alone.
    (start.work)(index, unsafe { &mut *ATTEMPTS[index].0.get() });
    loop {
        let _ = hvc(id::CPU_OFF, [0; 3]);
    }
}
