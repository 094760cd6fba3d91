//! The tests on QEMU. First what is missing is installed and the image built, with progress on standard error; then the
//! machines boot, one at a time.

mod boots;
mod command;
mod devicetrees;
mod faults;
mod paths;

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
    let tests = [boots::TESTS, devicetrees::TESTS, faults::TESTS, paths::TESTS, command::TESTS].concat();
    let trials = tests.into_iter().map(|(name, test)| Trial::test(name, move || run(test))).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn run(test: Test) -> Result<(), Failed> {
    let stand = STAND.get().ok_or("the image is not built")?;
    test(stand).map_err(Failed::from)
}
