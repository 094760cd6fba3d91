//! Reports for the tests of those who read them.

use reveille_trace_format::{KICK, ONLINE, Outcome, Phase, SCHEMA};

use super::{CpuReport, End, Event, Masks, Proof, Report};

pub(crate) fn event(ns: u64, phase: Phase, name: &str, target: Option<u32>) -> Event {
    Event { name: name.into(), ns, phase, target }
}

fn cpu(index: u32, events: Vec<Event>) -> CpuReport {
    CpuReport { index, hw_id: u64::from(index), outcome: Outcome::Online, reason: None, lost_events: 0, events }
}

/// `count` CPUs that all come up, each a microsecond after the one before.
pub(crate) fn cpus(count: u32) -> Report {
    use Phase::{Begin, End as Leave, Instant};
    let all: Vec<u32> = (0..count).collect();
    let mut boot = vec![
        event(0, Begin, "start_kernel", None),
        event(21_000, Begin, "boot_cpu_init", None),
        event(22_000, Leave, "boot_cpu_init", None),
        event(50_000, Begin, "smp_init", None),
    ];
    for target in 1..count {
        let ns = 50_000 + u64::from(target) * 1_000;
        boot.push(event(ns, Begin, "cpu_up", Some(target)));
        boot.push(event(ns + 500, Instant, KICK, Some(target)));
        boot.push(event(ns + 600, Leave, "cpu_up", Some(target)));
    }
    boot.push(event(900_000, Leave, "smp_init", None));
    let mut cpus = vec![cpu(0, boot)];
    for index in 1..count {
        let ns = 100_000 + u64::from(index) * 1_000;
        cpus.push(cpu(
            index,
            vec![
                event(ns, Begin, "secondary_entry", None),
                event(ns + 100, Begin, "secondary_startup", None),
                event(ns + 200, Leave, "secondary_startup", None),
                event(ns + 300, Instant, ONLINE, None),
            ],
        ));
    }
    Report {
        schema: SCHEMA,
        machine: "virt".into(),
        image: "kernel".into(),
        image_version: "0.1.0".into(),
        end: End::Done,
        entry_level: Some(1),
        boot_hw_id: 0,
        asked_count: count,
        online_count: count,
        passed: true,
        masks: Masks { possible: all.clone(), present: all.clone(), online: all.clone(), active: all },
        prepare_ns: 12_000,
        bringup_ns: 48_800 + u64::from(count - 1) * 1_000,
        cpus,
        left_out: Vec::new(),
        proofs: vec![Proof { name: "ipi".into(), passed: true, detail: "one to and from each".into() }],
        counter_ns: None,
        calls: Vec::new(),
        entries: Vec::new(),
        lost_calls: 0,
        guest: None,
        stages: Vec::new(),
    }
}

/// As many CPUs as lists of events, with these (name, time, phase).
pub(crate) fn with_events(lists: &[&[(&str, u64, Phase)]]) -> Report {
    let mut report = cpus(lists.len() as u32);
    for (cpu, list) in report.cpus.iter_mut().zip(lists) {
        cpu.events = list.iter().map(|(name, ns, phase)| event(*ns, *phase, name, None)).collect();
    }
    report
}

pub(crate) fn two_cpus() -> Report {
    cpus(2)
}

/// Two CPUs of which the second never arrives.
pub(crate) fn dead_cpu() -> Report {
    let mut report = two_cpus();
    report.cpus[1].outcome = Outcome::TimedOut;
    report.cpus[1].reason = Some("last stage reached: none; AFFINITY_INFO says ON_PENDING".into());
    report.cpus[1].events.clear();
    report.online_count = 1;
    report.masks.online = vec![0];
    report.masks.active = vec![0];
    report.bringup_ns = 0;
    report
}
