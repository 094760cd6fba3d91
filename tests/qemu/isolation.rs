//! A guest that means harm beside one that looks on: docs/isolation.md has what is tried and what comes of it. All of it is one boot.

use std::sync::OnceLock;
use std::time::Duration;

use reveille_cli::boot::BootOptions;
use reveille_cli::guests::GuestSpec;
use reveille_cli::stack::{Stack, System};
use reveille_system_tests::{Booted, Stand};

use crate::Test;

/// A test for each row.
macro_rules! rows {
    ($($row:ident)+) => {
        /// How many rows there are.
        const ROWS: usize = [$(stringify!($row)),+].len();

        /// The tests of this module.
        pub const TESTS: &[(&str, Test)] = &[
            ("isolation_the_witness_sees_nothing", |stand| looks_on(usual(stand)?)),
            $((concat!("isolation_", stringify!($row)), |stand| holds(usual(stand)?, stringify!($row))),)+
        ];
    };
}

rows! {
    memory_of_others_is_not_read
    memory_of_others_is_not_written
    memory_of_others_is_not_executed
    memory_ends_with_its_last_byte
    memory_beyond_the_guests_addresses
    memory_of_others_takes_no_other_access
    tables_of_stage_1_in_memory_of_others
    devices_of_the_machine_are_not_there
    devices_without_a_syndrome
    devices_are_not_executed
    devices_in_all_sizes_at_all_offsets
    devices_take_junk
    psci_ids_of_other_guests
    psci_entries_outside_memory
    psci_functions_that_there_are_not
    psci_suspend_to_junk
    psci_junk_by_hvc_and_smc
    hvc_and_smc_with_any_immediate
    instructions_that_are_none
    semihosting_is_not_the_guests
    returns_to_states_that_are_none
    el0_calls_nobody
    el0_in_aarch32
    caches_by_set_and_way
    registers_of_el2_and_el3
    id_registers_hide_what_there_is_not
    debug_registers_are_not_the_machines
    performance_monitors_are_not_the_machines
    registers_of_the_machine_are_not_its_own
    registers_take_junk
    system_instructions_take_junk
    translation_takes_junk
    counter_of_its_own
    timer_due_for_ever
    timer_programmed_with_junk
    sgi_flood_from_all_vcpus
    sgi_junk_from_all_vcpus
    interrupts_that_are_never_ended
    gic_junk_from_all_vcpus
    tlb_and_instruction_cache_flood
    vcpus_on_and_off_in_a_storm
    vcpus_that_never_yield
    uart_flood
    vcpus_in_exceptions_for_ever
}

/// Those that take long.
pub const LONG_TESTS: &[(&str, Test)] = &[("isolation_every_row_holds_on_cpus_that_run_at_once", at_once)];

/// A busy host may take so long for a run that is over in seconds elsewhere.
const LONG: Duration = Duration::from_secs(900);
/// The guest that means harm tries everything within so many seconds, as the counter has it.
const SECONDS: u32 = 12;

/// The run that all rows are from.
fn usual(stand: &Stand) -> Result<&'static Booted, String> {
    static RUN: OnceLock<Result<Booted, String>> = OnceLock::new();
    let run = || boot(stand, SECONDS, &["-icount", "shift=5,sleep=off"]);
    RUN.get_or_init(run).as_ref().map_err(String::clone)
}

/// Guest 0 looks on for so long, beside a guest with four vCPUs that tries everything: on two CPUs, so that they share both.
fn boot(stand: &Stand, seconds: u32, qemu_arguments: &[&str]) -> Result<Booted, String> {
    let image = stand.hostile_guest()?;
    let system = System::Image(image.guest.clone().ok_or("the guest is not built")?);
    let Ok(stack) = "hypervisor,kernel".parse::<Stack>();
    let options = BootOptions {
        stack,
        cpus: 2,
        guests: vec![GuestSpec { system, vcpus: 4, memory: 64, pins: Vec::new(), append: None }],
        append: Some(format!("-- witness={seconds}")),
        timeout: Some(LONG),
        qemu_arguments: qemu_arguments.iter().map(|&word| word.to_owned()).collect(),
        ..BootOptions::default()
    };
    stand.boot_image(&image, &options)
}

fn says(booted: &Booted, what: &str) -> bool {
    booted.0.console.lines().any(|line| line.contains(what))
}

fn holds(booted: &Booted, row: &str) -> Result<(), String> {
    let mut verdicts = booted.0.console.lines().filter(|line| line.contains(&format!("hostile {row} ")));
    let held = verdicts.next().is_some_and(|line| line.contains(" holds: "));
    booted.expect(held, &format!("{row} should hold"))
}

/// The other guest has all its ticks and its memory, to its end, and the one that means harm has done all that it can.
fn looks_on(booted: &Booted) -> Result<(), String> {
    booted
        .expect(says(booted, &format!("hostile: {ROWS} of {ROWS} rows hold, with 4 vCPUs")), "all rows should hold")?;
    booted.expect(
        says(booted, "Guest 1 (guest1) switched itself off"),
        "the guest that means harm should end by itself",
    )?;
    booted.expect(says(booted, "witness passes"), "the witness should pass")?;
    booted.expect(says(booted, "Guest 0 (guest0) switched itself off"), "the witness should end by itself")
}

fn at_once(stand: &Stand) -> Result<(), String> {
    const SECONDS: u32 = 90;
    looks_on(&boot(stand, SECONDS, &[])?)
}
