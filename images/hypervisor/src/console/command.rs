//! Reads a line that was typed for the hypervisor.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use reveille::CpuIndex;
use reveille_runtime::console::command::{Words, cpu, unknown};

use crate::domains::{self, Domain};

/// What the commands are.
pub const HELP: &str = "\
guest list             the guests, and the memory that is free
guest start N          make guest N anew, and have it begin
guest stop N           end guest N, and take back all that it has
guest reset N          end guest N, and start it again
guest vcpus [N]        the vCPUs of guest N, or of all guests
cpu list               the CPUs of the machine: hardware id, masks, hotplug state, last error
cpu on N               bring CPU N up
cpu off N              take CPU N down; its vCPUs go on elsewhere
help                   this
exit                   end the run
Ctrl-A three times     type for the next guest";

/// What a line asks for.
#[derive(Clone, Copy)]
pub enum Command {
    Nothing,
    List,
    Start(&'static Domain),
    Stop(&'static Domain),
    Reset(&'static Domain),
    Vcpus(Option<&'static Domain>),
    Cpus,
    CpuOn(CpuIndex),
    CpuOff(CpuIndex),
    Help,
    Exit,
}

impl Command {
    /// Reads `line`.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn read(line: &str) -> Result<Self, String> {
        let mut words = Words::of(line);
        let command = match words.next() {
            None => Self::Nothing,
            Some("guest") => Self::read_guest(&mut words)?,
            Some("cpu") => Self::read_cpu(&mut words)?,
            Some("help") => Self::Help,
            Some("exit") => Self::Exit,
            Some(verb) => return Err(unknown(verb)),
        };
        words.end().map(|()| command)
    }

    fn read_guest(words: &mut Words<'_>) -> Result<Self, String> {
        let verb = words.next().ok_or("guest what? list, start, stop, reset or vcpus")?;
        let command: fn(&'static Domain) -> Self = match verb {
            "list" => return Ok(Self::List),
            "vcpus" => return Ok(Self::Vcpus(words.next().map(guest).transpose()?)),
            "start" => Self::Start,
            "stop" => Self::Stop,
            "reset" => Self::Reset,
            _ => return Err(unknown(&format!("guest {verb}"))),
        };
        let word = words.next().ok_or_else(|| format!("guest {verb} takes the number of a guest"))?;
        guest(word).map(command)
    }

    fn read_cpu(words: &mut Words<'_>) -> Result<Self, String> {
        let verb = words.next().ok_or("cpu what? list, on or off")?;
        let command: fn(CpuIndex) -> Self = match verb {
            "list" => return Ok(Self::Cpus),
            "on" => Self::CpuOn,
            "off" => Self::CpuOff,
            _ => return Err(unknown(&format!("cpu {verb}"))),
        };
        let word = words.next().ok_or_else(|| format!("cpu {verb} takes the number of a CPU"))?;
        cpu(word).map(command)
    }
}

fn guest(word: &str) -> Result<&'static Domain, String> {
    let number = word.parse().map_err(|_| format!("'{word}' is no number of a guest"))?;
    domains::get(number).ok_or_else(|| {
        let all: Vec<String> = domains::all().iter().map(|domain| domain.number.to_string()).collect();
        format!("there is no guest {number}; there is guest {}", all.join(", "))
    })
}
