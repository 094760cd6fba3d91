//! The interrupt controller against a model, under any sequence of what guests, devices and the hypervisor do.

mod reference;
mod step;
mod world;

use proptest::collection;
use proptest::prelude::*;

use crate::step::Step;
use crate::world::World;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    collection::vec(any::<[u8; 8]>().prop_map(Step::decode), 0..150)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_guest_sees_what_a_gicv3_does(steps in steps(), list_registers in 1..=5_usize) {
        World::run(steps, list_registers, true);
    }

    #[test]
    fn with_late_kicks_no_interrupt_is_lost_or_doubled(steps in steps(), list_registers in 1..=5_usize) {
        World::run(steps, list_registers, false);
    }
}
