//! Why a guest is not started.

use thiserror::Error;

use crate::module::Module;

/// A guest that cannot be served.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{name}: {reason}")]
pub struct Refused<'a> {
    /// The guest: the name of its node, or [`GUEST_0`](crate::GUEST_0).
    pub name: &'a str,
    /// Why.
    pub reason: Reason<'a>,
}

/// Why a guest cannot be served.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason<'a> {
    /// No module is its kernel.
    #[error("no module is its kernel")]
    NoKernel,
    /// Several modules of one kind.
    #[error("more than one module is its {0}")]
    Several(&'static str),
    /// A property is missing.
    #[error("its node has no {0}")]
    Missing(&'static str),
    /// A property is not what the protocol says.
    #[error("{property} in {node} is not {expected}")]
    Malformed {
        /// The node's name.
        node: &'a str,
        /// The property's name.
        property: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// An option for it on the hypervisor's command line says nothing that can be understood.
    #[error("{option}={value} on the hypervisor's command line is not {expected}")]
    Option {
        /// The option.
        option: &'static str,
        /// What it says.
        value: &'a str,
        /// What it should say.
        expected: &'static str,
    },
    /// Too few vCPUs, or too many.
    #[error("it asks for {asked} vCPUs, where a guest may have 1 to {most}")]
    Vcpus {
        /// What it asks for.
        asked: u64,
        /// What it could have.
        most: usize,
    },
    /// A vCPU is bound that it does not have.
    #[error("it binds vCPU {asked} to a CPU, and has {vcpus} vCPUs")]
    NoSuchVcpu {
        /// The vCPU.
        asked: u64,
        /// How many it has.
        vcpus: usize,
    },
    /// A vCPU is bound to a CPU that the machine does not have.
    #[error("its vCPU {vcpu} is bound to CPU {cpu}, and the machine has {cpus} CPUs")]
    NoSuchCpu {
        /// The vCPU.
        vcpu: usize,
        /// The CPU.
        cpu: usize,
        /// How many there are.
        cpus: usize,
    },
    /// Too little memory to run in.
    #[error("it asks for {asked} KiB of memory, and {least} KiB is the least that is given")]
    TooLittleMemory {
        /// What it asks for, in KiB.
        asked: u64,
        /// The least, in KiB.
        least: u64,
    },
    /// More memory than there is for it.
    #[error("it asks for {asked} KiB of memory, and {left} KiB are left")]
    TooMuchMemory {
        /// What it asks for, in KiB.
        asked: u64,
        /// What is left, in KiB.
        left: u64,
    },
    /// Memory of a size that is none.
    #[error("it asks for {asked} KiB of memory, which is no multiple of {unit} KiB")]
    UnevenMemory {
        /// What it asks for, in KiB.
        asked: u64,
        /// What it should be a multiple of, in KiB.
        unit: u64,
    },
    /// More guests than there can be.
    #[error("there are {most} guests before it, and no more can be")]
    TooManyGuests {
        /// How many there can be.
        most: usize,
    },
    /// More SPIs than an interrupt controller has.
    #[error("it asks for {asked} SPIs, where a guest may have {most}")]
    Spis {
        /// What it asks for.
        asked: u32,
        /// What it could have.
        most: u32,
    },
    /// A module of no bytes.
    #[error("the module {0} is empty")]
    EmptyModule(&'a str),
    /// A module that is not in memory.
    #[error("the module {node} at {module} is not in the machine's memory")]
    ModuleOutsideMemory {
        /// The node's name.
        node: &'a str,
        /// Where it is said to be.
        module: Module,
    },
    /// Modules that do not fit into the guest's memory.
    #[error("its kernel and ramdisk are {modules} bytes, which do not fit into {memory} KiB of memory")]
    ModulesDoNotFit {
        /// Both together, in bytes.
        modules: u64,
        /// Its memory, in KiB.
        memory: u64,
    },
    /// Its kernel is not what can be started.
    #[error("its kernel is no arm64 Image")]
    NoImage,
    /// Its kernel needs more memory than its file has bytes.
    #[error(
        "its kernel needs {kernel} bytes, {ramdisk} its ramdisk and {devicetree} its devicetree, which do not fit into {memory} KiB of memory"
    )]
    KernelDoesNotFit {
        /// What the kernel needs from the beginning of the memory on, in bytes.
        kernel: u64,
        /// The ramdisk's size in bytes, or 0.
        ramdisk: u64,
        /// What is kept for the devicetree, in bytes.
        devicetree: u64,
        /// The guest's memory, in KiB.
        memory: u64,
    },
    /// Something that this hypervisor does not do.
    #[error("it has {0}, which is not supported")]
    Unsupported(&'static str),
}
