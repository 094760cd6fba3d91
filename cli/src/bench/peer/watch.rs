//! Looks for a peer's phase on its console.

use std::ops::ControlFlow;
use std::time::Duration;

use super::kinds::{Ends, Kind};

/// What was seen of a peer's phase.
pub struct Watch {
    kind: &'static Kind,
    cpus: u32,
    begin: Option<Duration>,
    end: Option<Duration>,
    /// How many of its CPUs have said that they are up.
    up: u32,
    last_line: Option<String>,
}

impl Watch {
    pub fn new(kind: &'static Kind, cpus: u32) -> Self {
        Self { kind, cpus, begin: None, end: None, up: 0, last_line: None }
    }

    /// Takes a line, which the host saw at `seen`. Breaks off when no more lines are needed.
    pub fn see(&mut self, line: &str, seen: Duration) -> ControlFlow<()> {
        if !line.trim().is_empty() {
            self.last_line = Some(line.trim().to_owned());
        }
        let time = if self.kind.time_stamps { time_stamp(line) } else { Some(seen) };
        if line.contains(self.kind.begin) {
            self.begin = self.begin.or(time);
        }
        if self.begin.is_none() || !line.contains(self.kind.end) {
            return ControlFlow::Continue(());
        }
        self.up += match self.kind.ends {
            Ends::Once => named_cpus(line).unwrap_or(0).saturating_sub(1),
            Ends::ForEachCpu => 1,
        };
        let is_last = self.kind.ends == Ends::Once || self.up == self.cpus - 1;
        if !is_last {
            return ControlFlow::Continue(());
        }
        self.end = time;
        ControlFlow::Break(())
    }

    /// The nanoseconds of the phase, or what is wrong with the console.
    pub fn phase(&self) -> Result<u64, String> {
        let Kind { begin, end, .. } = self.kind;
        let last = || match &self.last_line {
            Some(line) => format!("its last line is {line:?}"),
            None => "it shows nothing at all".to_owned(),
        };
        let Some(from) = self.begin else {
            return Err(format!("its console does not show {begin:?}, with which the bring-up begins; {}", last()));
        };
        let expected = self.cpus - 1;
        if self.up != expected && (self.end.is_some() || self.kind.ends == Ends::ForEachCpu) {
            return Err(format!("by its console it brought up {} CPUs instead of {expected}; {}", self.up, last()));
        }
        let Some(until) = self.end else {
            return Err(format!("its console does not show {end:?}, with which the bring-up ends; {}", last()));
        };
        let phase = until.checked_sub(from).and_then(|phase| u64::try_from(phase.as_nanos()).ok());
        phase.ok_or_else(|| format!("its time stamps go back; {}", last()))
    }
}

/// The number before `CPU` or `CPUs`.
fn named_cpus(line: &str) -> Option<u32> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let position = words.iter().rposition(|word| word.starts_with("CPU"))?;
    words.get(position.checked_sub(1)?)?.parse().ok()
}

/// The time in `[    0.123456]`, wherever it stands in a line.
fn time_stamp(line: &str) -> Option<Duration> {
    let (_, rest) = line.split_once('[')?;
    let (time, _) = rest.split_once(']')?;
    let seconds: f64 = time.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::super::kinds::KINDS;
    use super::*;

    fn watch(name: &str, cpus: u32, lines: &[(&str, u64)]) -> Result<u64, String> {
        watch_beside("virt", name, cpus, lines)
    }

    fn watch_beside(machine: &str, name: &str, cpus: u32, lines: &[(&str, u64)]) -> Result<u64, String> {
        let kind = KINDS.iter().find(|kind| kind.name == name && kind.beside == machine).unwrap();
        let mut watch = Watch::new(kind, cpus);
        let seen = lines.iter().position(|(line, seen)| watch.see(line, Duration::from_millis(*seen)).is_break());
        assert!(seen.is_none_or(|seen| seen == lines.len() - 1), "it should look at all lines");
        watch.phase()
    }

    #[test]
    fn linux_is_measured_by_its_time_stamps() {
        let lines = [
            ("[    0.012000] smp: Bringing up secondary CPUs ...", 1),
            ("[    0.020000] CPU1: Booted secondary processor 0x0000000001 [0x411fd070]", 2),
            ("[    0.030500] smp: Brought up 1 node, 4 CPUs", 900),
        ];
        assert_eq!(watch("linux", 4, &lines), Ok(18_500_000));
        let cut = watch("linux", 4, &lines[..2]).unwrap_err();
        assert!(cut.contains("does not show \"smp: Brought up\"") && cut.contains("CPU1: Booted"), "{cut}");
        let headless = watch("linux", 4, &lines[1..]).unwrap_err();
        assert!(headless.contains("does not show \"smp: Bringing up secondary CPUs\""), "{headless}");
        let fewer = watch("linux", 8, &lines).unwrap_err();
        assert!(fewer.contains("brought up 3 CPUs instead of 7"), "{fewer}");
    }

    #[test]
    fn linux_on_mips_is_measured_by_its_time_stamps() {
        let lines = [
            ("[    0.000000] Detected 1 available secondary CPU(s)", 1),
            ("[    0.000000] CPU frequency 333.34 MHz", 2),
            ("[    0.000142] sched_clock: 32 bits at 167MHz, resolution 5ns, wraps every 12884817917ns", 3),
            ("[    0.198295] smp: Bringing up secondary CPUs ...", 4),
            ("[    0.201195] Primary instruction cache 2kB, VIPT, 2-way, linesize 16 bytes.", 5),
            ("[    0.206207] CPU1 revision is: 00019500 (MIPS 34Kc)", 6),
            ("[    0.314193] Synchronize counters for CPU 1: done.", 7),
            ("[    0.323977] smp: Brought up 1 node, 2 CPUs", 800),
        ];
        assert_eq!(watch_beside("malta", "linux", 2, &lines), Ok(125_682_000));
        let alone = [lines[3], ("[    0.200000] smp: Brought up 1 node, 1 CPU", 5)];
        let alone = watch_beside("malta", "linux", 2, &alone).unwrap_err();
        assert!(alone.contains("brought up 0 CPUs instead of 1"), "{alone}");
    }

    #[test]
    fn xen_has_its_time_stamps_behind_a_prefix() {
        let lines = [
            ("(XEN) [    0.022588] Bringing up CPU1", 0),
            ("(XEN) [    0.028169] GICv3: CPU1: Found redistributor in region 0 @000000004003c000", 0),
            ("(XEN) [    0.035542] Bringing up CPU2", 0),
            ("(XEN) [    0.071224] Brought up 3 CPUs", 0),
        ];
        assert_eq!(watch("xen", 3, &lines), Ok(48_636_000));
        let plain = [("(XEN) Bringing up CPU1", 0), ("(XEN) Brought up 3 CPUs", 0)];
        assert!(watch("xen", 3, &plain).is_err(), "without time stamps there is nothing to measure");
    }

    #[test]
    fn lk_is_measured_by_the_host_up_to_its_last_cpu() {
        let lines = [
            ("FDT: found memory bank range [0x40000000, 0x5fffffff] (length 0x20000000)", 2),
            ("FDT: found 3 cpus", 4),
            ("ARM: starting cpu 0x1", 5),
            ("ARM: starting cpu 0x2", 6),
            ("ARM64: secondary cpu 1 started, mpidr 0x80000001", 8),
            ("ARM64: secondary cpu 2 started, mpidr 0x80000002", 12),
        ];
        assert_eq!(watch("lk", 3, &lines), Ok(7_000_000));
        let fewer = watch("lk", 4, &lines).unwrap_err();
        assert!(fewer.contains("brought up 2 CPUs instead of 3"), "{fewer}");
    }

    #[test]
    fn a_silent_console_is_called_silent() {
        assert!(watch("lk", 4, &[]).unwrap_err().ends_with("it shows nothing at all"));
    }
}
