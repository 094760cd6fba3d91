//! Machines whose CPUs wait at mailboxes. The library's method for them is tested on such machines in `reveille-aarch64`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use reveille::{CallError, ContextId, Cpu, EnableMethod};
use reveille_sim::{Boot, Hardware, Machine, ParkedFault};

/// The shortest method: sends CPUs to `target`.
struct Method<'w, 'm> {
    hardware: Hardware<'w, 'm>,
    target: u64,
}

impl EnableMethod for Method<'_, '_> {
    fn name(&self) -> &'static str {
        "parking-protocol"
    }

    fn cpu_prepare(&self, _: &Cpu) -> Result<(), CallError> {
        Ok(())
    }

    fn cpu_boot(&self, cpu: &Cpu, context: ContextId) -> Result<(), CallError> {
        let mailbox = self.hardware.mailbox(cpu.release_address.unwrap()).unwrap().as_ptr();
        let interface = cpu.acpi.unwrap().cpu_interface;
        self.hardware.release(cpu.index, context);
        // SAFETY: the mailbox has 16 bytes, is aligned to 8 of them, and nobody else touches it now.
        unsafe {
            mailbox.add(8).cast::<u64>().write_volatile(self.target.to_le());
            mailbox.cast::<u32>().write_volatile(interface.to_le());
        }
        self.hardware.complete_writes();
        self.hardware.interrupt(interface);
        Ok(())
    }
}

fn boot(seed: u64, target: u64, fault: Option<(usize, ParkedFault)>) -> Result<Boot, String> {
    let mut machine = Machine::builder(4).seed(seed).parked(move |hardware| Box::new(Method { hardware, target }));
    if let Some((cpu, fault)) = fault {
        machine = machine.parked_fault(cpu, fault);
    }
    let run = AssertUnwindSafe(|| machine.build().run(|control| control.boot()).value);
    catch_unwind(run).map_err(|payload| payload.downcast_ref::<String>().cloned().unwrap_or_default())
}

#[test]
fn parked_cpus_come_up() {
    for seed in 0..100 {
        assert_eq!(boot(seed, Hardware::PEN, None).unwrap().online(), 4, "seed {seed}");
    }
}

#[test]
fn one_that_interrupts_do_not_reach_stays_parked() {
    let boot = boot(0, Hardware::PEN, Some((2, ParkedFault::StaysParked))).unwrap();
    assert_eq!(boot.online(), 3);
    assert_eq!(boot.outcomes[2].to_string(), "never arrived (firmware cannot be asked)");
}

#[test]
fn cpus_that_are_sent_where_nothing_is_are_found() {
    let found = boot(7, 0x1000, Some((3, ParkedFault::Spurious))).unwrap_err();
    assert!(found.contains("jumps to 0x1000, where there is nothing for it"), "{found}");
    assert!(found.contains("seed 7, faults: CPU 3 Spurious") && found.contains("mailbox_acknowledged"), "{found}");
}
