//! The command `reveille`: reads its arguments, does what they say and ends with the exit code that says how it went.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    reveille_cli::interrupt::catch();
    reveille_cli::command::main(std::env::args_os()).into()
}
