//! What must hold whatever happens: between any two turns ([`World::check_turn`]), and when nothing happens any more
//! ([`World::check_quiet`]).

use reveille::hotplug::{Hotplug, HotplugState};
use reveille::rendezvous::State;
use reveille::{CpuIndex, CpuMask};

use crate::steps::{Placed, bits_of};
use crate::world::World;

impl World<'_> {
    fn masks(&self) -> [(&'static str, CpuMask); 4] {
        let masks = &self.smp().masks;
        [
            ("active", masks.active.snapshot()),
            ("online", masks.online.snapshot()),
            ("present", masks.present.snapshot()),
            ("possible", masks.possible.snapshot()),
        ]
    }

    /// `active ⊆ online ⊆ present ⊆ possible`, at any time.
    pub(crate) fn check_turn(&self) -> Result<(), String> {
        let masks = self.masks();
        for pair in masks.windows(2) {
            let [(inner, within), (outer, around)] = pair else { continue };
            if let Some(cpu) = within.iter().find(|&cpu| !around.contains(cpu)) {
                return Err(format!("CPU {cpu} is {inner} and not {outer}"));
            }
        }
        let (turns, most) = (self.state().turns, self.settings.turns);
        if turns > most { Err(format!("nothing ends: {turns} turns were taken")) } else { Ok(()) }
    }

    /// Claim words, masks, states and the steps' own record agree.
    pub(crate) fn check_quiet(&self, hotplug: Hotplug<'_>, placed: &[Placed<'_>]) -> Result<(), String> {
        for cpu in self.topology.cpus() {
            let found = self.check_cpu(hotplug, cpu.index).and_then(|()| self.check_record(hotplug, placed, cpu.index));
            found.map_err(|text| format!("CPU {}: {text}", cpu.index))?;
        }
        Ok(())
    }

    fn check_cpu(&self, hotplug: Hotplug<'_>, cpu: CpuIndex) -> Result<(), String> {
        let steps = hotplug.steps();
        let (claim, state) = (self.smp().claim_word(cpu).state(), hotplug.state(cpu));
        let online = self.smp().masks.online.contains(cpu);
        // One that stopped in the middle of going down is on no more, and has not said so.
        let stopped = self.state().processors[cpu.get()].record.inside.is_some();
        let allowed = match claim {
            _ if cpu.is_boot() => HotplugState::OFFLINE..=steps.online(),
            State::Offline | State::Abandoned => HotplugState::OFFLINE..=steps.prepared(),
            State::Online if stopped && !online => steps.prepared()..=steps.ap_online(),
            State::Online => steps.ap_online()..=steps.online(),
            State::Stuck | State::Dead => steps.prepared()..=steps.ap_online(),
            // It was refused to go off, and stopped on its way back.
            State::Claimed if stopped => steps.prepared()..=steps.ap_online(),
            State::Kicked | State::Claimed => return Err(format!("it is {claim:?}, and nobody waits for it")),
        };
        if !allowed.contains(&state) {
            return Err(format!("it is {claim:?} in state {state} ({})", steps.name(state)));
        }
        if online != (claim == State::Online) && !cpu.is_boot() && !stopped {
            return Err(format!("it is {claim:?}, and {} the online mask", if online { "in" } else { "not in" }));
        }
        let used = self.state().processors[cpu.get()].used;
        let off = matches!(claim, State::Offline | State::Abandoned);
        if off && used && !cpu.is_boot() {
            return Err(format!("it is {claim:?}, and uses memory"));
        }
        Ok(())
    }

    /// Whether the state of `cpu` is what its steps have seen.
    fn check_record(&self, hotplug: Hotplug<'_>, placed: &[Placed<'_>], cpu: CpuIndex) -> Result<(), String> {
        let mut record = self.state().processors[cpu.get()].record.clone();
        let HotplugState(mut state) = hotplug.state(cpu);
        let bringup = self.settings.bringup;
        if record.lost {
            record.forget_lost(bringup);
            state = state.min(bringup);
        }
        let single = |placed: &&Placed<'_>| placed.step.instances().is_none();
        let expected: Vec<u16> =
            placed.iter().filter(single).map(|placed| placed.place).filter(|&place| place < state).collect();
        if record.passed != expected {
            return Err(format!("it is in state {state}, and its steps have seen {:?}", record.passed));
        }
        for Placed { step, place } in placed {
            let Some(instances) = step.instances() else { continue };
            let all = instances.iter().fold(0, |bits, instance| bits | 1u32 << instance.number());
            let expected = if *place < state { all } else { 0 };
            let (bits, failed) = (bits_of(&record.instances, *place), bits_of(&record.failed, *place));
            if (bits ^ expected) & !failed != 0 && record.inside.is_none() {
                let name = step.name();
                return Err(format!("{name} has the instances {bits:#x}, and not {expected:#x}, in state {state}"));
            }
        }
        Ok(())
    }
}
