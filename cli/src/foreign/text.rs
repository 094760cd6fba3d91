//! Reads the console of a system that is not ours: how many CPUs it says it has, which it complains about, and whether it crashed.
//!
//! Systems say this in words of their own. Those of Linux and Xen are known; for others, a line counts that names a CPU by its number
//! and says of it what nobody says of a CPU that came.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use super::initrd::ONLINE;

/// What is said of a CPU that did not come, in the words of various systems.
const COMPLAINTS: &str = r"(?i)\b(fail(ed|ure|s|ing)?|error|unable|cannot|can't|could not|timed? ?out|never|(?:does |do )?not (go|come|respond|up|boot|present|online|start)\w*|did not|didn't|dead|stuck|refuse[sd]?|denied|gave up|giving up|given up|missing|lost)\b";
/// A CPU with its number.
const CPU: &str = r"(?i)\b(?:v?cpu|processor|core|hart)s?[ #:_-]*(0x[0-9a-f]+|[0-9]+)\b";
/// What systems say when they have crashed. That a CPU was slow (a stall, a soft lockup) is also said on a busy host, and goes by.
const CRASHES: &str = r"Kernel panic - not syncing|Internal error: |Unable to handle kernel|Unhandled fault|Xen BUG at|Panic on CPU|(?i:^panic(ked)?\b)|(?i:\bpanicked at\b)|Synchronous (Abort|Exception)|Unhandled (Exception|exception)|Hypervisor Trap";
/// How many CPUs there are, as systems say it when they are up.
const COUNT: &str = r"(?i)\bbrought up (?:[0-9]+ nodes?, )?([0-9]+)(?: of [0-9]+)? CPUs?\b";

static COMPLAINT: LazyLock<Regex> = LazyLock::new(|| expression(COMPLAINTS));
static NUMBERED: LazyLock<Regex> = LazyLock::new(|| expression(CPU));
static CRASH: LazyLock<Regex> = LazyLock::new(|| expression(CRASHES));
static COUNTED: LazyLock<Regex> = LazyLock::new(|| expression(COUNT));

fn expression(text: &str) -> Regex {
    Regex::new(text).expect("the constants of this module are expressions")
}

/// What a console said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// How many CPUs are up, the first time that it was counted: later systems above it may have fewer.
    pub count: Option<u32>,
    /// The CPUs that our script on Linux found online, each time that it looked.
    pub online: Vec<BTreeSet<u32>>,
    /// The first complaint about each CPU, by the number that stands in it.
    pub complaints: BTreeMap<u32, String>,
    /// The line of the crash.
    pub crash: Option<String>,
}

impl Said {
    /// Reads the lines of a console.
    pub fn new<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let mut said = Self::default();
        lines.into_iter().for_each(|line| said.take(line));
        said
    }

    /// Reads one more line.
    pub fn take(&mut self, line: &str) {
        let line = line.trim();
        if let Some(list) = plain(line).strip_prefix(ONLINE) {
            self.online.push(cpu_list(list));
            return;
        }
        if self.crash.is_none() && CRASH.is_match(line) {
            self.crash = Some(plain(line).to_owned());
        }
        if self.count.is_none() {
            self.count = number(&COUNTED, line).and_then(|count| u32::try_from(count).ok());
        }
        if COMPLAINT.is_match(line)
            && let Some(cpu) = number(&NUMBERED, line).and_then(|cpu| u32::try_from(cpu).ok())
        {
            self.complaints.entry(cpu).or_insert_with(|| plain(line).to_owned());
        }
    }
}

/// The first number that a pattern captures.
fn number(pattern: &Regex, line: &str) -> Option<u64> {
    let digits = pattern.captures(line)?.get(1)?.as_str();
    match digits.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => digits.parse().ok(),
    }
}

/// A line without who prints it and when.
fn plain(line: &str) -> &str {
    let line = line.strip_prefix("(XEN) ").unwrap_or(line);
    let stamped = line.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    stamped.filter(|(stamp, _)| stamp.trim().parse::<f64>().is_ok()).map_or(line, |(_, rest)| rest)
}

/// The CPUs of a list as Linux writes it: `0-2,5`.
fn cpu_list(list: &str) -> BTreeSet<u32> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse().ok()?..=last.trim().parse::<u32>().ok()?.min(1 << 16))
    };
    list.split(',').filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_counts_and_complains() {
        let said = Said::new([
            "[    5.339084] CPU2: failed to come online",
            "[    5.339184] CPU2: failed in unknown state : 0x0",
            "[    0.255178] smp: Brought up 1 node, 3 CPUs",
            "reveille: online 0-1,3",
            "[    6.1] reveille: online 0",
        ]);
        assert_eq!(said.count, Some(3));
        assert_eq!(said.complaints, BTreeMap::from([(2, "CPU2: failed to come online".into())]));
        assert_eq!(said.online, [BTreeSet::from([0, 1, 3]), BTreeSet::from([0])]);
        assert_eq!(said.crash, None);
    }

    #[test]
    fn xen_counts_first_and_the_linux_above_it_afterwards() {
        let said = Said::new([
            "(XEN) [    1.184978] CPU2 never came online",
            "(XEN) [    1.184979] Failed to bring up CPU 2 (error -5)",
            "(XEN) [    1.184980] Brought up 3 CPUs",
            "[    0.362942] smp: Brought up 1 node, 4 CPUs",
        ]);
        assert_eq!(said.count, Some(3));
        assert_eq!(said.complaints[&2], "CPU2 never came online");
    }

    #[test]
    fn what_everybody_says_of_cpus_that_come_is_no_complaint() {
        let said = Said::new([
            "[    0.000000] Booting Linux on physical CPU 0x0000000000 [0x411fd070]",
            "[    0.000000] Detected PIPT I-cache on CPU0",
            "[    0.204630] GICv3: CPU1: using allocated LPI pending table @0x0000000042a10000",
            "[    3.403549] psci: CPU1 killed (polled 0 ms)",
            "(XEN) CPU 1 booted.",
            "Bringing up secondary CPUs: 4 present, parallel",
            "[    0.000000] rcu: \tRCU restricting CPUs from NR_CPUS=512 to nr_cpu_ids=4.",
            "[    0.000000] CPU features: kernel page table isolation forced ON by KASLR",
        ]);
        assert_eq!(said, Said::default());
    }

    #[test]
    fn crashes_are_told_by_the_words_of_various_systems() {
        for line in [
            "[    1.000000] Kernel panic - not syncing: VFS: Unable to mount root fs",
            "(XEN) Panic on CPU 0:",
            "(XEN) Xen BUG at arch/arm/smpboot.c:466",
            "panicked at src/main.rs:7:5:",
            "[    1.0] Internal error: Oops: 0000000096000004 [#1] SMP",
        ] {
            assert!(Said::new([line]).crash.is_some(), "{line}");
        }
        assert_eq!(
            Said::new(["[    1.0] Kernel panic - not syncing: x"]).crash.unwrap(),
            "Kernel panic - not syncing: x"
        );
        for line in
            ["[    0.1] Kernel command line: panic=-1", "[   36.0] watchdog: BUG: soft lockup - CPU#0 stuck for 33s!"]
        {
            assert_eq!(Said::new([line]).crash, None);
        }
    }
}
