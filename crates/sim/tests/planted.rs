//! Mistakes that the machine must find, and find again with the same seed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::Duration;

use reveille::hotplug::{Section, Step};
use reveille::{CpuIndex, Smp};
use reveille_sim::{Machine, Run};

/// What a machine of four CPUs with this step says against it, with each of the first seeds.
fn complaints(smp: &Smp, step: &Step<'_>, seed: u64) -> Option<String> {
    let machine = Machine::builder(4).smp(smp).seed(seed).step(step).build();
    let run = AssertUnwindSafe(|| {
        machine.run(|control| {
            let boot = control.boot();
            assert!(boot.boot_cpu.is_ok());
            for cpu in 1..4 {
                let _ = control.cpu_down(cpu);
            }
        });
    });
    catch_unwind(run).err().map(|payload| payload.downcast_ref::<String>().cloned().unwrap_or_default())
}

#[test]
fn a_step_that_enters_cpus_into_the_wrong_mask_is_found() {
    let smp = Smp::new();
    let startup = |cpu| {
        smp.masks.active.insert(cpu);
        Ok(())
    };
    let step = Step::new(Section::Starting, 0, "too-early").startup(&startup);
    let found = complaints(&smp, &step, 7).expect("it is found");
    assert!(found.contains("is active and not online"), "{found}");
    assert!(found.contains("seed 7") && found.contains(".seed(7)") && found.contains("begins too-early"), "{found}");
}

#[test]
fn a_step_that_forgets_to_leave_the_active_mask_is_found() {
    let smp = Smp::new();
    let startup = |cpu| {
        smp.masks.active.insert(cpu);
        Ok(())
    };
    let step = Step::new(Section::Online, 0, "forgetful").startup(&startup);
    let found = complaints(&smp, &step, 0).expect("it is found");
    assert!(found.contains("is active and not online"), "{found}");
}

#[test]
fn a_step_that_claims_for_another_is_found() {
    let smp = Smp::new();
    let startup = |cpu: CpuIndex| {
        // As one that answers for a CPU which has not arrived.
        let _ = smp.claim_word(cpu).kick();
        Ok(())
    };
    let step = Step::new(Section::Prepare, 0, "impostor").startup(&startup);
    assert!(complaints(&smp, &step, 0).is_some());
}

/// Two CPUs that count at once lose a count, if one is interrupted between its look and its write.
fn racy(seed: u64) -> Result<Run<u32>, String> {
    let count = Mutex::new(0);
    let startup = |_| {
        let seen = *count.lock().unwrap();
        reveille_sim::pause(Duration::from_nanos(50));
        *count.lock().unwrap() = seen + 1;
        Ok(())
    };
    let step = Step::new(Section::Online, 0, "racy").startup(&startup);
    let machine = Machine::builder(4).seed(seed).step(&step).build();
    let run = AssertUnwindSafe(|| {
        machine.run(|control| {
            control.boot();
            assert_eq!(*count.lock().unwrap(), 4, "a count was lost");
            *count.lock().unwrap()
        })
    });
    catch_unwind(run).map_err(|payload| payload.downcast_ref::<String>().cloned().unwrap_or_default())
}

#[test]
fn a_race_is_found_by_some_seed_and_found_again_by_the_same() {
    let seeds: Vec<u64> = (0..2_000).filter(|&seed| racy(seed).is_err()).collect();
    assert!(!seeds.is_empty() && seeds.len() < 2_000, "{} of 2,000", seeds.len());
    for &seed in seeds.iter().take(5) {
        let (first, again) = (racy(seed).unwrap_err(), racy(seed).unwrap_err());
        assert_eq!(first, again);
        assert!(first.contains("a count was lost") && first.contains(&format!("seed {seed}")), "{first}");
    }
}

#[test]
fn a_seed_runs_the_same_again_and_another_does_not() {
    let run = |seed| {
        let late = "cpu2:late:900ms".parse().unwrap();
        let machine = Machine::builder(6).seed(seed).fault(late).fault("cpu3:dead".parse().unwrap()).build();
        machine.run(|control| {
            control.boot();
            let _ = (control.cpu_down(1), control.cpu_up(3));
        })
    };
    let runs = [run(1), run(1), run(2)];
    assert_eq!((&runs[0].records, runs[0].turns, runs[0].end), (&runs[1].records, runs[1].turns, runs[1].end));
    assert_ne!(runs[0].records, runs[2].records);
}

#[test]
fn a_step_that_never_ends_is_found() {
    let startup = |_| loop {
        reveille_sim::pause(Duration::from_nanos(1));
    };
    let step = Step::new(Section::Prepare, 0, "endless").startup(&startup);
    let machine = Machine::builder(2).step(&step).most_turns(10_000).build();
    let run = AssertUnwindSafe(|| {
        machine.run(|control| {
            control.boot();
        });
    });
    let payload = catch_unwind(run).expect_err("it ends");
    assert!(payload.downcast_ref::<String>().is_some_and(|text| text.contains("nothing ends")));
}
