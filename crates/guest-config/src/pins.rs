//! Which CPU each vCPU of a guest is bound to, if to any: Xen's `xen,vcpu` nodes with `hard-affinity`, and `dom0_vcpus_pin`.

use dtoolkit::Node;
use dtoolkit::fdt::FdtNode;

use crate::configuration::number;
use crate::module::{is_compatible, text};
use crate::refused::Reason;

/// The CPU of each vCPU that has one of its own to run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pins([Option<u16>; Self::MOST]);

impl Pins {
    /// Of how many vCPUs it can be said, from vCPU 0 on.
    pub const MOST: usize = 64;
    /// Every vCPU may run on any CPU.
    pub const NONE: Self = Self([None; Self::MOST]);

    /// vCPU 0 on CPU 0, and so on.
    #[must_use]
    pub fn in_order(vcpus: usize) -> Self {
        let mut pins = Self::NONE;
        pins.0.iter_mut().zip(0..).take(vcpus).for_each(|(pin, cpu)| *pin = Some(cpu));
        pins
    }

    /// The CPU that `vcpu` is bound to.
    #[must_use]
    pub fn get(&self, vcpu: usize) -> Option<usize> {
        self.0.get(vcpu).copied().flatten().map(usize::from)
    }

    /// Binds `vcpu` to `cpu`. Whether there can be such.
    pub fn set(&mut self, vcpu: usize, cpu: usize) -> bool {
        match (self.0.get_mut(vcpu), u16::try_from(cpu)) {
            (Some(pin), Ok(cpu)) => {
                *pin = Some(cpu);
                true
            }
            _ => false,
        }
    }

    /// What is bound: vCPUs and their CPUs.
    pub fn iter(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.0.iter().enumerate().filter_map(|(vcpu, pin)| Some((vcpu, usize::from((*pin)?))))
    }
}

impl Default for Pins {
    fn default() -> Self {
        Self::NONE
    }
}

/// What the nodes of a domain's vCPUs say.
pub(crate) fn read<'a>(domain: &FdtNode<'a>, vcpus: usize) -> Result<Pins, Reason<'a>> {
    let mut pins = Pins::NONE;
    for node in domain.children().filter(|node| is_compatible(node, "xen,vcpu")) {
        let asked = number(&node, "id")?.ok_or(Reason::Missing("id in a vCPU's node"))?;
        let Some(affinity) = text(&node, "hard-affinity")? else { continue };
        // Of several CPUs none is chosen for the guest.
        let malformed =
            Reason::Malformed { node: node.name(), property: "hard-affinity", expected: "the number of one CPU" };
        let cpu = affinity.parse().map_err(|_| malformed)?;
        let vcpu = usize::try_from(asked).ok().filter(|&vcpu| vcpu < vcpus.min(Pins::MOST));
        let vcpu = vcpu.ok_or(Reason::NoSuchVcpu { asked, vcpus })?;
        if !pins.set(vcpu, cpu) {
            return Err(malformed);
        }
    }
    Ok(pins)
}

/// Whether there are the CPUs that vCPUs are bound to.
pub(crate) fn check(pins: Pins, cpus: usize) -> Result<Pins, Reason<'static>> {
    match pins.iter().find(|&(_, cpu)| cpu >= cpus) {
        Some((vcpu, cpu)) => Err(Reason::NoSuchCpu { vcpu, cpu, cpus }),
        None => Ok(pins),
    }
}
