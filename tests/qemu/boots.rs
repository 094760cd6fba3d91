//! Boots that must go well, on every kind of machine and entry.

use std::num::NonZeroU32;

use reveille_cli::boot::{BootOptions, ImageFormat};
use reveille_cli::policy::Policy;
use reveille_cli::report::{CpuReport, Outcome, Report};
use reveille_system_tests::{Booted, Stand, cpus};
use reveille_trace_format::ACTIVE;

use crate::Test;

/// The tests of this module.
pub const TESTS: &[(&str, Test)] = &[
    ("1_cpu", |stand| all_online(stand, &cpus(1))),
    ("2_cpus", |stand| all_online(stand, &cpus(2))),
    ("4_cpus", |stand| all_online(stand, &cpus(4))),
    ("8_cpus", |stand| all_online(stand, &cpus(8))),
    ("row_56_64_cpus_with_affinity_levels_above_0", sixty_four_cpus),
    ("row_36_4_cpus_by_image_at_el2", |stand| all_online(stand, &BootOptions { entry_level: Some(2), ..cpus(4) })),
    ("4_cpus_by_elf_at_el1", |stand| all_online(stand, &BootOptions { format: Some(ImageFormat::Elf), ..cpus(4) })),
    ("4_cpus_by_elf_at_el2", |stand| {
        all_online(stand, &BootOptions { format: Some(ImageFormat::Elf), entry_level: Some(2), ..cpus(4) })
    }),
    ("4_cpus_of_model_max_at_el1", |stand| {
        all_online(stand, &BootOptions { cpu_model: Some("max".into()), ..cpus(4) })
    }),
    ("4_cpus_of_model_max_at_el2", |stand| {
        all_online(stand, &BootOptions { cpu_model: Some("max".into()), entry_level: Some(2), ..cpus(4) })
    }),
    ("serially_each_cpu_is_online_before_the_next_is_kicked", serially),
    ("two_in_flight_are_never_three", two_in_flight),
    ("in_parallel_all_are_kicked_before_the_wait", in_parallel),
    ("row_53_maxcpus_2_leaves_two_present_cpus_alone", maxcpus),
    ("row_53_nosmp_leaves_the_boot_cpu_alone", nosmp),
    ("row_53_nr_cpus_3_is_a_hard_cap", nr_cpus),
    ("the_times_of_the_report_are_those_of_the_events", times),
];

/// Those that take long.
pub const LONG_TESTS: &[(&str, Test)] = &[("512_cpus", |stand| all_online(stand, &cpus(512)))];

pub fn all_online(stand: &Stand, options: &BootOptions) -> Result<(), String> {
    let booted = stand.boot(options)?;
    let report = booted.expect_all_online(options.cpus)?;
    let usual = options.machine.firmware.is_none().then_some(1);
    booted.expect(report.entry_level == options.entry_level.or(usual), "it was entered at another exception level")
}

fn sixty_four_cpus(stand: &Stand) -> Result<(), String> {
    let booted = stand.boot(&cpus(64))?;
    let report = booted.expect_all_online(64)?;
    // QEMU puts 16 CPUs into a cluster.
    booted.expect(report.cpus[16].hw_id == 0x100, "CPU 16 has the id 0x100")?;
    booted.expect(report.cpus.iter().all(|cpu| cpu.lost_events == 0), "no event is lost")
}

/// The times at which each CPU was kicked and was about to come online, in the order of the kicks. The boot CPU may kick the next as
/// soon as it sees a CPU online, which may be before that CPU notes the event, but not before it is about to.
fn kicks_and_arrivals(report: &Report) -> Vec<(u64, u64)> {
    let boot = &report.cpus[0].events;
    let kicks = boot.iter().filter(|event| event.name == "kick");
    let pairs = kicks.filter_map(|kick| {
        let target = report.cpus.get(kick.target? as usize)?;
        let about_to_be_online = target.events.iter().find(|event| event.name == "set_cpu_online")?;
        Some((kick.ns, about_to_be_online.ns))
    });
    pairs.collect()
}

/// The most CPUs that were on their way at once.
fn most_in_flight(pairs: &[(u64, u64)]) -> usize {
    let in_flight = |now: u64| pairs.iter().filter(|(kick, online)| *kick <= now && now < *online).count();
    pairs.iter().map(|(kick, _)| in_flight(*kick)).max().unwrap_or(0)
}

fn boot_8_with(stand: &Stand, policy: Policy) -> Result<(Booted, Vec<(u64, u64)>), String> {
    let booted = stand.boot(&BootOptions { policy, ..stand.cpus(8) })?;
    let pairs = kicks_and_arrivals(booted.expect_all_online(8)?);
    booted.expect(pairs.len() == 7, "seven CPUs are kicked and come online")?;
    Ok((booted, pairs))
}

pub fn serially(stand: &Stand) -> Result<(), String> {
    let (booted, pairs) = boot_8_with(stand, Policy::Serial)?;
    booted.expect(most_in_flight(&pairs) == 1, "one CPU at a time is on its way")
}

pub fn two_in_flight(stand: &Stand) -> Result<(), String> {
    let (booted, pairs) = boot_8_with(stand, Policy::AtMost(const { NonZeroU32::new(2).unwrap() }))?;
    booted.expect((1..=2).contains(&most_in_flight(&pairs)), "at most two CPUs are on their way")
}

pub fn in_parallel(stand: &Stand) -> Result<(), String> {
    let (booted, pairs) = boot_8_with(stand, Policy::Parallel)?;
    let kicks: Vec<u64> = pairs.iter().map(|(kick, _)| *kick).collect();
    let events = &booted.report()?.cpus[0].events;
    let done = events.iter().find(|event| event.name == "smp_cpus_done").map_or(0, |event| event.ns);
    let others_between = events
        .iter()
        .filter(|event| kicks[0] < event.ns && event.ns < kicks[6])
        .any(|event| event.target.is_none() && !is_kick_span(&event.name));
    booted.expect(!others_between, "nothing but kicks lies between the first kick and the last")?;
    booted.expect(kicks.is_sorted() && kicks[6] < done, "the kicks come before the end of the wait")
}

fn is_kick_span(name: &str) -> bool {
    let arm64 = ["cpu_up", "bringup_cpu", "__cpu_up", "boot_secondary", "cpu_psci_cpu_boot"];
    let mips = ["_cpu_up", "prom_boot_secondary", "cfe_cpu_start"];
    arm64.contains(&name) || mips.contains(&name)
}

fn with_append(stand: &Stand, text: &str) -> Result<Booted, String> {
    stand.boot(&BootOptions { append: Some(text.into()), ..stand.cpus(4) })
}

pub fn maxcpus(stand: &Stand) -> Result<(), String> {
    let booted = with_append(stand, "maxcpus=2")?;
    let report = booted.expect_all_online(2)?;
    booted.expect(report.masks.present == [0, 1, 2, 3], "the others stay present")?;
    booted.expect(report.cpus[3].outcome == Outcome::NotAsked, "CPU 3 was not asked for")
}

pub fn nosmp(stand: &Stand) -> Result<(), String> {
    let booted = with_append(stand, "nosmp")?;
    let report = booted.expect_all_online(1)?;
    booted.expect(report.masks.present == [0], "the others are not even present")
}

pub fn nr_cpus(stand: &Stand) -> Result<(), String> {
    let booted = with_append(stand, "nr_cpus=3")?;
    let report = booted.expect_all_online(3)?;
    booted.expect(report.masks.possible == [0, 1, 2], "no more than three are possible")?;
    booted.expect(report.left_out.len() == 1 && !report.left_out[0].fault, "the fourth is left out, at nobody's fault")
}

pub fn times(stand: &Stand) -> Result<(), String> {
    let booted = stand.boot(&stand.cpus(4))?;
    let report = booted.expect_all_online(4)?;
    let pairs = kicks_and_arrivals(report);
    let first_kick = pairs.iter().map(|(kick, _)| *kick).min().unwrap_or(0);
    let active = |cpu: &CpuReport| cpu.events.iter().find(|event| event.name == ACTIVE).map(|event| event.ns);
    let last_active = report.cpus.iter().filter_map(active).max().unwrap_or(0);
    booted
        .expect(report.bringup_ns == last_active - first_kick, "bringup_ns is the last active minus the first kick")?;
    let after_online = report.cpus[1..].iter().all(|cpu| active(cpu) > cpu.online_ns());
    booted.expect(after_online, "every CPU is active after it is online")?;
    booted.expect(report.prepare_ns > 0 && report.prepare_ns < first_kick, "prepare_ns lies before the first kick")?;
    booted.expect(pairs.iter().all(|(kick, online)| kick < online), "every CPU is kicked before it is online")
}
