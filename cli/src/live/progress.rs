//! How far a boot is, from what its console has brought so far.

use std::collections::BTreeMap;

use reveille_trace_format::{KICK, ONLINE, Outcome, Record};

/// The room that is left free beside the CPUs.
const MARGIN: usize = 14;

/// How far a boot is.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    phase: Phase,
    cpus: BTreeMap<u32, Stage>,
}

/// What a boot is busy with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Starting,
    Booting,
    BringingUp,
    Proving,
    Reporting,
    Done,
}

impl Phase {
    fn words(self) -> &'static str {
        match self {
            Self::Starting => "QEMU starts",
            Self::Booting => "the image boots",
            Self::BringingUp => "the CPUs come up",
            Self::Proving => "the CPUs prove themselves",
            Self::Reporting => "the report comes in",
            Self::Done => "the image is done",
        }
    }
}

/// How far a CPU is, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Kicked,
    Entered,
    NotAsked,
    Online,
    Failed,
}

impl Stage {
    fn sign(self) -> char {
        match self {
            Self::Kicked => '↓',
            Self::Entered => '▸',
            Self::NotAsked => '-',
            Self::Online => '●',
            Self::Failed => '✕',
        }
    }
}

impl Progress {
    /// Takes a line of text. The phases announce themselves with these words; other words change nothing.
    pub fn text(&mut self, line: &str) {
        let phase = match line {
            _ if line.starts_with("Bringing up ") => Phase::BringingUp,
            _ if line.starts_with("Brought up ") => Phase::Proving,
            _ if self.phase == Phase::Starting => Phase::Booting,
            _ => return,
        };
        self.phase = phase;
    }

    /// Takes a record.
    pub fn record(&mut self, record: &Record<String>) {
        match record {
            Record::Boot { .. } => {
                self.phase = Phase::Booting;
                self.cpus.clear();
            }
            Record::Cpu { index, outcome, .. } => {
                self.phase = Phase::Reporting;
                let stage = match outcome {
                    Outcome::Online => Stage::Online,
                    Outcome::NotAsked => Stage::NotAsked,
                    Outcome::Failed | Outcome::TimedOut | Outcome::Stuck => Stage::Failed,
                };
                self.reach(*index, stage);
            }
            Record::Event { cpu, name, target, .. } => {
                match target.filter(|_| name == KICK) {
                    Some(target) => self.reach(target, Stage::Kicked),
                    None => self.reach(*cpu, if name == ONLINE { Stage::Online } else { Stage::Entered }),
                };
            }
            Record::Done { .. } => self.phase = Phase::Done,
            Record::LeftOut { .. } | Record::Proof { .. } | Record::Exit { .. } => {}
            Record::FirmwareCpu { .. } | Record::Call { .. } | Record::Entered { .. } | Record::Lost { .. } => {}
            Record::Guest { .. } | Record::GuestEnded { .. } => {}
        }
    }

    /// A CPU is at least that far.
    fn reach(&mut self, cpu: u32, stage: Stage) {
        self.cpus.entry(cpu).and_modify(|so_far| *so_far = stage.max(*so_far)).or_insert(stage);
    }

    /// What to show, in lines of at most `width` characters: the phase, and a sign for each CPU that something is known of.
    #[must_use]
    pub fn draw(&self, width: usize) -> String {
        let mut text = self.phase.words().to_owned();
        if self.cpus.is_empty() {
            return text;
        }
        let count = |stage| self.cpus.values().filter(|so_far| **so_far == stage).count();
        let (online, failed) = (count(Stage::Online), count(Stage::Failed));
        text.push_str(&format!(": {online} of {} CPUs online", self.cpus.len()));
        if failed > 0 {
            text.push_str(&format!(", {failed} failed"));
        }
        let signs: Vec<char> = self.cpus.values().map(|stage| stage.sign()).collect();
        for line in signs.chunks(width.saturating_sub(MARGIN).max(1)) {
            text.push_str("\n  ");
            text.extend(line);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use reveille_trace_format::Phase as EventPhase;

    use super::*;

    fn event(cpu: u32, name: &str, target: Option<u32>) -> Record<String> {
        Record::Event { cpu, ns: 0, phase: EventPhase::Instant, name: name.into(), target }
    }

    fn outcome(index: u32, outcome: Outcome) -> Record<String> {
        let (possible, present, online, active) = (true, true, false, false);
        Record::Cpu { index, hw_id: 0, possible, present, online, active, outcome, reason: None, lost_events: 0 }
    }

    #[test]
    fn the_text_tells_the_phase() {
        let mut progress = Progress::default();
        let phases = [
            ("Booting on CPU 0x0", "the image boots"),
            ("Bringing up secondary CPUs: 4 present, parallel", "the CPUs come up"),
            ("something else", "the CPUs come up"),
            ("Brought up 4 of 4 CPUs", "the CPUs prove themselves"),
        ];
        assert_eq!(progress.draw(80), "QEMU starts");
        for (line, expected) in phases {
            progress.text(line);
            assert_eq!(progress.draw(80), expected, "{line}");
        }
    }

    #[test]
    fn the_strip_fills_as_records_come() {
        let mut progress = Progress::default();
        let steps = [
            (outcome(0, Outcome::Online), "●"),
            (event(0, KICK, Some(1)), "●↓"),
            (event(0, "cpu_up", Some(2)), "●↓"),
            (event(1, "secondary_entry", None), "●▸"),
            (event(1, ONLINE, None), "●●"),
            (event(1, "cpu_startup_entry", None), "●●"),
            (outcome(2, Outcome::NotAsked), "●●-"),
            (event(0, KICK, Some(3)), "●●-↓"),
            (outcome(3, Outcome::Stuck), "●●-✕"),
        ];
        for (record, strip) in steps {
            progress.record(&record);
            assert_eq!(progress.draw(80).lines().nth(1).unwrap().trim(), strip, "{record:?}");
        }
        assert!(progress.draw(80).starts_with("the report comes in: 2 of 4 CPUs online, 1 failed"));
    }

    #[test]
    fn five_hundred_and_twelve_cpus_fit_the_terminal() {
        let mut progress = Progress::default();
        (0..512).for_each(|index| progress.record(&outcome(index, Outcome::Online)));
        for width in [1, 20, 80, 200] {
            let text = progress.draw(width);
            assert_eq!(text.matches('●').count(), 512);
            assert!(text.lines().skip(1).all(|line| line.chars().count() <= width.max(3)), "{width}");
        }
    }
}
