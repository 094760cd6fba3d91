//! A second bring-up: after deadlines, after stuck CPUs, after one that was dropped.

use reveille::rendezvous::State;
use reveille::{
    Bringup, ContextId, EnableMethod, FirmwareState, Outcome, Plan, Policy, Progress, Smp, SmpOptions, Stage, Summary,
};

use super::machine::{BASE, Behaviour, DEAD, HEALTHY, KICK, Machine, PER_CPU, arriving, stuck};

#[test]
fn a_cpu_that_timed_out_is_kicked_again_under_a_new_generation() {
    let smp = Smp::new();
    let machine = Machine::new(&smp, &[DEAD, HEALTHY]);
    machine.boot(Policy::PARALLEL);
    machine.mend(1, HEALTHY);
    let (summary, outcomes) = machine.boot(Policy::PARALLEL);
    assert_eq!(summary, Summary { asked: 3, online: 3 });
    assert_eq!(outcomes[1..], [Outcome::Online, Outcome::NotAsked], "one that is online is left alone");
    let contexts = machine.contexts();
    assert_eq!(contexts.iter().map(|context| context.cpu().get()).collect::<Vec<_>>(), [1, 2, 1]);
    assert_ne!(contexts[0].generation(), contexts[2].generation());
    assert_eq!(machine.prepared(), [1, 2, 1]);
}

#[test]
fn row_55_a_late_cpu_of_an_old_generation_does_not_claim_the_new_kick() {
    let smp = Smp::new();
    let machine = Machine::new(&smp, &[arriving(KICK + BASE + PER_CPU + 10)]);
    machine.boot(Policy::PARALLEL);
    machine.mend(1, DEAD);
    let (summary, outcomes) = machine.boot(Policy::PARALLEL);
    assert_eq!(machine.lost(), [(1, State::Kicked)], "it came while its next kick was in force");
    assert_eq!((summary.online, outcomes[1]), (1, Outcome::TimedOut(FirmwareState::OnPending)));
    assert_eq!(machine.masks()[2], "0");
}

#[test]
fn a_stuck_cpu_is_busy_and_what_it_owns_is_not_prepared_again() {
    let smp = Smp::new();
    let machine = Machine::new(&smp, &[stuck(9), HEALTHY]);
    machine.boot(Policy::PARALLEL);
    machine.mend(1, HEALTHY);
    let (summary, outcomes) = machine.boot(Policy::PARALLEL);
    assert_eq!(summary, Summary { asked: 3, online: 2 });
    assert_eq!(outcomes[1], Outcome::Busy(State::Stuck));
    assert_eq!(machine.prepared(), [1, 2], "its stack is in use");
    assert_eq!(smp.stage(machine.topology.cpus()[1].index), Stage(9), "what it said last is kept");
    assert_eq!(machine.contexts().len(), 2);
}

/// Kicks CPUs as `maxcpus=` allows, and drops the bring-up.
fn kick_and_drop(machine: &Machine<'_>, max_cpus: usize) -> Vec<Outcome> {
    let mut outcomes = machine.unasked();
    let methods: [&dyn EnableMethod; 1] = [machine];
    let plan = Plan { options: SmpOptions { max_cpus, ..SmpOptions::ALL }, ..machine.plan(&methods) };
    machine.smp.init_cpus(&plan, &mut outcomes);
    machine.smp.prepare_cpus(&plan, &mut outcomes);
    assert_eq!(Bringup::start(machine.smp, &plan, machine, &mut outcomes).poll(), Progress::Pending);
    outcomes
}

#[test]
fn cpus_of_a_bring_up_that_was_dropped_are_busy_until_they_come() {
    let smp = Smp::new();
    let machine = Machine::new(&smp, &[HEALTHY, DEAD]);
    let outcomes = kick_and_drop(&machine, 3);
    assert!(outcomes[1..].iter().all(|outcome| matches!(outcome, Outcome::InFlight(_))));

    let (summary, outcomes) = machine.boot(Policy::PARALLEL);
    assert_eq!((summary.online, &outcomes[1..]), (1, &[Outcome::Busy(State::Kicked); 2][..]));
    assert_eq!(machine.prepared(), [1, 2], "what is on its way may be in use");
    machine.settle();
    assert_eq!(machine.masks()[2], "0-1");
}

#[test]
fn outcomes_of_a_bring_up_that_was_dropped_do_not_confuse_the_next() {
    let smp = Smp::new();
    let machine = Machine::new(&smp, &[HEALTHY, HEALTHY, arriving(90)]);
    let mut outcomes = kick_and_drop(&machine, 2);
    machine.settle();
    let methods: [&dyn EnableMethod; 1] = [&machine];
    let summary = smp.bring_up(&machine.plan(&methods), &machine, &mut outcomes);
    assert_eq!(summary, Summary { asked: 4, online: 4 });
    assert_eq!(outcomes[2..], [Outcome::Online; 2]);
}

#[test]
fn cpus_of_a_bring_up_that_was_dropped_do_not_delay_the_next() {
    let smp = Smp::new();
    let machine = Machine::new(&smp, &[Behaviour { online: Some(60), ..HEALTHY }, HEALTHY, arriving(90)]);
    kick_and_drop(&machine, 2);

    let start = machine.clock();
    let (summary, outcomes) = machine.boot(Policy::PARALLEL);
    assert_eq!(outcomes[1..], [Outcome::Busy(State::Kicked), Outcome::Online, Outcome::Online]);
    assert_eq!(summary, Summary { asked: 4, online: 3 });
    assert_eq!(machine.clock() - start, KICK + 91, "no deadline was waited for");
    assert_eq!(machine.masks()[2], "0-3");
}

#[test]
fn generations_wrap() {
    let smp = Smp::new();
    let machine = Machine::new(&smp, &[HEALTHY]);
    let cpu = machine.topology.cpus()[1].index;
    let word = smp.claim_word(cpu);
    let first = word.kick().unwrap();
    word.abandon(first).unwrap();
    for _ in 1..1 << 16 {
        word.abandon(word.kick().unwrap()).unwrap();
    }
    assert_eq!(word.kick(), Ok(first));
    let context = ContextId::new(cpu, first);
    assert_eq!(ContextId::from_raw(context.to_raw()), Some(context));
    assert!(smp.claim(context).is_ok());
}
