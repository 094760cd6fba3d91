//! Machines that nothing describes: one CPU after the other is asked for.

use reveille::topology::{MethodIndex, ProbeOptions, Reason};
use reveille::{HwId, MAX_CPUS, Topology};

const METHOD: MethodIndex = MethodIndex(3);

/// What a probe of `ids` finds, with the ids that were asked for and those that were left out.
fn probe(boot: u64, ids: impl Iterator<Item = u64>, exists: impl Fn(u64) -> bool, nr_cpus: usize) -> Probed {
    let mut topology = Box::new(Topology::new(HwId(0)));
    let (mut asked, mut left_out) = (Vec::new(), Vec::new());
    let options = ProbeOptions { boot_cpu: HwId(boot), method: METHOD, nr_cpus };
    let mut answers = |id: HwId| {
        asked.push(id.0);
        exists(id.0)
    };
    let mut out = |cpu: reveille::topology::LeftOut<'_>| left_out.push((cpu.hw_id.unwrap().0, cpu.reason));
    let findings = topology.probe(&options, ids.map(HwId), &mut answers, &mut out);
    assert!(findings.boot_cpu_found);
    assert_eq!(findings.left_out, left_out.len());
    let cpus = topology.cpus();
    assert!(cpus.iter().enumerate().all(|(place, cpu)| cpu.index.get() == place));
    assert_eq!(cpus[0].method, None);
    assert!(cpus[1..].iter().all(|cpu| cpu.method == Some(METHOD)));
    Probed { found: cpus.iter().map(|cpu| cpu.hw_id.0).collect(), asked, left_out }
}

struct Probed {
    found: Vec<u64>,
    asked: Vec<u64>,
    left_out: Vec<(u64, Reason)>,
}

#[test]
fn those_that_answer_are_numbered_in_turn() {
    let probed = probe(0, 1..8, |id| [2, 3, 7].contains(&id), usize::MAX);
    assert_eq!(probed.found, [0, 2, 3, 7]);
    assert_eq!(probed.asked, [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn the_boot_cpu_is_the_first_and_is_not_asked() {
    let probed = probe(2, 0..4, |_| true, usize::MAX);
    assert_eq!(probed.found, [2, 0, 1, 3]);
    assert_eq!(probed.asked, [0, 1, 3]);
}

#[test]
fn one_that_is_named_twice_is_asked_once() {
    let probed = probe(0, [1, 1, 2, 1].into_iter(), |_| true, usize::MAX);
    assert_eq!((probed.found, probed.asked), (vec![0, 1, 2], vec![1, 2]));
}

#[test]
fn row_53_nr_cpus_is_a_hard_cap() {
    let probed = probe(0, 1..4, |_| true, 2);
    assert_eq!(probed.found, [0, 1]);
    assert_eq!(probed.left_out, [(2, Reason::AboveNrCpus), (3, Reason::AboveNrCpus)]);
}

#[test]
fn more_than_the_build_has_room_for_are_left_out() {
    let probed = probe(0, 1..MAX_CPUS as u64 + 2, |_| true, usize::MAX);
    assert_eq!(probed.found.len(), MAX_CPUS);
    assert_eq!(probed.left_out, [MAX_CPUS as u64, MAX_CPUS as u64 + 1].map(|id| (id, Reason::AboveBuildMaximum)));
}
