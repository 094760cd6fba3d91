//! What a provider of PSCI keeps of the calls that it answered and of the CPUs that it let go, until there is a moment to write it:
//! firmware of a machine's CPUs, a hypervisor of a guest's.
//!
//! Any CPU adds to a [`Ring`] when something happens ([`Happened`]), without waiting for another; one at a time takes out and writes
//! ([`Happened::record`]). [`Pace`] says when: when nothing has happened for a while, or what is kept is old or much.

#![no_std]
#![forbid(unsafe_code)]

mod pace;
mod ring;

use psci_server::{Answer, Entry, answer_name, function_name};
use reveille_trace_format::Record;

pub use pace::Pace;
pub use ring::{Ring, Slot};

/// What happened on a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Happened {
    /// The counter then.
    pub ticks: u64,
    /// The CPU.
    pub cpu: usize,
    /// What.
    pub what: What,
}

/// One of the things that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A call, and X0 as it was answered, if it was.
    Called {
        /// The call.
        call: Call,
        /// X0.
        code: Option<u64>,
    },
    /// The CPU was let go.
    Entered(Entry),
}

/// A call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// X0 to X3.
    pub registers: [u64; 4],
    /// The CPU that it is about.
    pub target: Option<usize>,
    /// Whether it was made to go wrong.
    pub faulty: bool,
}

/// Whose CPUs they are, for [`Happened::record`].
#[derive(Clone, Copy, Debug)]
pub struct Whose<'a> {
    /// The guest's number; `None` for the CPUs of the machine.
    pub guest: Option<u32>,
    /// What the hardware calls its CPUs.
    pub ids: &'a [u64],
    /// The exception level that they are let go to.
    pub level: u8,
}

impl Happened {
    /// A call of `cpu` at `ticks`, and its answer.
    #[must_use]
    #[inline]
    pub const fn called(cpu: usize, ticks: u64, call: Call, answer: Answer) -> Self {
        let code = if let Answer::Return(value) = answer { Some(value) } else { None };
        Self { ticks, cpu, what: What::Called { call, code } }
    }

    /// That `cpu` was let go at `ticks`.
    #[must_use]
    pub const fn entered(cpu: usize, ticks: u64, entry: Entry) -> Self {
        Self { ticks, cpu, what: What::Entered(entry) }
    }

    /// What the host is told of it. `ns` is [`Happened::ticks`] in nanoseconds.
    #[must_use]
    pub fn record(&self, ns: u64, whose: &Whose<'_>) -> Record<&'static str> {
        let (guest, cpu) = (whose.guest, self.cpu as u32);
        match self.what {
            What::Called { call, code } => {
                let [x0, arguments @ ..] = call.registers;
                let id = x0 as u32;
                Record::Call {
                    guest,
                    cpu,
                    ns,
                    id,
                    function: function_name(id).unwrap_or("unknown"),
                    arguments,
                    target: call.target.map(|target| target as u32),
                    code: code.map(|code| code as i64),
                    code_name: code.and_then(|code| answer_name(id, code)),
                    faulty: call.faulty,
                }
            }
            What::Entered(entry) => {
                let hw_id = whose.ids.get(self.cpu).copied().unwrap_or_default();
                Record::Entered { guest, cpu, ns, hw_id, address: entry.address, level: whose.level }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_of_a_guest_is_told_with_its_names_and_with_whose_it_is() {
        let call = Call { registers: [0xc400_0003, 0x101, 0x4020_0000, 7], target: Some(17), faulty: false };
        let happened = Happened::called(2, 5, call, Answer::Return(-4_i64 as u64));
        let whose = Whose { guest: Some(1), ids: &[0, 1, 2], level: 1 };
        let Record::Call { guest, cpu, ns, function, arguments, target, code, code_name, .. } =
            happened.record(80, &whose)
        else {
            panic!("a call is told as a call");
        };
        assert_eq!((guest, cpu, ns, function, target), (Some(1), 2, 80, "CPU_ON", Some(17)));
        assert_eq!((arguments, code, code_name), ([0x101, 0x4020_0000, 7], Some(-4), Some("ALREADY_ON")));
    }

    #[test]
    fn a_call_without_return_has_no_code() {
        let call = Call { registers: [0x8400_0002, 0, 0, 0], target: None, faulty: false };
        let record = Happened::called(0, 5, call, Answer::Off).record(1, &Whose { guest: None, ids: &[], level: 2 });
        assert!(matches!(record, Record::Call { function: "CPU_OFF", code: None, code_name: None, .. }));
    }

    #[test]
    fn an_entry_is_told_with_the_hardwares_name_of_its_cpu() {
        let happened = Happened::entered(1, 5, Entry { address: 0x4020_0000, context_id: 9 });
        let record = happened.record(80, &Whose { guest: None, ids: &[0, 0x100], level: 2 });
        let expected = Record::Entered { guest: None, cpu: 1, ns: 80, hw_id: 0x100, address: 0x4020_0000, level: 2 };
        assert_eq!(record, expected);
    }
}
