//! What the control CPU and a CPU's own hotplug thread tell each other (Linux's `struct cpuhp_cpu_state`): [`HotplugSlot`].
//!
//! An order is one word, and passes through its phases by compare-exchange, so that an order which is withdrawn is not
//! carried out, and one that is carried out is not withdrawn.

use super::instances::Instance;
use super::step::{Direction, HotplugState, MAX_STEPS, StepError};
use crate::sync::{AtomicU32, Ordering, RacedWord};

/// What a CPU's hotplug thread is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// To go to this state.
    Walk(HotplugState),
    /// To call one step for one instance.
    Single { position: u16, instance: Instance, direction: Direction },
}

/// How far an order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Phase {
    /// There is none.
    None = 0,
    /// Given, and not begun.
    Asked = 1,
    /// Begun.
    Running = 2,
    /// Carried out.
    Done = 3,
    /// A step failed; what was done was undone.
    Failed = 4,
    /// Firmware refused to switch the CPU off, and it is online again.
    Refused = 5,
}

/// A step that failed, by its place, and what came of undoing those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub position: u16,
    pub direction: Direction,
    pub error: StepError,
    /// The step whose undoing failed in turn: the CPU stays there.
    pub undo: Option<(u16, StepError)>,
}

const PHASE_SHIFT: u32 = 28;
const DOWN: u32 = 1 << 24;
const NO_INSTANCE: u32 = 0xff;
/// Places are below 128: see [`MAX_STEPS`].
const NO_UNDO: u32 = 0xff;
const NOTED: u32 = 1 << 16;
const NOTED_DOWN: u32 = 1 << 17;
const _: () = assert!(MAX_STEPS + 2 < NO_UNDO as usize);

/// One CPU's part. Written by the side whose turn the phase says it is.
pub(crate) struct HotplugSlot {
    state: AtomicU32,
    order: RacedWord,
    /// [`NOTED`], the direction, and the positions of the step whose undoing failed (15:8) and of the one that failed (7:0).
    failed: AtomicU32,
    error: AtomicU32,
    undo_error: AtomicU32,
}

impl HotplugSlot {
    crate::sync::const_unless_loom! {
        pub(crate) fn new() -> Self {
            Self {
                state: AtomicU32::new(0),
                order: RacedWord::new(0),
                failed: AtomicU32::new(0),
                error: AtomicU32::new(0),
                undo_error: AtomicU32::new(0),
            }
        }
    }

    pub(super) fn state(&self) -> HotplugState {
        HotplugState(self.state.load(Ordering::Acquire) as u16)
    }

    pub(super) fn set_state(&self, state: HotplugState) {
        self.state.store(u32::from(state.0), Ordering::Release);
    }

    pub(super) fn phase(&self) -> Phase {
        match self.order.load(Ordering::Acquire) >> PHASE_SHIFT {
            0 => Phase::None,
            1 => Phase::Asked,
            2 => Phase::Running,
            3 => Phase::Done,
            4 => Phase::Failed,
            _ => Phase::Refused,
        }
    }

    /// Control CPU: gives an order, and forgets what came of earlier ones. False while the thread is at work on another.
    pub(super) fn ask(&self, order: Order) -> bool {
        let now = self.order.load(Ordering::Acquire);
        if matches!(self.phase(), Phase::Asked | Phase::Running) {
            return false;
        }
        let job = match order {
            Order::Walk(target) => NO_INSTANCE << 16 | u32::from(target.0),
            Order::Single { position, instance, direction } => {
                let down = if direction == Direction::Down { DOWN } else { 0 };
                down | u32::from(instance.number()) << 16 | u32::from(position)
            }
        };
        self.failed.store(0, Ordering::Relaxed);
        let asked = (Phase::Asked as u32) << PHASE_SHIFT | job;
        self.order.compare_exchange(now, asked, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Control CPU: takes an order back. False if it was begun.
    pub(super) fn withdraw(&self) -> bool {
        self.advance(Phase::Asked, Phase::None).is_some()
    }

    /// The CPU's thread: begins what it was asked for.
    pub(super) fn begin(&self) -> Option<Order> {
        self.advance(Phase::Asked, Phase::Running).map(Self::order_of)
    }

    /// What was asked for last.
    pub(super) fn order(&self) -> Order {
        Self::order_of(self.order.load(Ordering::Acquire))
    }

    fn order_of(job: u32) -> Order {
        let position = job as u16;
        let direction = if job & DOWN == 0 { Direction::Up } else { Direction::Down };
        match Instance::new((job >> 16) as u8) {
            Some(instance) => Order::Single { position, instance, direction },
            None => Order::Walk(HotplugState(position)),
        }
    }

    /// The CPU's thread: has done what it was asked for.
    pub(super) fn finish(&self, result: Result<(), Failure>) {
        let phase = match result {
            Ok(()) => Phase::Done,
            Err(failure) => {
                self.note(&failure);
                Phase::Failed
            }
        };
        self.advance(Phase::Running, phase);
    }

    /// The CPU: is online again, since it could not be switched off.
    pub(super) fn refuse(&self, code: i64) {
        self.error.store(code as u32, Ordering::Relaxed);
        self.undo_error.store((code >> 32) as u32, Ordering::Relaxed);
        self.advance(Phase::Running, Phase::Refused);
    }

    /// The CPU is off: what it was asked for is done.
    pub(super) fn end(&self) {
        self.order.store(0, Ordering::Release);
    }

    /// Keeps `failure` until it is taken.
    pub(super) fn note(&self, failure: &Failure) {
        let (undo, undo_error) = match failure.undo {
            Some((position, error)) => (u32::from(position), error.0),
            None => (NO_UNDO, 0),
        };
        let down = if failure.direction == Direction::Down { NOTED_DOWN } else { 0 };
        self.error.store(failure.error.0 as u32, Ordering::Relaxed);
        self.undo_error.store(undo_error as u32, Ordering::Relaxed);
        self.failed.store(NOTED | down | undo << 8 | u32::from(failure.position), Ordering::Release);
    }

    /// What was noted since the last time, once.
    pub(super) fn take_note(&self) -> Option<Failure> {
        let failed = self.failed.swap(0, Ordering::AcqRel);
        let undo = failed >> 8 & NO_UNDO;
        let undo_error = StepError(self.undo_error.load(Ordering::Relaxed) as i32);
        (failed & NOTED != 0).then(|| Failure {
            position: (failed & 0xff) as u16,
            direction: if failed & NOTED_DOWN == 0 { Direction::Up } else { Direction::Down },
            error: StepError(self.error.load(Ordering::Relaxed) as i32),
            undo: (undo != NO_UNDO).then_some((undo as u16, undo_error)),
        })
    }

    /// The code of an order that was [`Phase::Refused`].
    pub(super) fn refusal(&self) -> i64 {
        let high = self.undo_error.load(Ordering::Relaxed);
        i64::from(high as i32) << 32 | i64::from(self.error.load(Ordering::Relaxed))
    }

    fn advance(&self, from: Phase, to: Phase) -> Option<u32> {
        let job = 1 << PHASE_SHIFT;
        let word = self.order.load(Ordering::Acquire) & (job - 1);
        let (from, to) = ((from as u32) << PHASE_SHIFT | word, (to as u32) << PHASE_SHIFT | word);
        self.order.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).ok().map(|_| word)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn orders_and_failures_come_out_as_they_went_in() {
        let slot = HotplugSlot::new();
        let single = Order::Single { position: 9, instance: Instance::new(31).unwrap(), direction: Direction::Down };
        for order in [Order::Walk(HotplugState(0)), Order::Walk(HotplugState(66)), single] {
            assert!(slot.ask(order));
            assert!(!slot.ask(Order::Walk(HotplugState(1))), "there is one already");
            assert_eq!(slot.begin(), Some(order));
            assert!(!slot.withdraw());
            let undo = Some((3, StepError(-5)));
            let failure = Failure { position: 65, direction: Direction::Down, error: StepError(-22), undo };
            for failure in [failure, Failure { direction: Direction::Up, undo: None, ..failure }] {
                slot.note(&failure);
                assert_eq!(slot.take_note(), Some(failure));
                assert_eq!(slot.take_note(), None);
            }
            slot.finish(Err(failure));
            assert_eq!((slot.phase(), slot.take_note()), (Phase::Failed, Some(failure)));
        }
    }

    #[test]
    fn an_order_that_was_withdrawn_is_not_begun() {
        let slot = HotplugSlot::new();
        assert!(slot.ask(Order::Walk(HotplugState(3))));
        assert!(slot.withdraw());
        assert_eq!((slot.begin(), slot.phase()), (None, Phase::None));
    }

    #[test]
    fn a_refusal_keeps_all_its_bits() {
        for code in [-3, 0x1234_5678_9abc, i64::MIN, 3] {
            let slot = HotplugSlot::new();
            assert!(slot.ask(Order::Walk(HotplugState(0))));
            slot.begin();
            slot.refuse(code);
            assert_eq!((slot.phase(), slot.refusal()), (Phase::Refused, code));
        }
    }
}
