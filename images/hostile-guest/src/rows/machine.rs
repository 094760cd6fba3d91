//! The machine as the hypervisor makes it for a guest, and what of the real machine lies where: QEMU's `virt`.

/// The distributor of the guest's GIC.
pub const DISTRIBUTOR: u64 = 0x0800_0000;
/// How much of it is there.
pub const DISTRIBUTOR_SIZE: u64 = 0x1_0000;
/// The redistributors.
pub const REDISTRIBUTORS: u64 = 0x080a_0000;
/// How much of them is one vCPU's.
pub const REDISTRIBUTOR_SIZE: u64 = 0x2_0000;
/// The UART.
pub const UART: u64 = 0x0900_0000;
/// The private interrupt of the timer.
pub const TIMER: u32 = 27;

/// What the machine has and the guest has not, by name and first address. Some of it is the secure world's.
pub const NOT_ITS_OWN: &[(&str, u64)] = &[
    ("flash", 0x0),
    ("flash 1", 0x0400_0000),
    ("GICv2 CPU interface", 0x0801_0000),
    ("GICv2m", 0x0802_0000),
    ("GICH", 0x0803_0000),
    ("GICV", 0x0804_0000),
    ("ITS", 0x0808_0000),
    ("the UART's next page", 0x0900_1000),
    ("RTC", 0x0901_0000),
    ("fw_cfg", 0x0902_0000),
    ("GPIO", 0x0903_0000),
    ("secure UART", 0x0904_0000),
    ("SMMU", 0x0905_0000),
    ("ACPI GED", 0x0908_0000),
    ("virtio-mmio 0", 0x0a00_0000),
    ("virtio-mmio 31", 0x0a00_3e00),
    ("platform bus", 0x0c00_0000),
    ("secure memory", 0x0e00_0000),
    ("PCIe memory", 0x1000_0000),
    ("PCIe I/O", 0x3eff_0000),
    ("PCIe configuration", 0x3f00_0000),
    ("redistributors 2", 0x40_0000_0000),
    ("PCIe configuration, high", 0x40_1000_0000),
];
