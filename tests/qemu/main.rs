//! The tests on QEMU. First what is missing is installed and the image built, with progress on standard error; then the
//! machines boot, one at a time.

mod acpi;
mod boots;
mod budgets;
mod command;
mod console;
mod devicetrees;
mod faults;
mod firmware;
mod foreign;
mod guests;
mod hotplug;
mod hypervisor;
mod isolation;
mod loader;
mod malta;
mod own_kernel;
mod paths;
mod peers;
mod psci_rows;
mod raspi3b;
mod spin_table;
mod torture;
mod vcpus;
mod wide;

use std::process::ExitCode;
use std::sync::OnceLock;

use libtest_mimic::{Arguments, Failed, Trial};
use reveille_system_tests::Stand;

/// A test: it says what is wrong, or nothing.
type Test = fn(&Stand) -> Result<(), String>;

static STAND: OnceLock<Stand> = OnceLock::new();

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Two cores carry one machine at a time.
    arguments.test_threads = Some(1);
    if !arguments.list {
        match Stand::ready() {
            Ok(stand) => drop(STAND.set(stand)),
            Err(reason) => {
                eprintln!("the tests on QEMU cannot run: {reason}");
                return ExitCode::FAILURE;
            }
        }
    }
    let tests = [
        acpi::TESTS,
        boots::TESTS,
        devicetrees::TESTS,
        faults::TESTS,
        faults::arrival::TESTS,
        faults::steps::TESTS,
        faults::departure::TESTS,
        firmware::TESTS,
        firmware::faults::TESTS,
        foreign::TESTS,
        guests::TESTS,
        hotplug::TESTS,
        hypervisor::TESTS,
        isolation::TESTS,
        loader::TESTS,
        malta::TESTS,
        console::TESTS,
        paths::TESTS,
        peers::TESTS,
        psci_rows::TESTS,
        raspi3b::TESTS,
        spin_table::TESTS,
        torture::TESTS,
        vcpus::TESTS,
        command::TESTS,
        budgets::TESTS,
        own_kernel::TESTS,
        wide::TESTS,
    ]
    .concat();
    let long_tests = [
        boots::LONG_TESTS,
        budgets::LONG_TESTS,
        firmware::LONG_TESTS,
        foreign::LONG_TESTS,
        guests::LONG_TESTS,
        hotplug::LONG_TESTS,
        hypervisor::LONG_TESTS,
        isolation::LONG_TESTS,
        loader::LONG_TESTS,
        malta::LONG_TESTS,
        peers::LONG_TESTS,
        psci_rows::LONG_TESTS,
        raspi3b::LONG_TESTS,
        torture::LONG_TESTS,
        vcpus::LONG_TESTS,
        wide::LONG_TESTS,
    ]
    .concat();
    let trials = tests.into_iter().map(|test| trial(test, false));
    let trials = trials.chain(long_tests.into_iter().map(|test| trial(test, true))).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Long tests run with `--include-ignored` only.
fn trial((name, test): (&'static str, Test), long: bool) -> Trial {
    Trial::test(name, move || run(test)).with_ignored_flag(long)
}

fn run(test: Test) -> Result<(), Failed> {
    let stand = STAND.get().ok_or("the image is not built")?;
    test(stand).map_err(Failed::from)
}
