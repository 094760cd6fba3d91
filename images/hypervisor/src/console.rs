//! The console: who gets what is typed, and the hypervisor's own commands.
//!
//! It is guest 0's at first. Ctrl-A three times gives it to the next guest that runs, behind the last one to the hypervisor, and then to the
//! first again, as Xen does. [`command`] reads a line that is the hypervisor's, [`guests`] does what it asks.

mod command;
mod guests;

use alloc::string::String;
use core::mem;

use command::Command;
use dtoolkit::fdt::Fdt;
use reveille::CpuIndex;
use reveille_runtime::console::{self, Line, Typed, cpus};
use reveille_runtime::{clock, devicetree, println, thread};

use crate::domains::{self, Domain, life_cycle};
use crate::guest::output::{self, say};
use crate::hotplug;

/// What is typed to switch the input, Ctrl-A, and how often.
const SWITCH: u8 = 0x01;
const TIMES: usize = 3;

/// Has the console be read, for the first guest that runs or is about to.
///
/// # Errors
/// There is no room for its thread.
pub fn init(fdt: &Fdt<'_>) -> Result<(), &'static str> {
    let interrupt = devicetree::console_interrupt(fdt);
    if let Err(reason) = interrupt.and_then(|interrupt| console::init_input(interrupt, CpuIndex::BOOT)) {
        println!("The console is looked at now and then: {reason}");
    }
    let mut console = Console::default();
    console.give_to(domains::all().iter().find(|domain| runs(domain)));
    thread::spawn("console", CpuIndex::BOOT, || console.listen()).map(|_| ())
}

/// What is known of what is typed.
#[derive(Default)]
struct Console {
    /// The guest that gets it; without one it is the hypervisor's.
    guest: Option<&'static Domain>,
    /// How often in a row [`SWITCH`] was typed.
    switches: usize,
    /// What was typed for the hypervisor.
    line: Line,
}

impl Console {
    fn listen(mut self) -> ! {
        loop {
            // It waits for a person, and looks after what guests print meanwhile.
            let looks_after = output::are_several() || self.guest.is_none();
            let deadline = if looks_after { clock::ticks_after(output::PATIENCE) } else { u64::MAX };
            match console::wait_for_byte(deadline) {
                Ok(SWITCH) => {
                    self.switches += 1;
                    if self.switches == TIMES {
                        self.switches = 0;
                        self.give_to_next();
                    }
                }
                Ok(byte) => {
                    (0..mem::take(&mut self.switches)).for_each(|_| self.take(SWITCH));
                    self.take(byte);
                }
                Err(_) => output::show_begun(self.guest.is_none().then(|| self.line.text())),
            }
        }
    }

    /// Gives the input to the guest behind the one that has it.
    fn give_to_next(&mut self) {
        let behind = |domain: &&Domain| self.guest.is_none_or(|guest| domain.number > guest.number);
        self.give_to(domains::all().iter().filter(behind).find(|domain| runs(domain)));
    }

    fn give_to(&mut self, guest: Option<&'static Domain>) {
        self.guest = guest;
        self.line = Line::default();
        match guest {
            Some(guest) => say(format_args!(
                "*** Input to guest {} ({}); Ctrl-A three times switches it",
                guest.number,
                guest.name()
            )),
            None => {
                say(format_args!(
                    "*** Input to the hypervisor; help lists its commands, Ctrl-A three times switches it"
                ));
                output::show_typed("", "");
            }
        }
    }

    /// Takes a byte for whoever has the input.
    fn take(&mut self, byte: u8) {
        let Some(domain) = self.guest else { return self.edit(byte) };
        match domain.guest() {
            Some(guest) => guest.type_byte(byte),
            // A guest that is being made has nobody yet who listens.
            None if domain.past().is_none() => {}
            None => {
                say(format_args!("Guest {} ({}) is off", domain.number, domain.name()));
                self.give_to(None);
            }
        }
    }

    /// Takes a byte of a command.
    fn edit(&mut self, byte: u8) {
        let before = String::from(self.line.text());
        match self.line.take(byte) {
            Typed::Echo(character) => output::show_typed(&before, character.encode_utf8(&mut [0; 4])),
            Typed::Erase => output::show_typed(&before, "\u{8} \u{8}"),
            Typed::Nothing => {}
            Typed::End => {
                output::show_typed(&before, "");
                output::end_typed();
                self.line = Line::default();
                // Line by line: interrupts are masked meanwhile.
                run(&before).lines().for_each(|line| say(format_args!("{line}")));
                output::show_typed("", "");
            }
        }
    }
}

/// Whether the guest is on, or about to be.
fn runs(domain: &Domain) -> bool {
    domain.past().is_none()
}

/// Does what `line` says: the answer.
fn run(line: &str) -> String {
    match Command::read(line) {
        Ok(Command::Nothing) => String::new(),
        Ok(Command::List) => guests::list(),
        Ok(Command::Start(domain)) => guests::start(domain),
        Ok(Command::Stop(domain)) => guests::stop(domain),
        Ok(Command::Reset(domain)) => guests::reset(domain),
        Ok(Command::Vcpus(domain)) => guests::vcpus(domain),
        Ok(Command::Cpus) => cpus::list(),
        Ok(Command::CpuOn(cpu)) => cpus::request(cpu, || hotplug::cpu_up(cpu).result.map(|()| None)),
        Ok(Command::CpuOff(cpu)) => cpus::request(cpu, || hotplug::cpu_down(cpu).result),
        Ok(Command::Help) => String::from(command::HELP),
        Ok(Command::Exit) => life_cycle::exit_from_console(),
        Err(misuse) => misuse,
    }
}
