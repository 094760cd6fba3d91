//! CPU_ON, CPU_OFF and CPU_SUSPEND: what changes the state of CPUs.

use arm_psci::{ErrorCode, PowerState};

use super::{Answer, Arguments, Server, affinity};
use crate::cpu::CpuState;
use crate::platform::Platform;

impl<P: Platform, const CPUS: usize> Server<P, CPUS> {
    pub(super) fn cpu_on(&self, arguments: &Arguments) -> Result<Answer, ErrorCode> {
        let target = self.find(affinity(arguments.x1)?).ok_or(ErrorCode::InvalidParameters)?;
        let entry = arguments.entry();
        self.check_entry(entry.address)?;
        let cpu = &self.cpus[target];
        let pending = cpu.switch_on(entry).map_err(|state| match state {
            CpuState::Off | CpuState::OnPending => ErrorCode::OnPending,
            CpuState::On | CpuState::Suspended => ErrorCode::AlreadyOn,
        })?;
        // A CPU that has entered all the same was switched on, whatever the platform says.
        if self.platform.power_on(target).is_err() && cpu.withdraw(pending) {
            return Err(ErrorCode::InternalFailure);
        }
        Ok(Answer::Return(0))
    }

    pub(super) fn cpu_off(&self, caller: usize) -> Result<Answer, ErrorCode> {
        let cpu = self.cpu(caller).ok_or(ErrorCode::Denied)?;
        if self.state(caller) != Some(CpuState::On) || self.platform.power_off(caller).is_err() {
            return Err(ErrorCode::Denied);
        }
        if cpu.off() { Ok(Answer::Off) } else { Err(ErrorCode::Denied) }
    }

    pub(super) fn cpu_suspend(&self, caller: usize, arguments: &Arguments) -> Result<Answer, ErrorCode> {
        let format = self.platform.policy().power_state_format;
        let state = format.parse(arguments.x1 as u32).filter(|state| self.platform.has_power_state(*state));
        let state = state.ok_or(ErrorCode::InvalidParameters)?;
        let entry = match state {
            PowerState::StandbyOrRetention(_) => None,
            PowerState::PowerDown(_) => {
                self.check_entry(arguments.x2)?;
                Some(arguments.entry())
            }
        };
        let cpu = self.cpu(caller).ok_or(ErrorCode::Denied)?;
        if self.state(caller) != Some(CpuState::On) || self.platform.suspend(caller, state).is_err() {
            return Err(ErrorCode::Denied);
        }
        if cpu.suspend(entry) { Ok(Answer::Suspended(state)) } else { Err(ErrorCode::Denied) }
    }

    fn check_entry(&self, address: u64) -> Result<(), ErrorCode> {
        let runnable = address.is_multiple_of(4) && self.platform.can_enter(address);
        if runnable { Ok(()) } else { Err(ErrorCode::InvalidAddress) }
    }
}
