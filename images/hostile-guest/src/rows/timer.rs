//! The guest's timer, as no kernel programs it.

use alloc::format;
use core::time::Duration;

use reveille_runtime::arch::timer;
use reveille_runtime::clock;

use super::{Attacker, Row, Verdict};
use crate::registers::{read_register, write_register};

/// The rows of this module.
pub const ROWS: &[Row] =
    &[("counter_of_its_own", counter), ("timer_due_for_ever", due), ("timer_programmed_with_junk", junk)];

const ENABLE: u64 = 1;
/// The timer is due.
const ISTATUS: u64 = 1 << 2;
/// How long it is waited at most for a timer that is near: a busy host needs long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The virtual counter began with the guest, at the same value for every guest, whenever it began.
fn counter(_: &mut Attacker) -> Verdict {
    const COUNTER_AT_START: u64 = 1 << 54;
    const WHILE_IT_BEGINS: Duration = Duration::from_secs(600);
    let since_entry = clock::ticks_of(Duration::from_nanos(clock::now().0));
    let at_entry = timer::ticks() - since_entry;
    match at_entry.checked_sub(COUNTER_AT_START) {
        Some(later) if later < clock::ticks_of(WHILE_IT_BEGINS) => Ok(format!("it stood at 2^54 + {later}")),
        _ => Err(format!("it stood at {at_entry:#x}")),
    }
}

/// Due since ever and never served: its level stays high, whatever the vCPU does.
fn due(attacker: &mut Attacker) -> Verdict {
    let limit = attacker.flood;
    attacker.all(limit, |_, _| {
        write_register!("cntv_cval_el0", 0);
        write_register!("cntv_ctl_el0", ENABLE);
        while !crate::vcpus::is_over() {
            crate::vcpus::relax();
        }
        write_register!("cntv_ctl_el0", ENABLE);
    })?;
    let status = read_register!("cntv_ctl_el0") & ISTATUS;
    write_register!("cntv_ctl_el0", 0);
    if status == 0 { Err("the timer is not due".into()) } else { Ok(format!("{limit:?} on all vCPUs")) }
}

fn junk(attacker: &mut Attacker) -> Verdict {
    const TIMES: usize = 4_000;
    for _ in 0..TIMES {
        let value = match attacker.junk.below(4) {
            0 => timer::ticks().wrapping_add(attacker.junk.below(10_000)),
            1 => u64::MAX - attacker.junk.below(10_000),
            _ => attacker.junk.argument(),
        };
        if attacker.junk.below(2) == 0 {
            write_register!("cntv_cval_el0", value);
        } else {
            write_register!("cntv_tval_el0", value);
        }
        write_register!("cntv_ctl_el0", attacker.junk.number());
    }
    // Whatever was programmed, one that is near comes.
    write_register!("cntv_ctl_el0", 0);
    write_register!("cntv_cval_el0", clock::ticks_after(Duration::from_micros(100)));
    write_register!("cntv_ctl_el0", ENABLE);
    let end = clock::ticks_after(PATIENCE);
    while read_register!("cntv_ctl_el0") & ISTATUS == 0 {
        if timer::ticks() > end {
            return Err("a timer that is near does not come".into());
        }
        crate::vcpus::relax();
    }
    write_register!("cntv_ctl_el0", 0);
    Ok(format!("{TIMES} times"))
}
