//! Machines that boot, whole or with something wrong with a CPU.

use reveille::Outcome;
use reveille_sim::{Machine, each_seed};

#[test]
fn four_cpus_come_up() {
    each_seed(0..100, |seed| {
        let run = Machine::builder(4).seed(seed).build().run(|control| control.boot());
        assert_eq!(run.value.online(), 4, "{:?}", run.value);
        assert!(run.value.outcomes[1..].iter().all(|&outcome| outcome == Outcome::Online));
    });
}
