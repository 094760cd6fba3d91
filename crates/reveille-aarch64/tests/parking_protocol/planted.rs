//! Methods that make a mistake, each on the machines and in the scenarios of the library's own: some schedule notices.

use std::panic::{AssertUnwindSafe, catch_unwind};

use reveille::{CallError, ContextId, Cpu, EnableMethod, FirmwareState};
use reveille_aarch64::parking_protocol::{Mailbox, Parking};
use reveille_aarch64::pen::Pen;
use reveille_sim::{Builder, Hardware};

use crate::Simulated;
use crate::schedules::{
    Scenario, acknowledges_when_asked_again, never_acknowledges, on_machine, woken_without_a_reason,
};

/// What the method gets wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    Nothing,
    /// The id is written before the address.
    IdFirst,
    /// The CPU is interrupted while the writes are on their way.
    NotCompleted,
    /// The CPU is not interrupted.
    NotInterrupted,
    /// The mailbox is cleared at once, acknowledged or not.
    ClearedAtOnce,
    /// A CPU that was told to go is taken for one that has gone.
    TakenForOurs,
    /// A CPU that was told to go is told again.
    ToldAgain,
    /// The CPU finds nothing in the pen.
    NotReleased,
}
use Mistake::*;

/// The protocol as short as it can be, with a mistake.
struct Planted<'w, 'm> {
    machine: Simulated<'w, 'm>,
    mistake: Mistake,
}

impl Planted<'_, '_> {
    fn makes(&self, mistake: Mistake) -> bool {
        self.mistake == mistake
    }

    fn mailbox(&self, cpu: &Cpu) -> *mut Mailbox {
        self.machine.map(cpu.release_address.unwrap()).unwrap().as_ptr()
    }

    fn write(&self, cpu: &Cpu, change: impl FnOnce(&mut Mailbox)) {
        // SAFETY: nobody else touches a mailbox while the caller runs.
        change(unsafe { &mut *self.mailbox(cpu) });
        if !self.makes(NotCompleted) {
            self.machine.complete_writes();
        }
    }

    /// Whether firmware was not told yet, and whether it has not acknowledged.
    fn untold_and_pending(&self, cpu: &Cpu) -> (bool, bool) {
        // SAFETY: as above.
        let mailbox = unsafe { *self.mailbox(cpu) };
        (mailbox.cpu_id == Mailbox::NOBODY, mailbox.jump_address != 0)
    }
}

impl EnableMethod for Planted<'_, '_> {
    fn name(&self) -> &'static str {
        "parking-protocol"
    }

    fn cpu_prepare(&self, _: &Cpu) -> Result<(), CallError> {
        Ok(())
    }

    fn cpu_boot(&self, cpu: &Cpu, context: ContextId) -> Result<(), CallError> {
        let (untold, pending) = self.untold_and_pending(cpu);
        if !self.makes(NotReleased) {
            self.machine.release(cpu, context);
        }
        if untold || pending && self.makes(ToldAgain) {
            let id = |mailbox: &mut Mailbox| mailbox.cpu_id = cpu.acpi.unwrap().cpu_interface.to_le();
            let address = |mailbox: &mut Mailbox| mailbox.jump_address = Hardware::PEN.to_le();
            if self.makes(IdFirst) {
                self.write(cpu, id);
                self.write(cpu, address);
            } else {
                self.write(cpu, address);
                self.write(cpu, id);
            }
        }
        let calls = untold || pending && !self.makes(TakenForOurs);
        if calls && !self.makes(NotInterrupted) {
            self.machine.interrupt(cpu);
        }
        if calls && self.makes(ClearedAtOnce) {
            self.write(cpu, |mailbox| mailbox.jump_address = 0);
        }
        Ok(())
    }

    fn cpu_can_disable(&self, _: &Cpu) -> Result<(), CallError> {
        Ok(())
    }

    fn cpu_die(&self, _: &Cpu) -> i64 {
        self.machine.enter()
    }

    fn affinity_info(&self, cpu: &Cpu) -> FirmwareState {
        let (untold, pending) = self.untold_and_pending(cpu);
        if untold || pending { FirmwareState::Off } else { FirmwareState::Unknown }
    }
}

const SCENARIOS: [Scenario; 3] = [woken_without_a_reason, never_acknowledges, acknowledges_when_asked_again];
const SEEDS: u64 = 100;

/// What is said against a method with this mistake, by scenario and seed.
fn complaints(mistake: Mistake) -> Vec<String> {
    let runs = SCENARIOS.iter().flat_map(|&scenario| (0..SEEDS).map(move |seed| (scenario, seed)));
    runs.filter_map(|(scenario, seed)| {
        let method = |machine: Builder<'static>| {
            machine.parked(move |hardware| Box::new(Planted { machine: Simulated(hardware), mistake }))
        };
        let run = || on_machine(seed, method, scenario);
        let payload = catch_unwind(AssertUnwindSafe(run)).err()?;
        Some(payload.downcast_ref::<String>().cloned().unwrap_or_default())
    })
    .collect()
}

#[test]
fn a_method_without_a_mistake_passes() {
    assert_eq!(complaints(Nothing), [""; 0]);
}

#[test]
fn an_id_that_is_written_before_the_address_sends_a_cpu_astray() {
    let found = complaints(IdFirst);
    assert!(found.iter().any(|text| text.contains("jumps to 0x0, where there is nothing for it")), "{found:?}");
}

#[test]
fn writes_that_are_not_completed_are_missed() {
    let found = complaints(NotCompleted);
    assert!(!found.is_empty() && found.len() < SCENARIOS.len() * SEEDS as usize, "{}", found.len());
}

#[test]
fn a_missing_interrupt_leaves_cpus_with_firmware() {
    assert!(complaints(NotInterrupted).len() >= SEEDS as usize);
}

#[test]
fn a_mailbox_that_is_cleared_before_the_acknowledgement_sends_a_cpu_astray() {
    let found = complaints(ClearedAtOnce);
    assert!(found.iter().any(|text| text.contains("jumps to 0x0")), "{found:?}");
}

#[test]
fn a_cpu_that_is_not_waited_for_is_never_interrupted_again() {
    assert!(complaints(TakenForOurs).iter().any(|text| text.contains("StaysParked")));
}

#[test]
fn a_cpu_that_is_told_again_when_it_has_gone_seems_to_be_with_firmware() {
    let found = complaints(ToldAgain);
    assert!(found.iter().any(|text| text.contains("uses its memory, and it is prepared again")), "{found:?}");
}

#[test]
fn a_cpu_that_is_not_released_stays_in_the_pen() {
    assert_eq!(complaints(NotReleased).len(), SCENARIOS.len() * SEEDS as usize);
}
