//! The vCPUs of a guest, as the PSCI server sees them.

use alloc::sync::Weak;
use alloc::vec::Vec;
use core::ops::Range;

use psci_server::{Failed, Platform};
use spin::Once;
use vgic::affinity;

use super::Guest;

/// They sleep in their threads until they are switched on: no CPU of the machine is.
pub struct GuestCpus {
    ids: Vec<u64>,
    ram: Range<u64>,
    guest: Once<Weak<Guest>>,
}

impl GuestCpus {
    /// So many vCPUs, which can run what is in `ram`.
    pub fn new(vcpus: usize, ram: Range<u64>) -> Self {
        Self { ids: (0..vcpus).map(affinity).collect(), ram, guest: Once::new() }
    }

    /// Says whose they are.
    pub fn set_guest(&self, guest: Weak<Guest>) {
        self.guest.call_once(|| guest);
    }
}

impl Platform for GuestCpus {
    fn cpu_ids(&self) -> &[u64] {
        &self.ids
    }

    fn can_enter(&self, address: u64) -> bool {
        self.ram.contains(&address)
    }

    fn power_on(&self, cpu: usize) -> Result<(), Failed> {
        let guest = self.guest.get().and_then(Weak::upgrade).ok_or(Failed)?;
        guest.wake(cpu);
        Ok(())
    }
}
