//! How many CPUs are on their way at once, and how many are asked for at all.

use reveille::{Bringup, EnableMethod, Event, Outcome, Plan, Policy, Progress, Smp, SmpOptions, Summary};

use super::machine::{BASE, DEAD, HEALTHY, KICK, Machine, PER_CPU, arriving, refusing, stuck};

/// The most CPUs that were kicked and not yet done with.
pub fn most_in_flight(events: &[(u64, usize, Event)]) -> usize {
    let (mut now, mut most) = (Vec::new(), 0);
    for (_, cpu, event) in events {
        match event {
            Event::Kick => now.push(*cpu),
            Event::Done(_) => now.retain(|other| other != cpu),
            _ => {}
        }
        most = most.max(now.len());
    }
    most
}

fn positions(events: &[(u64, usize, Event)], wanted: Event) -> Vec<usize> {
    events.iter().enumerate().filter(|(_, event)| event.2 == wanted).map(|(position, _)| position).collect()
}

#[test]
fn parallel_kicks_all_before_it_waits_for_any() {
    let smp = Smp::new();
    let machine = Machine::new(&smp, &[HEALTHY, DEAD, arriving(1), HEALTHY]);
    machine.boot(Policy::PARALLEL);
    let events = machine.events();
    let (prepared, kicks) = (positions(&events, Event::Prepared), positions(&events, Event::Kick));
    assert_eq!((prepared.len(), kicks.len()), (4, 4));
    assert!(prepared[3] < kicks[0], "all are prepared before one is kicked");
    assert_eq!(positions(&events, Event::Wait), [kicks[3] + 2], "one wait, after the last kick");
    assert_eq!(most_in_flight(&events), 4);
}

#[test]
fn serial_waits_for_each_before_the_next() {
    let smp = Smp::new();
    let machine = Machine::new(&smp, &[HEALTHY, DEAD, refusing(-2), stuck(1), HEALTHY]);
    let start = machine.clock();
    let (summary, _) = machine.boot(Policy::SERIAL);
    assert_eq!(summary, Summary { asked: 6, online: 3 });
    assert_eq!(most_in_flight(&machine.events()), 1);
    // Two CPUs that come, one refused, and two that are waited for.
    assert_eq!(machine.clock() - start, 2 * 40 + KICK + 2 * (KICK + BASE + PER_CPU));
}

#[test]
fn at_most_k_are_on_their_way() {
    for limit in 1..6 {
        let smp = Smp::new();
        let machine =
            Machine::new(&smp, &[HEALTHY, DEAD, arriving(500), refusing(-2), HEALTHY, HEALTHY, stuck(1), HEALTHY]);
        let (summary, _) = machine.boot(Policy::at_most(limit));
        assert_eq!(summary, Summary { asked: 9, online: 6 });
        assert_eq!(most_in_flight(&machine.events()), limit);
    }
    assert_eq!(Policy::at_most(0), Policy::SERIAL);
}

#[test]
fn a_place_that_becomes_free_is_taken_at_once() {
    let smp = Smp::new();
    let machine = Machine::new(&smp, &[DEAD, HEALTHY, HEALTHY, HEALTHY]);
    machine.boot(Policy::at_most(2));
    let kicks: Vec<_> =
        machine.events().into_iter().filter(|event| event.2 == Event::Kick).map(|(time, ..)| time).collect();
    assert_eq!(kicks.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>(), [KICK, 40, 40]);
    assert_eq!(machine.clock() - kicks[3], KICK + BASE + 2 * PER_CPU, "the deadline counts from the last kick");
}

#[test]
fn row_53_maxcpus_brings_up_the_first_ones_and_leaves_the_rest_present() {
    let smp = Smp::new();
    let machine = Machine::new(&smp, &[HEALTHY; 4]);
    let (summary, outcomes) = machine.boot_with(Policy::PARALLEL, SmpOptions { max_cpus: 3, ..SmpOptions::ALL });
    assert_eq!(summary, Summary { asked: 3, online: 3 });
    assert_eq!(outcomes[1..], [Outcome::Online, Outcome::Online, Outcome::NotAsked, Outcome::NotAsked]);
    assert_eq!(machine.masks(), ["0-4", "0-4", "0-2", "0"]);
    assert_eq!(machine.prepared(), [1, 2]);

    let (summary, outcomes) = machine.boot_with(Policy::PARALLEL, SmpOptions { max_cpus: 4, ..SmpOptions::ALL });
    assert_eq!(summary, Summary { asked: 4, online: 4 }, "those that are online already count");
    assert_eq!(outcomes[3..], [Outcome::Online, Outcome::NotAsked]);

    let (summary, outcomes) = machine.boot(Policy::PARALLEL);
    assert_eq!((summary, outcomes[4]), (Summary { asked: 5, online: 5 }, Outcome::Online));
    assert_eq!(machine.prepared(), [1, 2, 3, 4]);
}

#[test]
fn row_53_nosmp_and_maxcpus_1_leave_the_boot_cpu_alone() {
    for (line, present) in [("nosmp", "0"), ("maxcpus=0", "0"), ("maxcpus=1", "0-2")] {
        let smp = Smp::new();
        let machine = Machine::new(&smp, &[HEALTHY; 2]);
        let (summary, outcomes) = machine.boot_with(Policy::PARALLEL, SmpOptions::from_command_line(line));
        assert_eq!(summary, Summary { asked: 1, online: 1 });
        assert_eq!(outcomes, [Outcome::NotAsked; 3]);
        assert_eq!(machine.masks(), ["0-2", present, "0", "0"]);
        assert_eq!((machine.prepared(), machine.contexts().len()), (vec![], 0));
    }
}

#[test]
fn a_machine_with_one_cpu_is_up() {
    let smp = Smp::new();
    assert_eq!(Machine::new(&smp, &[]).boot(Policy::PARALLEL).0, Summary { asked: 1, online: 1 });
}

#[test]
fn cpus_without_an_entry_among_the_outcomes_are_not_asked() {
    for length in 0..5 {
        let smp = Smp::new();
        let machine = Machine::new(&smp, &[HEALTHY, DEAD, HEALTHY, HEALTHY]);
        let methods: [&dyn EnableMethod; 1] = [&machine];
        let plan = machine.plan(&methods);
        let mut outcomes = vec![Outcome::NotAsked; length];
        smp.init_cpus(&plan, &mut outcomes);
        smp.prepare_cpus(&plan, &mut outcomes);
        let summary = smp.bring_up(&plan, &machine, &mut outcomes);
        assert_eq!(summary.asked, length.max(1));
        assert_eq!(machine.contexts().len(), length.saturating_sub(1));
    }
}

#[test]
fn polling_never_waits() {
    let smp = Smp::new();
    let machine = Machine::new(&smp, &[HEALTHY, HEALTHY, DEAD]);
    let methods: [&dyn EnableMethod; 1] = [&machine];
    let plan = Plan { policy: Policy::at_most(2), ..machine.plan(&methods) };
    let mut outcomes = machine.unasked();
    smp.init_cpus(&plan, &mut outcomes);
    smp.prepare_cpus(&plan, &mut outcomes);

    let mut bringup = Bringup::start(&smp, &plan, &machine, &mut outcomes);
    assert_eq!((machine.prepared(), machine.contexts().len()), (vec![1, 2, 3], 0));
    assert_eq!(bringup.poll(), Progress::Pending);
    assert_eq!(machine.contexts().len(), 2);
    let before = machine.clock();
    for _ in 0..100 {
        assert_eq!(bringup.poll(), Progress::Pending);
    }
    assert_eq!(machine.clock(), before);
    machine.advance(40);
    assert_eq!(bringup.poll(), Progress::Pending);
    assert_eq!(machine.contexts().len(), 3);
    machine.advance(BASE + 2 * PER_CPU);
    let done = Progress::Done(Summary { asked: 4, online: 3 });
    assert_eq!([bringup.poll(), bringup.poll()], [done, done]);
}
