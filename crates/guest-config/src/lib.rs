//! Which guests a hypervisor starts, and what each is told of its machine.
//!
//! [`Configuration::read`] reads Xen's boot protocol from the devicetree of the machine: modules in `/chosen` are guest 0's, nodes
//! compatible with `xen,domain` are further guests. What a guest asks for is held against [`Limits`]: it is a [`Guest`], or [`Refused`]
//! with the [`Reason`]. [`GuestMachine::devicetree`] is what the guest is then given.
//!
//! # What is read
//!
//! | where | what |
//! |---|---|
//! | `/chosen`, and each `xen,domain` | modules: `multiboot,module`, more precisely `multiboot,kernel` or `multiboot,ramdisk`; or with Xen 4.4's names `xen,multiboot-module`, `xen,linux-zimage`, `xen,linux-initrd` |
//! | a module | `reg`, `bootargs` |
//! | `/chosen` | `xen,xen-bootargs`, `xen,dom0-bootargs`, `bootargs`; `linux,initrd-start` and `linux,initrd-end`, for guest 0 without a module for its ramdisk |
//! | a `xen,domain` | `cpus`, `memory` in KiB in one cell or two, `vpl011`, `nr_spis` |
//! | a `xen,vcpu` in a `xen,domain` | `id`, and `hard-affinity` with the number of one CPU: the vCPU runs there alone |
//! | the hypervisor's own command line | `dom0_max_vcpus=`, `dom0_mem=`, `dom0_vcpus_pin`, for guest 0 |
//!
//! A module in `/chosen` that does not say what it is: the first is the kernel, the second the ramdisk. Nodes that do not say how many
//! cells an address has inherit that from the node above, as Xen reads them: QEMU's `guest-loader` relies on it. Without a kernel in
//! `/chosen` there is no guest 0.
//!
//! # What is refused
//!
//! What would leave a guest with less than it was promised: devices of the machine (`multiboot,device-tree`, `passthrough`), memory at fixed
//! addresses (`xen,static-mem`, `direct-map`) or shared with others, Xen's own interfaces (`xen,enhanced`), a part of the machine of its own
//! (`domain-cpupool`, `llc-colors`). And what cannot be: see [`Reason`]. A guest that is refused takes nothing from the others.
//!
//! [`Layout`] is where in its memory a guest finds what it begins with.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod command_line;
mod configuration;
mod layout;
mod machine;
mod module;
mod pins;
mod refused;
#[cfg(feature = "write")]
mod write;

pub use configuration::{Configuration, GUEST_0, Guest, Limits};
pub use layout::{HEADER, Layout};
pub use machine::{DevicetreeError, GuestMachine, Pl011};
pub use module::Module;
pub use pins::Pins;
pub use refused::{Reason, Refused};
#[cfg(feature = "write")]
pub use write::write;
