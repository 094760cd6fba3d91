//! Machines in which CPUs keep to the rules, each with its own queue and looking at the others only at the end of its slices: what share
//! their threads get.

use fair_share::FairShare;
use proptest::prelude::*;

const SLICE: u64 = 10;
/// How long the machines run: 10 seconds, if a slice is 10 milliseconds.
const LONG: u64 = 1_000 * SLICE;
const SHARE: FairShare = FairShare::new(SLICE);

#[derive(Clone)]
struct Thread {
    bound: Option<usize>,
    /// It sleeps until then.
    asleep_until: u64,
    time: u64,
    ran: u64,
}

#[derive(Clone, Default)]
struct Cpu {
    running: Option<usize>,
    ready: Vec<usize>,
    floor: u64,
    slice_end: u64,
}

struct Machine {
    cpus: Vec<Cpu>,
    threads: Vec<Thread>,
    now: u64,
    /// The highest floor of all CPUs.
    highest_floor: u64,
}

impl Machine {
    /// Busy threads, each bound to a CPU or begun on the one that `homes` says. CPUs begin their slices at different times.
    fn new(cpus: usize, bound: &[Option<usize>], homes: impl Fn(usize) -> usize) -> Self {
        let threads: Vec<Thread> =
            bound.iter().map(|&bound| Thread { bound, asleep_until: 0, time: 0, ran: 0 }).collect();
        let mut machine = Self { cpus: vec![Cpu::default(); cpus], threads, now: 0, highest_floor: 0 };
        for (index, bound) in bound.iter().enumerate() {
            machine.cpus[bound.unwrap_or_else(|| homes(index))].ready.push(index);
        }
        let count = cpus as u64;
        machine.cpus.iter_mut().zip(0..).for_each(|(cpu, place)| cpu.slice_end = SLICE * place / count);
        machine
    }

    fn time(&self, thread: usize) -> u64 {
        self.threads[thread].time
    }

    fn run(&mut self, duration: u64) {
        for _ in 0..duration {
            for cpu in 0..self.cpus.len() {
                self.wake(cpu);
                if self.cpus[cpu].slice_end <= self.now || self.cpus[cpu].running.is_none() {
                    self.fetch(cpu);
                    self.choose(cpu);
                }
                if let Some(running) = self.cpus[cpu].running {
                    self.threads[running].time += 1;
                    self.threads[running].ran += 1;
                }
            }
            self.now += 1;
        }
    }

    /// Sleepers come to the CPU on which they slept.
    fn wake(&mut self, own: usize) {
        let woken = |thread: &Thread| thread.bound.is_none() && thread.asleep_until == self.now && self.now > 0;
        let all: Vec<usize> = (0..self.threads.len())
            .filter(|&thread| woken(&self.threads[thread]) && thread % self.cpus.len() == own)
            .collect();
        for thread in all {
            self.arrive(own, thread);
        }
    }

    fn arrive(&mut self, own: usize, thread: usize) {
        let cpu = &mut self.cpus[own];
        let alone = cpu.running.is_none() && cpu.ready.is_empty();
        if alone {
            cpu.floor = SHARE.floor(cpu.floor, self.highest_floor);
        }
        self.threads[thread].time = SHARE.arrival(self.threads[thread].time, cpu.floor, alone);
        cpu.ready.push(thread);
    }

    /// What the runtime does before it chooses.
    fn fetch(&mut self, own: usize) {
        let least = self.cpus[own].ready.iter().chain(&self.cpus[own].running).map(|&thread| self.time(thread)).min();
        let free = (0..self.cpus.len()).filter(|&cpu| cpu != own && self.cpus[cpu].running.is_some());
        let waiting = free.flat_map(|cpu| self.cpus[cpu].ready.iter().map(move |&thread| (cpu, thread)));
        let movable = waiting.filter(|&(_, thread)| self.threads[thread].bound.is_none());
        let Some((cpu, thread)) = movable.min_by_key(|&(_, thread)| self.time(thread)) else { return };
        if least.is_some_and(|least| !SHARE.is_behind(self.time(thread), least)) {
            return;
        }
        self.cpus[cpu].ready.retain(|&other| other != thread);
        self.arrive(own, thread);
    }

    fn choose(&mut self, own: usize) {
        let previous = self.cpus[own].running.take();
        self.cpus[own].ready.extend(previous);
        let times: Vec<u64> = self.cpus[own].ready.iter().map(|&thread| self.time(thread)).collect();
        let Some((place, least)) = SHARE.next(times) else { return };
        let cpu = &mut self.cpus[own];
        cpu.running = Some(cpu.ready.remove(place));
        cpu.floor = SHARE.floor(cpu.floor, least);
        self.highest_floor = self.highest_floor.max(cpu.floor);
        cpu.slice_end = self.now + SLICE;
    }

    /// Asserts that each thread has run for this part of `duration`, give or take a tenth of it.
    fn assert_shares(&self, duration: u64, share: f64) {
        for (index, thread) in self.threads.iter().enumerate() {
            let part = thread.ran as f64 / duration as f64;
            assert!((part - share).abs() <= share / 10.0, "thread {index} has {part:.3} of a CPU, not {share:.3}");
        }
    }
}

#[test]
fn eight_threads_on_four_cpus_get_half_a_cpu_each() {
    let mut machine = Machine::new(4, &[None; 8], |index| index % 4);
    machine.run(LONG);
    machine.assert_shares(LONG, 0.5);
}

#[test]
fn three_threads_on_two_cpus_get_two_thirds_of_a_cpu_each() {
    let mut machine = Machine::new(2, &[None; 3], |_| 0);
    machine.run(LONG);
    machine.assert_shares(LONG, 2.0 / 3.0);
}

#[test]
fn a_bound_thread_among_free_ones_gets_the_same_share() {
    let bound = [Some(0), None, None, None, None, None];
    let mut machine = Machine::new(4, &bound, |index| index % 4);
    machine.run(LONG);
    machine.assert_shares(LONG, 4.0 / 6.0);
}

#[test]
fn threads_that_must_share_a_cpu_leave_the_others_to_the_rest() {
    let bound = [Some(0), Some(0), Some(0), None];
    let mut machine = Machine::new(2, &bound, |_| 0);
    machine.run(LONG);
    let ran: Vec<u64> = machine.threads.iter().map(|thread| thread.ran).collect();
    assert!(ran[3] * 20 >= LONG * 19, "the free thread has CPU 1 for itself: {ran:?}");
    assert!(ran[..3].iter().all(|&ran| ran * 10 >= LONG * 3), "the others share CPU 0: {ran:?}");
}

#[test]
fn what_comes_later_neither_starves_nor_is_starved() {
    let mut machine = Machine::new(2, &[None; 3], |index| index % 2);
    machine.run(LONG);
    machine.threads.push(Thread { bound: None, asleep_until: 0, time: machine.cpus[0].floor, ran: 0 });
    machine.cpus[0].ready.push(3);
    machine.threads.iter_mut().for_each(|thread| thread.ran = 0);
    machine.run(LONG);
    machine.assert_shares(LONG, 0.5);
}

#[test]
fn who_has_slept_long_gets_no_more_than_the_others() {
    // While two sleep, the other two have a CPU each.
    let mut machine = Machine::new(3, &[None; 2], |index| index);
    for _ in 0..2 {
        machine.threads.push(Thread { bound: None, asleep_until: LONG, time: 0, ran: 0 });
    }
    machine.run(LONG);
    machine.threads.iter_mut().for_each(|thread| thread.ran = 0);
    machine.run(LONG);
    machine.assert_shares(LONG, 0.75);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn busy_threads_get_even_shares(cpus in 1_usize..9, extra in 0_usize..12, seed in any::<usize>()) {
        let threads = cpus + extra;
        let mut machine = Machine::new(cpus, &vec![None; threads], |index| (index * (seed % 7) + seed % 11) % cpus);
        machine.run(LONG);
        machine.assert_shares(LONG, cpus as f64 / threads as f64);
    }

    #[test]
    fn one_bound_thread_on_each_cpu_changes_no_share(cpus in 1_usize..7, free in 1_usize..9, seed in any::<usize>()) {
        let bound: Vec<Option<usize>> = (0..cpus).map(Some).chain((0..free).map(|_| None)).collect();
        let mut machine = Machine::new(cpus, &bound, |index| (index + seed % 5) % cpus);
        machine.run(LONG);
        machine.assert_shares(LONG, cpus as f64 / bound.len() as f64);
    }
}
