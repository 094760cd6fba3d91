//! Reads a line that was typed.

use alloc::format;
use alloc::string::String;

use reveille::hotplug::HotplugState;
use reveille::{CpuIndex, CpuMask};
use reveille_runtime::console::command::{Words, cpu, unknown};
use reveille_runtime::cpus::SMP;

use crate::hotplug::hotplug;

/// What the commands are.
pub const HELP: &str = "\
cpu list               the CPUs: hardware id, masks, hotplug state, last error
cpu on N               bring CPU N up
cpu off N              take CPU N down
cpu state N            the hotplug state of CPU N
cpu state N STATE      take CPU N up or down to a state, by its number or name
steps                  the states, and the steps that lead to them
ipi N | ipi all        interrupt a CPU, or all that are online, and time the answer
trace [N]              the trace of the boot on CPU N, or on the boot CPU
freeze                 take down all CPUs but the boot CPU, and let none come or go
thaw                   bring back those that were frozen
help                   this
exit                   end the run";

/// What a line asks for.
#[derive(Clone, Debug)]
pub enum Command {
    Nothing,
    List,
    On(CpuIndex),
    Off(CpuIndex),
    State(CpuIndex),
    SetState(CpuIndex, HotplugState),
    Freeze,
    Thaw,
    Steps,
    Trace(CpuIndex),
    Interrupt(CpuMask),
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
        let command = Self::read_words(&mut words)?;
        words.end().map(|()| command)
    }

    fn read_words(words: &mut Words<'_>) -> Result<Self, String> {
        let Some(verb) = words.next() else { return Ok(Self::Nothing) };
        Ok(match verb {
            "cpu" => return Self::read_cpu(words),
            "steps" => Self::Steps,
            "ipi" => Self::Interrupt(cpus(words)?),
            "trace" => Self::Trace(words.next().map_or(Ok(CpuIndex::BOOT), cpu)?),
            "freeze" => Self::Freeze,
            "thaw" => Self::Thaw,
            "help" => Self::Help,
            "exit" => Self::Exit,
            _ => return Err(unknown(verb)),
        })
    }

    fn read_cpu(words: &mut Words<'_>) -> Result<Self, String> {
        let verb = words.next().ok_or("cpu what? list, on, off or state")?;
        if verb == "list" {
            return Ok(Self::List);
        }
        let command: fn(CpuIndex) -> Self = match verb {
            "on" => Self::On,
            "off" => Self::Off,
            "state" => Self::State,
            _ => return Err(unknown(&format!("cpu {verb}"))),
        };
        let cpu = cpu(words.next().ok_or_else(|| format!("cpu {verb} takes the number of a CPU"))?)?;
        match words.peek().filter(|_| verb == "state") {
            Some(word) => {
                words.next();
                Ok(Self::SetState(cpu, state(word)?))
            }
            None => Ok(command(cpu)),
        }
    }
}

/// A CPU, or all that are online.
fn cpus(words: &mut Words<'_>) -> Result<CpuMask, String> {
    match words.next() {
        Some("all") => Ok(SMP.masks.online.snapshot()),
        Some(word) => Ok([cpu(word)?].into_iter().collect()),
        None => Err(String::from("ipi takes the number of a CPU, or all")),
    }
}

/// A state, by its number or its name. Whether a CPU can be held there is hotplug's to say.
fn state(word: &str) -> Result<HotplugState, String> {
    let steps = hotplug().steps();
    if let Ok(number) = word.parse() {
        return Ok(HotplugState(number));
    }
    let mut states = (0..=steps.online().0).map(HotplugState);
    states.find(|&state| steps.name(state) == word).ok_or_else(|| format!("'{word}' is no state; steps lists them"))
}
