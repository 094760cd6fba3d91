//! The numbers that say what is wanted: functions, commands, types, classes and flags.

use crate::parameters::{
    Buffer, CpuControl, EnvironmentBuffer, ExitStatus, FirmwareInfo, InputStatus, MemoryInfo, NoParameters, Parameters,
    Time,
};

/// An enumeration whose values are numbers on the wire.
macro_rules! codes {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $code:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)*
        }

        impl $name {
            /// All of them, by their number.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The number that stands for it in a request.
            pub const fn code(self) -> u64 {
                match self {
                    $($name::$variant => $code,)*
                }
            }

            /// What a number stands for, if for anything.
            pub const fn from_code(code: u64) -> Option<Self> {
                match code {
                    $($code => Some($name::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// What a request asks for.
    Function {
        /// `CFE_CMD_FW_GETINFO`: what firmware this is. Takes [`FirmwareInfo`](crate::FirmwareInfo).
        FirmwareGetInfo = 0,
        /// `CFE_CMD_FW_RESTART`: gives the machine back to firmware, with an [`ExitStatus`](crate::ExitStatus).
        Restart = 1,
        /// `CFE_CMD_FW_BOOT`: reserved, and always refused. Takes a [`Buffer`](crate::Buffer).
        Boot = 2,
        /// `CFE_CMD_FW_CPUCTL`: starts and stops other CPUs. Takes [`CpuControl`](crate::CpuControl).
        CpuControl = 3,
        /// `CFE_CMD_FW_GETTIME`: the time since reset in tenths of a second. Takes [`Time`](crate::Time).
        GetTime = 4,
        /// `CFE_CMD_FW_MEMENUM`: one region of memory, by number. Takes [`MemoryInfo`](crate::MemoryInfo).
        MemoryEnumerate = 5,
        /// `CFE_CMD_FW_FLUSHCACHE`: what [`CacheFlags`] in the request's flags say. Has no parameters.
        FlushCache = 6,
        /// `CFE_CMD_DEV_GETHANDLE`: the handle of what the request's flags name. Has no parameters.
        DeviceGetHandle = 9,
        /// `CFE_CMD_DEV_ENUM`: one device's name, by number. Takes an [`EnvironmentBuffer`](crate::EnvironmentBuffer).
        DeviceEnumerate = 10,
        /// `CFE_CMD_DEV_OPEN`: a handle for the device that a [`Buffer`](crate::Buffer) names.
        DeviceOpen = 11,
        /// `CFE_CMD_DEV_INPSTAT`: whether there is something to read. Takes [`InputStatus`](crate::InputStatus).
        DeviceInputStatus = 12,
        /// `CFE_CMD_DEV_READ`: reads into a [`Buffer`](crate::Buffer).
        DeviceRead = 13,
        /// `CFE_CMD_DEV_WRITE`: writes from a [`Buffer`](crate::Buffer).
        DeviceWrite = 14,
        /// `CFE_CMD_DEV_IOCTL`: a command to a device, in a [`Buffer`](crate::Buffer).
        DeviceControl = 15,
        /// `CFE_CMD_DEV_CLOSE`: gives a handle back. Has no parameters.
        DeviceClose = 16,
        /// `CFE_CMD_DEV_GETINFO`: the class of the device that a [`Buffer`](crate::Buffer) names.
        DeviceGetInfo = 17,
        /// `CFE_CMD_ENV_ENUM`: one environment variable, by number. Takes an
        /// [`EnvironmentBuffer`](crate::EnvironmentBuffer), as the three that follow.
        EnvironmentEnumerate = 20,
        /// `CFE_CMD_ENV_GET`: a variable's value.
        EnvironmentGet = 22,
        /// `CFE_CMD_ENV_SET`: sets a variable.
        EnvironmentSet = 23,
        /// `CFE_CMD_ENV_DEL`: deletes a variable.
        EnvironmentDelete = 24,
    }
}

impl Function {
    /// How long its parameter list is, in bytes.
    pub const fn parameter_size(self) -> u64 {
        match self {
            Self::FirmwareGetInfo => FirmwareInfo::SIZE,
            Self::Restart => ExitStatus::SIZE,
            Self::CpuControl => CpuControl::SIZE,
            Self::GetTime => Time::SIZE,
            Self::MemoryEnumerate => MemoryInfo::SIZE,
            Self::DeviceInputStatus => InputStatus::SIZE,
            Self::FlushCache | Self::DeviceGetHandle | Self::DeviceClose => NoParameters::SIZE,
            Self::Boot
            | Self::DeviceOpen
            | Self::DeviceRead
            | Self::DeviceWrite
            | Self::DeviceControl
            | Self::DeviceGetInfo => Buffer::SIZE,
            Self::DeviceEnumerate
            | Self::EnvironmentEnumerate
            | Self::EnvironmentGet
            | Self::EnvironmentSet
            | Self::EnvironmentDelete => EnvironmentBuffer::SIZE,
        }
    }
}

codes! {
    /// What is to happen to a CPU.
    CpuCommand {
        /// `CFE_CPU_CMD_STOP`: it goes back to firmware, and waits there to be started.
        Stop = 0,
        /// `CFE_CPU_CMD_START`: it leaves firmware.
        Start = 1,
    }
}

codes! {
    /// What a region of memory is good for.
    MemoryType {
        /// `CFE_MI_RESERVED`: for nothing; firmware has it.
        Reserved = 0,
        /// `CFE_MI_AVAILABLE`: for the program that firmware entered.
        Available = 1,
    }
}

codes! {
    /// What kind a device is, by [`Function::DeviceGetInfo`].
    DeviceClass {
        /// `CFE_DEV_NETWORK`.
        Network = 1,
        /// `CFE_DEV_DISK`.
        Disk = 2,
        /// `CFE_DEV_FLASH`.
        Flash = 3,
        /// `CFE_DEV_SERIAL`.
        Serial = 4,
        /// `CFE_DEV_CPU`.
        Cpu = 5,
        /// `CFE_DEV_NVRAM`.
        Nvram = 6,
        /// `CFE_DEV_CLOCK`.
        Clock = 7,
        /// `CFE_DEV_OTHER`.
        Other = 8,
    }
}

/// A set of flags, one bit each.
macro_rules! flags {
    ($(#[$meta:meta])* $name:ident { $($(#[$flag_meta:meta])* $flag:ident = $bits:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub struct $name(pub u64);

        impl $name {
            $($(#[$flag_meta])* pub const $flag: Self = Self($bits);)*

            /// Every flag that has a name.
            pub const ALL: Self = Self(0 $(| $bits)*);

            /// Whether all of `flags` are in it.
            pub const fn contains(self, flags: Self) -> bool {
                self.0 & flags.0 == flags.0
            }

            /// What is in either.
            pub const fn union(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }

        impl core::ops::BitOr for $name {
            type Output = Self;

            fn bitor(self, other: Self) -> Self {
                self.union(other)
            }
        }
    };
}

flags! {
    /// What [`Function::FlushCache`] does, in the request's flags.
    CacheFlags {
        /// `CFE_CACHE_FLUSH_D`: writes the data cache back and invalidates it.
        FLUSH_DATA = 1,
        /// `CFE_CACHE_INVAL_I`: invalidates the instruction cache.
        INVALIDATE_INSTRUCTION = 2,
        /// `CFE_CACHE_INVAL_D`: invalidates the data cache, and what was not written back is lost.
        INVALIDATE_DATA = 4,
        /// `CFE_CACHE_INVAL_L2`: invalidates the second-level cache.
        INVALIDATE_L2 = 8,
    }
}

flags! {
    /// What a firmware is, in [`FirmwareInfo::flags`](crate::FirmwareInfo::flags).
    FirmwareFlags {
        /// `CFE_FWI_64BIT`.
        BITS_64 = 1,
        /// `CFE_FWI_32BIT`.
        BITS_32 = 2,
        /// `CFE_FWI_RELOC`: it was moved from where it was linked.
        RELOCATED = 4,
        /// `CFE_FWI_UNCACHED`.
        UNCACHED = 8,
        /// `CFE_FWI_MULTICPU`: there are CPUs that [`Function::CpuControl`] can start.
        MULTIPLE_CPUS = 0x10,
        /// `CFE_FWI_FUNCSIM`: on a functional simulator.
        FUNCTIONAL_SIMULATOR = 0x20,
        /// `CFE_FWI_RTLSIM`: on a simulation of the hardware's description.
        HARDWARE_SIMULATION = 0x40,
    }
}

/// `CFE_FLG_WARMSTART`, with [`Function::Restart`]: back to firmware's prompt, not through reset.
pub const FLAG_WARM_START: u64 = 1;

/// `CFE_FLG_FULL_ARENA`, with [`Function::MemoryEnumerate`]: everything that firmware knows of.
pub const FLAG_FULL_ARENA: u64 = 1;

/// `CFE_FLG_ENV_PERMANENT`, with [`Function::EnvironmentSet`]: also after the next reset.
pub const FLAG_ENVIRONMENT_PERMANENT: u64 = 1;

/// `CFE_STDHANDLE_CONSOLE`, in the flags of [`Function::DeviceGetHandle`].
pub const STANDARD_HANDLE_CONSOLE: u64 = 0;

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    #[test]
    fn each_function_has_the_number_of_the_manual() {
        let numbers: Vec<_> = Function::ALL.iter().map(|function| function.code()).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 9, 10, 11, 12, 13, 14, 15, 16, 17, 20, 22, 23, 24]);
        assert_eq!(Function::CpuControl.code(), 3);
        assert_eq!(Function::EnvironmentDelete.code(), 24);
    }

    #[test]
    fn each_function_takes_the_list_of_the_manual() {
        let sizes: Vec<_> = Function::ALL.iter().map(|function| function.parameter_size()).collect();
        assert_eq!(sizes, [80, 8, 40, 48, 8, 32, 0, 0, 40, 40, 8, 40, 40, 40, 0, 40, 40, 40, 40, 40]);
    }

    #[test]
    fn every_number_stands_for_its_function_or_for_none() {
        for code in 0..64 {
            let named = Function::ALL.iter().find(|function| function.code() == code).copied();
            assert_eq!(Function::from_code(code), named);
        }
        for code in [7, 8, 18, 19, 21, 25, 32, 0x8000, 1 << 32, u64::MAX] {
            assert_eq!(Function::from_code(code), None, "{code:#x}");
        }
    }

    #[test]
    fn commands_types_and_flags_have_the_numbers_of_the_manual() {
        assert_eq!((CpuCommand::Stop.code(), CpuCommand::Start.code()), (0, 1));
        assert_eq!(CpuCommand::from_code(2), None);
        assert_eq!((MemoryType::Reserved.code(), MemoryType::Available.code()), (0, 1));
        assert_eq!(DeviceClass::Serial.code(), 4);
        assert_eq!(FirmwareFlags::BITS_32 | FirmwareFlags::MULTIPLE_CPUS, FirmwareFlags(0x12));
        assert_eq!(CacheFlags::ALL, CacheFlags(15));
        assert!(CacheFlags(3).contains(CacheFlags::INVALIDATE_INSTRUCTION));
        assert!(!CacheFlags(3).contains(CacheFlags::INVALIDATE_DATA | CacheFlags::FLUSH_DATA));
    }
}
