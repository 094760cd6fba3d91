//! What becomes of a CPU that does not do what it should.

use reveille::rendezvous::State;
use reveille::{FirmwareState, Outcome, Policy, Smp, Stage, Summary};

use super::machine::{BASE, Behaviour, DEAD, HEALTHY, KICK, Machine, PER_CPU, arriving, error, refusing, stuck};

const POLICIES: [Policy; 3] = [Policy::PARALLEL, Policy::SERIAL, Policy::at_most(2)];

/// How long after its own kick the only CPU of a machine is given up.
const ALONE: u64 = KICK + BASE + PER_CPU;

#[test]
fn healthy_cpus_come_online() {
    for policy in POLICIES {
        let smp = Smp::new();
        let machine = Machine::new(&smp, &[HEALTHY; 3]);
        let (summary, outcomes) = machine.boot(policy);
        assert_eq!(summary, Summary { asked: 4, online: 4 });
        assert_eq!(outcomes, [Outcome::NotAsked, Outcome::Online, Outcome::Online, Outcome::Online]);
        assert_eq!(machine.masks(), ["0-3", "0-3", "0-3", "0"]);
        assert_eq!(machine.lost(), []);
        assert!(machine.clock() < BASE, "nobody waits for a deadline");
    }
}

#[test]
fn row_54_a_dead_cpu_is_named_and_the_others_come() {
    for policy in POLICIES {
        let smp = Smp::new();
        let machine = Machine::new(&smp, &[HEALTHY, DEAD, HEALTHY]);
        let (summary, outcomes) = machine.boot(policy);
        assert_eq!(summary, Summary { asked: 4, online: 3 });
        assert_eq!(outcomes[1..], [Outcome::Online, Outcome::TimedOut(FirmwareState::OnPending), Outcome::Online]);
        assert_eq!(machine.masks(), ["0-3", "0-3", "0-1,3", "0"]);
    }
}

#[test]
fn row_54_several_dead_cpus_cost_one_timeout_together() {
    let smp = Smp::new();
    let machine = Machine::new(&smp, &[DEAD; 20]);
    let start = machine.clock();
    let (summary, _) = machine.boot(Policy::PARALLEL);
    assert_eq!(summary, Summary { asked: 21, online: 1 });
    assert_eq!(machine.clock() - start, 20 * KICK + BASE + 20 * PER_CPU);
}

#[test]
fn row_54_codes_of_refused_calls_survive() {
    for code in (-9..=-1).chain([7, i64::MIN]) {
        for policy in POLICIES {
            let smp = Smp::new();
            let machine = Machine::new(&smp, &[refusing(code), HEALTHY]);
            let (summary, outcomes) = machine.boot(policy);
            assert_eq!(outcomes[1..], [Outcome::Failed(error("boot", code)), Outcome::Online]);
            assert_eq!(summary, Summary { asked: 3, online: 2 });
            assert_eq!(smp.claim_word(machine.topology.cpus()[1].index).state(), State::Abandoned);
            assert!(machine.clock() < BASE, "a CPU that was refused is not waited for");
        }
    }
}

#[test]
fn row_55_a_cpu_that_comes_after_its_deadline_has_lost() {
    let smp = Smp::new();
    let machine = Machine::new(&smp, &[arriving(ALONE + 1)]);
    let (summary, outcomes) = machine.boot(Policy::PARALLEL);
    assert_eq!((summary.online, outcomes[1]), (1, Outcome::TimedOut(FirmwareState::On)));
    machine.settle();
    assert_eq!(machine.lost(), [(1, State::Abandoned)]);
    assert_eq!(machine.masks(), ["0-1", "0-1", "0", "0"]);
}

#[test]
fn row_55_a_cpu_that_comes_although_its_start_was_refused_has_lost() {
    let smp = Smp::new();
    let machine = Machine::new(&smp, &[Behaviour { boot: Err(-4), ..HEALTHY }, HEALTHY]);
    let (_, outcomes) = machine.boot(Policy::PARALLEL);
    assert_eq!(outcomes[1..], [Outcome::Failed(error("boot", -4)), Outcome::Online]);
    machine.settle();
    assert_eq!(machine.lost(), [(1, State::Abandoned)]);
    assert_eq!(machine.masks(), ["0-2", "0-2", "0,2", "0"]);
}

#[test]
fn a_cpu_that_claims_before_its_start_is_refused_is_waited_for() {
    let within_the_call = Behaviour { boot: Err(-6), arrives: Some(KICK), ..HEALTHY };
    let smp = Smp::new();
    let machine = Machine::new(&smp, &[within_the_call, Behaviour { online: None, ..within_the_call }]);
    let (summary, outcomes) = machine.boot(Policy::PARALLEL);
    assert_eq!(outcomes[1..], [Outcome::Online, Outcome::Stuck { stage: Stage(5), firmware: FirmwareState::On }]);
    assert_eq!(summary, Summary { asked: 3, online: 2 });
    assert_eq!((machine.lost(), &machine.masks()[2]), (vec![], &"0-1".into()));
}

#[test]
fn a_cpu_that_is_online_before_the_call_returns_is_online() {
    for boot in [Ok(()), Err(-4)] {
        let smp = Smp::new();
        let machine = Machine::new(&smp, &[Behaviour { boot, arrives: Some(1), online: Some(2), ..HEALTHY }; 3]);
        assert_eq!(machine.boot(Policy::PARALLEL).0, Summary { asked: 4, online: 4 });
        assert!(machine.clock() < BASE);
    }
}

#[test]
fn row_54_a_stuck_cpu_is_reported_with_its_last_stage() {
    for policy in POLICIES {
        let smp = Smp::new();
        let machine = Machine::new(&smp, &[HEALTHY, stuck(42), HEALTHY]);
        let (summary, outcomes) = machine.boot(policy);
        assert_eq!(outcomes[2], Outcome::Stuck { stage: Stage(42), firmware: FirmwareState::On });
        assert_eq!(summary, Summary { asked: 4, online: 3 });
        assert_eq!(smp.claim_word(machine.topology.cpus()[2].index).state(), State::Stuck);
    }
}

#[test]
fn row_55_a_stuck_cpu_that_goes_on_later_has_lost() {
    let smp = Smp::new();
    let machine = Machine::new(&smp, &[Behaviour { online: Some(ALONE + 1), ..HEALTHY }]);
    let (_, outcomes) = machine.boot(Policy::PARALLEL);
    assert!(matches!(outcomes[1], Outcome::Stuck { .. }));
    machine.settle();
    assert_eq!(machine.lost(), [(1, State::Stuck)]);
    assert_eq!(machine.masks()[2], "0");
}

#[test]
fn a_cpu_that_comes_at_the_very_deadline_has_come() {
    let smp = Smp::new();
    let machine = Machine::new(&smp, &[Behaviour { arrives: Some(ALONE), online: Some(ALONE), ..HEALTHY }]);
    assert_eq!(machine.boot(Policy::PARALLEL).1[1], Outcome::Online);
}

#[test]
fn row_54_a_cpu_without_room_is_not_kicked() {
    let smp = Smp::new();
    let machine = Machine::new(&smp, &[HEALTHY, Behaviour { room: Err(12), ..HEALTHY }, HEALTHY]);
    let (summary, outcomes) = machine.boot(Policy::PARALLEL);
    assert_eq!(outcomes[1..], [Outcome::Online, Outcome::Failed(error("stack", 12)), Outcome::Online]);
    assert_eq!(summary, Summary { asked: 4, online: 3 });
    assert_eq!(machine.contexts().iter().map(|context| context.cpu().get()).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn a_cpu_whose_method_refuses_it_is_not_possible_or_not_present() {
    let smp = Smp::new();
    let unknown = Behaviour { init: Err(-2), ..HEALTHY };
    let absent = Behaviour { prepare: Err(-3), ..HEALTHY };
    let machine = Machine::new(&smp, &[unknown, absent, HEALTHY]);
    let (summary, outcomes) = machine.boot(Policy::PARALLEL);
    let expected = [Outcome::Failed(error("init", -2)), Outcome::Failed(error("prepare", -3)), Outcome::Online];
    assert_eq!(outcomes[1..], expected);
    assert_eq!(machine.masks(), ["0,2-3", "0,3", "0,3", "0"]);
    assert_eq!(summary, Summary { asked: 2, online: 2 });
    assert_eq!(machine.prepared(), [3]);
}

#[test]
fn cpus_whose_method_is_not_in_the_plan_fail() {
    let smp = Smp::new();
    let machine = Machine::new(&smp, &[HEALTHY; 2]);
    let mut outcomes = machine.unasked();
    let plan = machine.plan(&[]);
    smp.init_cpus(&plan, &mut outcomes);
    smp.prepare_cpus(&plan, &mut outcomes);
    assert_eq!(smp.bring_up(&plan, &machine, &mut outcomes), Summary { asked: 1, online: 1 });
    assert!(matches!(outcomes[1..], [Outcome::Failed(_), Outcome::Failed(_)]));
    assert_eq!(machine.masks(), ["0"; 4]);
}
