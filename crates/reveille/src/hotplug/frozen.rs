//! All CPUs but the boot CPU down together, and back: what a suspended or rebooting system does (Linux's
//! `freeze_secondary_cpus`).

use super::error::HotplugError;
use super::step::HotplugState;
use super::{Hotplug, HotplugPlatform};
use crate::bringup::Plan;
use crate::cpu::CpuIndex;
use crate::mask::CpuMask;
use crate::sync::Ordering;

/// The CPUs that were taken down together. Hotplug is disabled until they are thawed.
#[derive(Debug)]
#[must_use = "frozen CPUs are thawed"]
pub struct Frozen {
    cpus: CpuMask,
}

impl Frozen {
    /// Which they are.
    #[must_use]
    pub const fn cpus(&self) -> &CpuMask {
        &self.cpus
    }
}

/// The CPU at which freezing stopped. Those that were frozen before are back, or tell their own state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("CPU {cpu}: {error}")]
pub struct FreezeError {
    /// The CPU; the boot CPU if there was no beginning.
    pub cpu: CpuIndex,
    /// Why.
    pub error: HotplugError,
}

impl Hotplug<'_> {
    /// Whether CPUs go down or up since all are frozen or thawed, and not on their own (Linux's `cpuhp_tasks_frozen`). For
    /// steps that keep what a frozen CPU had.
    #[must_use]
    pub fn tasks_frozen(&self) -> bool {
        self.smp.frozen().load(Ordering::Relaxed) != 0
    }

    /// Takes down every CPU that is online but the boot CPU, and disables hotplug.
    ///
    /// # Errors
    /// [`FreezeError`]; hotplug is then as it was.
    pub fn freeze_secondary_cpus<P: HotplugPlatform>(
        &self,
        plan: &Plan<'_>,
        platform: &P,
    ) -> Result<Frozen, FreezeError> {
        let failed = |cpu, error| FreezeError { cpu, error };
        let _request = self.begin_enabled(plan, platform).map_err(|error| failed(CpuIndex::BOOT, error))?;
        self.smp.frozen().store(1, Ordering::Relaxed);
        let mut frozen = Frozen { cpus: CpuMask::EMPTY };
        for cpu in plan.secondaries().filter(|cpu| self.smp.masks.online.contains(cpu.index)) {
            if let Err(error) = self.go(plan, platform, cpu, HotplugState::OFFLINE) {
                self.thaw(plan, platform, &frozen, &mut |_, _| ());
                return Err(failed(cpu.index, error));
            }
            frozen.cpus.insert(cpu.index);
        }
        self.smp.disabled().fetch_add(1, Ordering::Relaxed);
        Ok(frozen)
    }

    /// Brings the frozen CPUs back, and enables hotplug. `told` hears what became of each.
    ///
    /// # Errors
    /// [`HotplugError::Busy`], with the CPUs still frozen; [`HotplugError::AlreadyThere`] if none are.
    pub fn thaw_secondary_cpus<P: HotplugPlatform>(
        &self,
        plan: &Plan<'_>,
        platform: &P,
        frozen: &Frozen,
        told: &mut dyn FnMut(CpuIndex, Result<(), HotplugError>),
    ) -> Result<(), HotplugError> {
        let _request = self.begin(plan, platform)?;
        if !self.tasks_frozen() {
            return Err(HotplugError::AlreadyThere("thawed"));
        }
        self.smp.disabled().fetch_sub(1, Ordering::Relaxed);
        self.thaw(plan, platform, frozen, told);
        Ok(())
    }

    fn thaw<P: HotplugPlatform>(
        &self,
        plan: &Plan<'_>,
        platform: &P,
        frozen: &Frozen,
        told: &mut dyn FnMut(CpuIndex, Result<(), HotplugError>),
    ) {
        for cpu in plan.secondaries().filter(|cpu| frozen.cpus.contains(cpu.index)) {
            told(cpu.index, self.go(plan, platform, cpu, self.steps.online()).map(|_| ()));
        }
        self.smp.frozen().store(0, Ordering::Relaxed);
    }
}
