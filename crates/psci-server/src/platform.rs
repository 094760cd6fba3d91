//! What a server asks of the hardware, or of the hypervisor, it runs on.

use arm_psci::PowerState;

use crate::policy::Policy;

/// What is behind a [`Server`](crate::Server). It does as it is told; what is allowed, the server decides.
///
/// CPUs are numbered by their place in [`Platform::cpu_ids`]. All methods may be called on several CPUs at once; those with a `cpu`
/// that is the caller are called on that CPU.
pub trait Platform {
    /// The affinity fields of the CPUs' MPIDRs (bits 39:32 and 23:0), each once. It never changes.
    ///
    /// In ascending order a CPU is found in as many steps as their number has binary digits, in any other by looking at all.
    fn cpu_ids(&self) -> &[u64];

    /// What is offered to callers.
    fn policy(&self) -> &Policy {
        &Policy::V1_1
    }

    /// Whether a CPU can run what is at this address, which is a multiple of 4.
    fn can_enter(&self, address: u64) -> bool;

    /// Has a CPU that is off come up and ask [`Server::enter`](crate::Server::enter). Does not wait for it.
    ///
    /// The CPU may still be on its way down from a CPU_OFF: a wake-up must stay pending until it sleeps.
    ///
    /// # Errors
    /// Where the CPU will not come. The server takes the entry back, so that a CPU which comes all the same gets none.
    fn power_on(&self, cpu: usize) -> Result<(), Failed>;

    /// Makes ready to switch the calling CPU off, while it is still on to others: migrates what only it has, tells the power
    /// controller.
    ///
    /// # Errors
    /// Where it cannot be switched off. It stays on.
    fn power_off(&self, _cpu: usize) -> Result<(), Failed> {
        Ok(())
    }

    /// Whether CPU_SUSPEND knows this state. Standby with the state id 0, for which WFI will do, by default.
    ///
    /// In [the original format](crate::PowerStateFormat::Original) bits 25:24 of the state id are the power level.
    fn has_power_state(&self, state: PowerState) -> bool {
        state == PowerState::StandbyOrRetention(0)
    }

    /// Makes ready to suspend the calling CPU.
    ///
    /// # Errors
    /// Where it cannot be suspended. It stays on.
    fn suspend(&self, _cpu: usize, _state: PowerState) -> Result<(), Failed> {
        Ok(())
    }

    /// What SMCCC_ARCH_FEATURES says of a function that the platform itself answers; `None` where it does not.
    fn architecture_feature(&self, _function: u32) -> Option<u32> {
        None
    }
}

/// The platform did not do what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the platform did not do what it was told")]
pub struct Failed;
