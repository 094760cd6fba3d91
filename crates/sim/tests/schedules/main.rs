//! Many machines, each with a table, faults, requests and an interleaving of its own, all from one seed.
//!
//! `single`: one fault, and what becomes of it by name. `mixed`: any faults and any requests, also from several CPUs at once.

mod mixed;
mod single;
mod table;

use std::time::Duration;

use fastrand::Rng;
use reveille::Timeout;
use reveille_sim::each_seed;

/// How long the machines wait: 10 ms, and 1 ms for each CPU.
const TIMEOUT: Timeout = Timeout::new(Duration::from_millis(10), Duration::from_millis(1));

fn timeout(cpus: usize) -> Duration {
    Duration::from_millis(10 + cpus as u64)
}

/// One schedule.
fn schedule(seed: u64) {
    let mut rng = Rng::with_seed(seed ^ 0x5eed);
    match seed % 3 {
        0 => single::going_up(seed, &mut rng),
        1 => single::going_down(seed, &mut rng),
        _ => mixed::requests(seed, &mut rng),
    }
}

#[test]
fn twenty_thousand_schedules() {
    each_seed(0..20_000, schedule);
}

/// About four minutes on two CPUs.
#[test]
#[ignore = "minutes long"]
fn a_million_schedules() {
    each_seed(1_000_000..2_000_000, schedule);
}

/// A schedule that failed, again: `REVEILLE_SEED=8966 cargo test -p reveille-sim --test schedules -- --ignored replay`.
#[test]
#[ignore = "it takes a seed"]
fn replay() {
    if let Ok(seed) = std::env::var("REVEILLE_SEED") {
        schedule(seed.parse().unwrap());
    }
}
