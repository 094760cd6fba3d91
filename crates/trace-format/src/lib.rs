//! What an image tells the host over its console, beside what it prints for people.
//!
//! A [`Record`] is one line: the character RS (0x1E), JSON, a line feed (RFC 7464, "JSON text sequences"), so that records and
//! text can share one console and a terminal shows both. Images write them with [`write_record`] (`no_std`, no allocator);
//! hosts read them with `decode` (feature `decode`).
//!
//! Firmware has a serial line of its own, and writes [`Record::Boot`], a [`Record::FirmwareCpu`] for each CPU, and from then on a
//! [`Record::Call`] for each call of what it booted and a [`Record::Entered`] for each CPU that it let go, in the order in which they
//! happened on each CPU. There is no end: a stage below that hangs leaves what it called until then. A hypervisor tells the same of its
//! guests' CPUs on its console, each record with the guest's number, between a [`Record::Guest`] and a [`Record::GuestEnded`].

#![no_std]
#![forbid(unsafe_code)]

use core::fmt;

use serde::{Deserialize, Serialize};

/// The version of the records and of the report made from them. A host refuses others.
pub const SCHEMA: u32 = 1;

/// The character that begins a record: RS.
pub const RECORD_SEPARATOR: char = '\x1e';

/// The longest record, in bytes.
pub const MAX_RECORD: usize = 1024;

/// What an image prints when it waits for a command to be typed: the beginning of a line.
pub const PROMPT: &str = "reveille> ";

/// One thing that an image tells the host. `S` is `&str` where it is written and `String` where it is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record<S> {
    /// An image has begun to run. The first record of every stage.
    Boot {
        /// [`SCHEMA`].
        schema: u32,
        /// Which image: `kernel`, `firmware`.
        image: S,
        /// Its version.
        version: S,
        /// The exception level at which it was entered (arm64: 1 to 3); `None` where the machine has none.
        entry_level: Option<u8>,
        /// The boot CPU's hardware id.
        boot_hw_id: u64,
        /// Where the image's time begins: its 0 ns, in nanoseconds of the counter that all stages of a machine share (arm64: CNTPCT).
        /// `None` where there is no such counter.
        counter_ns: Option<u64>,
    },
    /// What became of a CPU.
    Cpu {
        /// Its logical number.
        index: u32,
        /// What the hardware calls it.
        hw_id: u64,
        /// Whether it can ever come up.
        possible: bool,
        /// Whether its method can start it.
        present: bool,
        /// Whether it takes interrupts and work.
        online: bool,
        /// Whether threads are scheduled on it.
        active: bool,
        /// What became of it.
        outcome: Outcome,
        /// Why, where it is not online.
        reason: Option<S>,
        /// How many of its events were lost for want of room.
        lost_events: u32,
    },
    /// A CPU that the machine's description names and that could not be used.
    LeftOut {
        /// The name of its node.
        node: S,
        /// Its hardware id, where one could be read.
        hw_id: Option<u64>,
        /// Why.
        reason: S,
        /// Whether the description is at fault, rather than someone having asked for fewer CPUs.
        fault: bool,
    },
    /// An event of a CPU's trace.
    Event {
        /// The logical number of the CPU that it happened on.
        cpu: u32,
        /// Nanoseconds since the image was entered.
        ns: u64,
        /// Begin or end of a span, or one moment.
        phase: Phase,
        /// The function of the followed system, or [`KICK`], [`ONLINE`] or [`ACTIVE`].
        name: S,
        /// The CPU that it was done to, where it was another.
        target: Option<u32>,
    },
    /// A check that the CPUs which came up really work.
    Proof {
        /// What was checked.
        name: S,
        /// Whether it held on every CPU.
        passed: bool,
        /// The figures, or what went wrong.
        detail: S,
    },
    /// A CPU of the machine, under the number by which the firmware's other records name it: that of its place in the devicetree,
    /// from 0, which is the boot CPU.
    FirmwareCpu {
        /// The guest whose CPU it is, of a hypervisor that tells this of its guests; `None` for a CPU of the machine.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        guest: Option<u32>,
        /// The number.
        cpu: u32,
        /// What the hardware calls it.
        hw_id: u64,
    },
    /// A call that the firmware answered, or from which there is no return.
    Call {
        /// The guest whose CPU it is, of a hypervisor that tells this of its guests; `None` for a CPU of the machine.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        guest: Option<u32>,
        /// The CPU that called.
        cpu: u32,
        /// Nanoseconds of the shared counter when the call reached the firmware.
        ns: u64,
        /// The function id: W0.
        id: u32,
        /// The specification's name of the function, without what tells a 32-bit call from a 64-bit call; `unknown` where it has none.
        function: S,
        /// X1 to X3.
        arguments: [u64; 3],
        /// The CPU that the call is about, where it names one (CPU_ON, AFFINITY_INFO).
        target: Option<u32>,
        /// X0 as it was answered; `None` where the call does not return.
        code: Option<i64>,
        /// What the specification calls this answer, where it has a word for it: `SUCCESS`, `ALREADY_ON`, and for AFFINITY_INFO `OFF`.
        code_name: Option<S>,
        /// Whether the firmware was told to misbehave, and did so in this call.
        faulty: bool,
    },
    /// A CPU leaves the firmware for the stage below: its first instruction there is next.
    Entered {
        /// The guest whose CPU it is, of a hypervisor that tells this of its guests; `None` for a CPU of the machine.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        guest: Option<u32>,
        /// The CPU.
        cpu: u32,
        /// Nanoseconds of the shared counter.
        ns: u64,
        /// Its hardware id.
        hw_id: u64,
        /// The physical address of that instruction.
        address: u64,
        /// The exception level.
        level: u8,
    },
    /// Calls and entries that the firmware had no room for, since the record before this one.
    Lost {
        /// The guest whose CPU it is, of a hypervisor that tells this of its guests; `None` for a CPU of the machine.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        guest: Option<u32>,
        /// How many.
        count: u32,
    },
    /// A hypervisor is about to start a guest. What its vCPUs call and when they enter is told as firmware tells it of CPUs, with its
    /// number, between other records.
    Guest {
        /// Its number, from 0.
        guest: u32,
        /// Its name.
        name: S,
    },
    /// A guest has ended.
    GuestEnded {
        /// Its number.
        guest: u32,
        /// Nanoseconds of the shared counter.
        ns: u64,
        /// Whether it ended as a system does that is done: it switched itself off.
        well: bool,
        /// How, in words that follow the guest's name.
        how: S,
    },
    /// The image is done. The last record of a stage.
    Done {
        /// How many CPUs were asked for, the boot CPU included.
        asked: u32,
        /// How many of these are online.
        online: u32,
        /// Nanoseconds of work for the bring-up before the first kick.
        prepare_ns: u64,
        /// Nanoseconds from the first kick to the last event [`ONLINE`] or [`ACTIVE`] (0 if none was kicked or none came).
        bringup_ns: u64,
        /// Whether every proof passed.
        passed: bool,
    },
    /// The run ends, of an image that has no other way to tell the host how. The last one counts.
    Exit {
        /// 0 if all went well.
        status: u8,
    },
}

impl<S> Record<S> {
    /// The guest that it is about, where a hypervisor tells it of one.
    pub fn guest(&self) -> Option<u32> {
        match self {
            Self::FirmwareCpu { guest, .. }
            | Self::Call { guest, .. }
            | Self::Entered { guest, .. }
            | Self::Lost { guest, .. } => *guest,
            Self::Guest { guest, .. } | Self::GuestEnded { guest, .. } => Some(*guest),
            _ => None,
        }
    }
}

/// The name of the event on the control CPU at which a CPU is kicked; its target is that CPU.
pub const KICK: &str = "kick";
/// The name of the event on a CPU from which on it is online.
pub const ONLINE: &str = "online";
/// The name of the event on a CPU from which on all steps of its way up are done, where a system has steps after [`ONLINE`].
pub const ACTIVE: &str = "active";

/// Whether an event begins or ends a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// A function is entered.
    Begin,
    /// The innermost function that was entered is left.
    End,
    /// Something happened at one moment.
    Instant,
}

/// What became of a CPU, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is online.
    Online,
    /// Nobody asked for it.
    NotAsked,
    /// It was never started: an operation failed.
    Failed,
    /// It was started and never arrived.
    TimedOut,
    /// It arrived and did not get as far as online.
    Stuck,
}

/// Why a record was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// It is longer than [`MAX_RECORD`].
    TooLong,
    /// The console did not take it.
    Console,
}

/// Writes `record` as one line to `console`.
///
/// # Errors
/// [`WriteError`]; nothing was written where the record was [`WriteError::TooLong`].
pub fn write_record(console: &mut dyn fmt::Write, record: &Record<&str>) -> Result<(), WriteError> {
    let mut buffer = [0; MAX_RECORD];
    let length = serde_json_core::to_slice(record, &mut buffer).map_err(|_| WriteError::TooLong)?;
    let json = core::str::from_utf8(&buffer[..length]).map_err(|_| WriteError::TooLong)?;
    writeln!(console, "{RECORD_SEPARATOR}{json}").map_err(|_| WriteError::Console)
}

#[cfg(any(feature = "decode", test))]
mod decode {
    extern crate std;

    use std::string::String;

    use super::{RECORD_SEPARATOR, Record};

    /// Reads the record in a line of console output. `None` for lines that are text, and for records that were cut short or
    /// mixed with text: what a dying image leaves behind is shown as it is.
    #[must_use]
    pub fn decode(line: &str) -> Option<Record<String>> {
        serde_json::from_str(line.strip_prefix(RECORD_SEPARATOR)?.trim_end()).ok()
    }
}
#[cfg(any(feature = "decode", test))]
pub use decode::decode;

#[cfg(test)]
mod tests {
    extern crate std;

    use proptest::prelude::*;
    use std::string::{String, ToString};

    use super::*;

    #[test]
    fn a_record_is_one_line() {
        let mut line = String::new();
        let record = Record::Event { cpu: 1, ns: 5, phase: Phase::Begin, name: "secondary_entry", target: None };
        write_record(&mut line, &record).unwrap();
        assert_eq!(
            line,
            "\x1e{\"event\":{\"cpu\":1,\"ns\":5,\"phase\":\"begin\",\"name\":\"secondary_entry\",\"target\":null}}\n"
        );
    }

    #[test]
    fn a_call_is_read_as_it_is_written_whatever_was_passed() {
        let call = |function, code_name| Record::Call {
            guest: None,
            cpu: 511,
            ns: u64::MAX,
            id: 0xc400_0003,
            function,
            arguments: [u64::MAX; 3],
            target: Some(3),
            code: Some(-9),
            code_name: Some(code_name),
            faulty: false,
        };
        let mut line = String::new();
        write_record(&mut line, &call("CPU_ON", "INVALID_ADDRESS")).unwrap();
        let Some(Record::Call { arguments, code, code_name, .. }) = decode(&line) else { panic!("{line}") };
        assert_eq!((arguments, code, code_name.as_deref()), ([u64::MAX; 3], Some(-9), Some("INVALID_ADDRESS")));
    }

    #[test]
    fn an_older_image_that_does_not_say_where_its_time_begins_is_understood() {
        let line =
            "\x1e{\"boot\":{\"schema\":1,\"image\":\"kernel\",\"version\":\"0\",\"entry_level\":1,\"boot_hw_id\":0}}";
        assert!(matches!(decode(line), Some(Record::Boot { counter_ns: None, .. })));
    }

    #[test]
    fn what_is_not_of_a_guest_names_none() {
        let mut line = String::new();
        write_record(&mut line, &Record::Lost { guest: None, count: 3 }).unwrap();
        assert_eq!(line, "\x1e{\"lost\":{\"count\":3}}\n");
        assert_eq!(decode(&line), Some(Record::Lost { guest: None, count: 3 }));
        line.clear();
        write_record(&mut line, &Record::Lost { guest: Some(1), count: 3 }).unwrap();
        assert_eq!(decode(&line), Some(Record::Lost { guest: Some(1), count: 3 }));
    }

    #[test]
    fn text_and_broken_records_are_not_records() {
        for line in ["", "hello", "{\"event\":{}}", "\x1e{\"event\":{\"cpu\":1,", "\x1e{\"nonsense\":{}}"] {
            assert_eq!(decode(line), None, "{line:?}");
        }
    }

    #[test]
    fn a_record_that_is_too_long_is_refused() {
        let long = "x".repeat(MAX_RECORD);
        let record = Record::Proof { name: "ipi", passed: true, detail: long.as_str() };
        let mut line = String::new();
        assert_eq!(write_record(&mut line, &record), Err(WriteError::TooLong));
        assert_eq!(line, "");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(node in "\\PC{0,40}", reason in ".{0,40}", hw_id: Option<u64>, fault: bool) {
            let mut line = String::new();
            let record = Record::LeftOut { node: node.as_str(), hw_id, reason: reason.as_str(), fault };
            write_record(&mut line, &record).unwrap();
            prop_assert_eq!(line.lines().count(), 1);
            let expected = Record::LeftOut { node: node.to_string(), hw_id, reason: reason.to_string(), fault };
            prop_assert_eq!(decode(&line), Some(expected));
        }
    }
}
