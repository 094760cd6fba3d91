//! Wakes the CPUs of a machine.
//!
//! A machine starts with one CPU running. This crate decides which others there are, starts them through whatever the
//! machine offers, meets each by a deadline, and says of every one what became of it. It is neutral: the entry code, cache
//! maintenance and enable methods of an architecture are in `reveille-aarch64` and its siblings.
//!
//! ```text
//! topology ──▶ method ──▶ prepare ──▶ kick ──▶ rendezvous ──▶ outcome
//! Topology     EnableMethod  Platform   Bringup   ClaimWord      Outcome
//! ```
//!
//! A system gives a clock and the memory of its CPUs ([`Platform`]), keeps one [`Smp`] in a `static`, and calls, on its
//! boot CPU: [`Topology::read_fdt`] or [`Topology::read_madt`], [`Smp::init_cpus`], [`Smp::prepare_cpus`], [`Smp::bring_up`].
//! Each new CPU calls [`Arrival::stage`] as it goes and [`Arrival::online`] when it can take interrupts.
//!
//! # Example
//!
//! A kernel that brings its CPUs up and says what became of each:
//!
//! ```
//! use dtoolkit::fdt::Fdt;
//! use reveille::topology::FdtOptions;
//! use reveille::{
//!     CallError, ContextId, Cpu, EnableMethod, HwId, Instant, MAX_CPUS, Outcome, Plan, Platform, Policy, Smp,
//!     SmpOptions, Stage, Summary, Timeout, Topology,
//! };
//!
//! static SMP: Smp = Smp::new();
//!
//! struct Kernel;
//!
//! impl Platform for Kernel {
//!     fn now(&self) -> Instant {
//!         # fn read_counter_as_nanoseconds() -> u64 { 0 }
//!         Instant(read_counter_as_nanoseconds())
//!     }
//!
//!     fn relax(&self) {
//!         core::hint::spin_loop();
//!     }
//!
//!     fn prepare(&self, cpu: &Cpu) -> Result<(), CallError> {
//!         # fn allocate_stack(_: usize) -> Option<()> { Some(()) }
//!         let none = CallError { call: "allocate_stack", code: 0, meaning: "no memory" };
//!         allocate_stack(cpu.index.get()).ok_or(none)
//!     }
//! }
//!
//! /// On the boot CPU, with its MMU and caches on. `psci` is an enable method, such as `reveille_aarch64::psci::Psci`.
//! fn wake_the_others(fdt: &Fdt<'_>, boot_cpu: HwId, psci: &dyn EnableMethod, topology: &mut Topology) -> Summary {
//!     let smp_options = SmpOptions::from_command_line("maxcpus=4");
//!     let fdt_options = FdtOptions {
//!         boot_cpu,
//!         hw_id_mask: 0xff_00ff_ffff,
//!         methods: &[psci.name()],
//!         nr_cpus: smp_options.nr_cpus,
//!     };
//!     # macro_rules! log { ($($argument:tt)*) => { println!($($argument)*) } }
//!     let read = topology.read_fdt(fdt, &fdt_options, &mut |cpu| log!("{} is left out: {}", cpu.node, cpu.reason));
//!     if let Err(error) = read {
//!         log!("the boot CPU stays alone: {error}");
//!     }
//!
//!     let plan = Plan {
//!         topology,
//!         methods: &[psci],
//!         options: smp_options,
//!         policy: Policy::PARALLEL,
//!         timeout: Timeout::DEFAULT,
//!     };
//!     let mut outcomes = [Outcome::NotAsked; MAX_CPUS];
//!     SMP.masks.boot_cpu_init();
//!     SMP.init_cpus(&plan, &mut outcomes);
//!     SMP.prepare_cpus(&plan, &mut outcomes);
//!     let summary = SMP.bring_up(&plan, &Kernel, &mut outcomes);
//!     for (cpu, outcome) in topology.cpus().iter().zip(&outcomes).skip(1) {
//!         log!("CPU {} ({}): {outcome}", cpu.index, cpu.hw_id);
//!     }
//!     summary
//! }
//!
//! /// On each new CPU, when the architecture's entry code has switched its MMU and caches on.
//! fn secondary_start(raw_context: u32) {
//!     # fn park() {}
//!     # fn set_up_interrupts() {}
//!     # fn idle() {}
//!     let claimed = ContextId::from_raw(raw_context).and_then(|context| SMP.claim(context).ok());
//!     let Some(arrival) = claimed else { return park() };
//!     arrival.stage(Stage(1));
//!     set_up_interrupts();
//!     match arrival.online() {
//!         Ok(()) => idle(),
//!         Err(_) => park(),
//!     }
//! }
//! # // A machine whose second CPU runs the moment it is kicked.
//! # struct Instantly;
//! # impl EnableMethod for Instantly {
//! #     fn name(&self) -> &'static str { "psci" }
//! #     fn cpu_prepare(&self, _: &Cpu) -> Result<(), CallError> { Ok(()) }
//! #     fn cpu_boot(&self, _: &Cpu, context: ContextId) -> Result<(), CallError> {
//! #         secondary_start(context.to_raw());
//! #         Ok(())
//! #     }
//! # }
//! # use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
//! # let mut cpus = DeviceTreeNode::new("cpus").unwrap();
//! # for id in 0..2u32 {
//! #     let mut cpu = DeviceTreeNode::new(format!("cpu@{id}")).unwrap();
//! #     cpu.add_property(DeviceTreeProperty::new("reg", id).unwrap());
//! #     cpu.add_property(DeviceTreeProperty::new("enable-method", "psci").unwrap());
//! #     cpus.add_child(cpu);
//! # }
//! # let mut tree = DeviceTree::new();
//! # tree.root.add_child(cpus);
//! # let blob = tree.to_dtb();
//! # let mut topology = Topology::new(HwId(0));
//! # let summary = wake_the_others(&Fdt::new(&blob).unwrap(), HwId(0), &Instantly, &mut topology);
//! # assert_eq!(summary, Summary { asked: 2, online: 2 });
//! ```
//!
//! For CPUs that come and go, and for what subsystems do to each of them, there is [`hotplug`], which is built on the same pieces; for
//! leaving the CPUs to another system, [`handover`].
//!
//! `no_std`, no allocator, no `unsafe`. Nothing waits for ever: every wait has a [`Deadline`].

#![no_std]
#![forbid(unsafe_code)]

pub mod acpi;
mod bringup;
mod cpu;
pub mod handover;
pub mod hotplug;
mod mask;
mod method;
mod options;
pub mod rendezvous;
mod smp;
mod sync;
mod time;
pub mod topology;
pub mod trace;

pub use bringup::{Bringup, Event, Outcome, Plan, Platform, Policy, Progress, Summary};
pub use cpu::{CpuIndex, HwId, MAX_CPUS};
pub use mask::{CpuMask, CpuMasks, SharedCpuMask};
pub use method::{CallError, EnableMethod, FirmwareState};
pub use options::SmpOptions;
pub use rendezvous::{ClaimWord, ContextId};
pub use smp::{Arrival, Smp, Stage};
pub use time::{Deadline, Instant, Timeout};
pub use topology::{Cpu, Topology};
