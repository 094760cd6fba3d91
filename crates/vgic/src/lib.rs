//! A GICv3 (Arm IHI 0069) for a guest: what a hypervisor at EL2 decides when the guest touches its interrupt controller.
//!
//! A [`Vgic`] is the interrupts of one guest. The guest reads and writes the registers of distributor and redistributors
//! ([`Vgic::write_distributor`] and so on), sends SGIs ([`Vgic::send_sgi`]); devices raise and lower their inputs ([`Vgic::set_spi`],
//! [`Vgic::set_ppi`]). Before a vCPU runs, [`Vgic::fill`] chooses what goes into the list registers of the CPU; after it has run,
//! [`Vgic::sync`] takes back what became of that. Whatever makes an interrupt deliverable answers with a [`VcpuSet`]: those vCPUs are
//! to be woken if they sleep, and to be made to leave the guest if they run on another CPU.
//!
//! ```
//! use vgic::{AccessSize, SgiGroup, VcpuSet, Vgic};
//!
//! let mut vgic = Vgic::new(2, 32)?;
//! // The guest enables Group 1 in GICD_CTLR, and SGI 3 on vCPU 1 in GICR_ISENABLER0.
//! let _ = vgic.write_distributor(0x0, AccessSize::Word, 0b10);
//! let _ = vgic.write_redistributors(0x3_0100, AccessSize::Word, 1 << 3);
//!
//! // vCPU 0 writes ICC_SGI1R_EL1: INTID 3 to the CPU with affinity 0.0.0.1.
//! assert_eq!(vgic.send_sgi(0, SgiGroup::Group1, 3 << 24 | 1 << 1), VcpuSet::one(1));
//!
//! // The hypervisor kicks vCPU 1. It leaves the guest, and before it enters again its list registers are filled.
//! let vmcr = 0xff << 24 | 0b10; // the guest takes Group 1, of any priority
//! assert!(vgic.has_deliverable(1, vmcr));
//! let mut list_registers = [0; 4];
//! let hcr = vgic.fill(1, vmcr, &mut list_registers);
//! assert_eq!(list_registers[0], 0b01 << 62 | 1 << 60 | 3);
//!
//! // It took the interrupt and ended it: the list register came back invalid.
//! list_registers[0] &= !(0b11 << 62);
//! assert!(vgic.sync(1, &list_registers, hcr).is_empty());
//! assert!(!vgic.has_deliverable(1, vmcr));
//! # Ok::<(), vgic::SizeError>(())
//! ```
//!
//! # What is the hypervisor's
//!
//! - **A lock for each guest.** There is none in here, and methods that change something take `&mut self`: a write of one vCPU concerns
//!   interrupts of others, and what a guest does with its interrupt controller is short.
//! - **`sync` after every exit, before anything else is done with this guest, and `fill` before every entry**, with the registers of
//!   the CPU it runs on. In between the interrupt is in the list register, and what was last known of it is read in the registers.
//! - ICH_VMCR_EL2, ICH_AP0Rn_EL2 and ICH_AP1Rn_EL2 belong to the vCPU, and are kept and restored when another runs.
//! - ICH_HCR_EL2 is what `fill` says. It asks for maintenance interrupts where one is needed; the handler has nothing to do, since the
//!   exit it causes is what was wanted.
//! - A trapped write to ICC_DIR_EL1 is [`Vgic::deactivate`]; to ICC_SGI1R_EL1 and ICC_SGI0R_EL1, [`Vgic::send_sgi`].
//! - A vCPU that is off is not woken. Its interrupts stay pending.
//!
//! # What the guest sees
//!
//! One security state (GICD_CTLR.DS is 1), affinity routing always on, affinities as [`affinity`] gives them, 32 priorities, no LPIs,
//! no message-based SPIs, no 1-of-N routing. All interrupts are in Group 1 after reset. Redistributors are always awake. Registers
//! and access sizes that the specification does not have read as zero and ignore writes. GICD_CTLR.RWP and GICR_CTLR.RWP are set while
//! an interrupt that has been disabled may still be taken by a vCPU that runs.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod access;
mod affinity;
mod block;
mod list_register;
mod vcpu_set;
mod vgic;

pub use access::AccessSize;
pub use affinity::{SgiGroup, affinity, vcpu_of};
pub use vcpu_set::VcpuSet;
pub use vgic::{MAX_SPIS, MAX_VCPUS, REDISTRIBUTOR_SIZE, SizeError, Vgic};
