//! What firmware is asked for beside PSCI as it should be: [`Options`], which are words, and [`Faults`], with which a provider's calls
//! come out as the words say. The decisions alone: clocks, timers and interrupts are the firmware's.
//!
//! ```
//! use core::time::Duration;
//!
//! use reveille_firmware_faults::{EnableMethod, Options, PowersUp};
//!
//! // A machine of four CPUs, whose counter counts nanoseconds.
//! let ticks = |time: Duration| time.as_nanos() as u64;
//! let options = Options::<4>::parse("fault=all:power-up:20ms fault=cpu2:dead", 4, ticks).unwrap();
//! assert_eq!(options.enable_method, EnableMethod::Psci);
//!
//! // CPU_ON reaches CPU 1 and CPU 2. One of them comes, when it is time.
//! assert!(options.faults.power_on(1, 5_000));
//! assert_eq!(options.faults.powers_up(1, 6_000), PowersUp::At(20_005_000));
//! assert_eq!(options.faults.powers_up(1, 20_005_000), PowersUp::Now);
//! assert!(!options.faults.power_on(2, 5_000));
//! assert_eq!(options.faults.powers_up(2, u64::MAX), PowersUp::Never);
//! ```

#![no_std]
#![forbid(unsafe_code)]

mod faults;
mod options;

pub use faults::{Faults, Handled, PowersUp};
pub use options::{EnableMethod, Options, OptionsError};
