//! What a request carries beside its header: parameter lists, one shape for each kind of function.

/// How many 64-bit words the longest parameter list has.
pub const MAX_WORDS: usize = 10;

/// A parameter list. Its size is part of the request, and must be right to the byte.
pub trait Parameters: Copy + sealed::Sealed {
    /// How many bytes it takes in a request.
    const SIZE: u64;

    /// The list as it stands in a request. What is behind it is not touched.
    fn write(self, words: &mut [u64; MAX_WORDS]);

    /// The list that stands in a request.
    fn read(words: &[u64; MAX_WORDS]) -> Self;
}

mod sealed {
    pub trait Sealed {}
}

/// Parameter lists, field by field as they stand in a request.
macro_rules! parameter_lists {
    ($($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
            #[repr(C)]
            pub struct $name {
                $($(#[$field_meta])* pub $field: $type,)*
            }

            impl sealed::Sealed for $name {}

            impl Parameters for $name {
                const SIZE: u64 = size_of::<Self>() as u64;

                fn write(self, words: &mut [u64; MAX_WORDS]) {
                    let fields: &[u64] = &[$(self.$field as u64,)*];
                    words[..fields.len()].copy_from_slice(fields);
                }

                fn read(words: &[u64; MAX_WORDS]) -> Self {
                    let mut words = words.iter().copied();
                    Self { $($field: words.next().unwrap_or_default() as $type,)* }
                }
            }
        )*
    };
}

/// Of functions that have none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoParameters;

impl sealed::Sealed for NoParameters {}

impl Parameters for NoParameters {
    const SIZE: u64 = 0;

    fn write(self, _words: &mut [u64; MAX_WORDS]) {}

    fn read(_words: &[u64; MAX_WORDS]) -> Self {
        Self
    }
}

parameter_lists! {
    /// `xiocb_buffer_t`: memory of the caller, for devices.
    Buffer {
        /// Where on the device, for those that have places.
        offset: u64,
        /// The buffer, or the name of a device.
        pointer: u64,
        /// How long it is, in bytes.
        length: u64,
        /// Answer: how much of it was read or written.
        returned_length: u64,
        /// The command to a device; answer: its class, from [`Function::DeviceGetInfo`](crate::Function::DeviceGetInfo).
        control: u64,
    }

    /// `xiocb_envbuf_t`: names and values, which are strings that end with a zero.
    EnvironmentBuffer {
        /// Which, counted from 0, where one is asked for by number.
        index: i64,
        /// The name, or where it is to go.
        name: u64,
        /// How long the name is, without its zero; or how much room there is for it, with it.
        name_length: i64,
        /// The value, or where it is to go.
        value: u64,
        /// How long the value is, without its zero; or how much room there is for it, with it.
        value_length: i64,
    }

    /// `xiocb_cpuctl_t`: what is to happen to a CPU.
    CpuControl {
        /// Which, as firmware counts: the one that it entered first is 0.
        cpu_number: u64,
        /// [`CpuCommand`](crate::CpuCommand).
        command: u64,
        /// Where it begins.
        start_address: u64,
        /// Its `gp`.
        global_pointer: u64,
        /// Its `sp`.
        stack_pointer: u64,
        /// Its `a1`.
        a1: u64,
    }

    /// `xiocb_inpstat_t`: whether there is something to read.
    InputStatus {
        /// Answer: 1 if there is, else 0.
        status: u64,
    }

    /// `xiocb_time_t`: the time.
    Time {
        /// Answer: tenths of a second since reset.
        ticks: i64,
    }

    /// `xiocb_exitstat_t`: what a program that ends has to say.
    ExitStatus {
        /// 0 if all went well.
        status: i64,
    }

    /// `xiocb_meminfo_t`: a region of memory.
    MemoryInfo {
        /// Which, counted from 0.
        index: i64,
        /// Answer: [`MemoryType`](crate::MemoryType).
        memory_type: i64,
        /// Answer: its physical address.
        address: u64,
        /// Answer: its size in bytes.
        size: u64,
    }

    /// `xiocb_fwinfo_t`: what firmware this is. All of it is answer.
    FirmwareInfo {
        /// Major version in bits 23 to 16, minor in 15 to 8, and below that the build.
        version: i64,
        /// How much memory the machine has, in bytes.
        total_memory: i64,
        /// [`FirmwareFlags`](crate::FirmwareFlags).
        flags: i64,
        /// Which board, by a number of its maker's.
        board_id: i64,
        /// Memory into which firmware loads boot loaders: its virtual address.
        boot_area_virtual: i64,
        /// Its physical address.
        boot_area_physical: i64,
        /// Its size in bytes.
        boot_area_size: i64,
        /// 0.
        reserved1: i64,
        /// 0.
        reserved2: i64,
        /// 0.
        reserved3: i64,
    }
}

#[cfg(test)]
mod tests {
    use core::mem::offset_of;

    use super::*;

    /// Asserts each field's offset, in the struct and in a request's words.
    macro_rules! assert_layout {
        ($name:ident, $size:literal, { $($field:ident: $offset:literal,)* }) => {
            assert_eq!($name::SIZE, $size);
            $(
                // The manual counts from the beginning of the request.
                assert_eq!(offset_of!($name, $field) + 40, $offset, stringify!($name.$field));
                let mut words = [0; MAX_WORDS];
                words[($offset - 40) / 8] = 0xfedc_ba98_7654_3210;
                let list = $name::read(&words);
                assert_eq!(list.$field as u64, 0xfedc_ba98_7654_3210, stringify!($name.$field));
                let mut written = [0; MAX_WORDS];
                list.write(&mut written);
                assert_eq!(written, words, stringify!($name.$field));
            )*
        };
    }

    #[test]
    fn every_list_has_the_size_and_offsets_of_the_manual() {
        assert_layout!(CpuControl, 48, {
            cpu_number: 40, command: 48, start_address: 56, global_pointer: 64, stack_pointer: 72, a1: 80,
        });
        assert_layout!(Buffer, 40, { offset: 40, pointer: 48, length: 56, returned_length: 64, control: 72, });
        assert_layout!(EnvironmentBuffer, 40, { index: 40, name: 48, name_length: 56, value: 64, value_length: 72, });
        assert_layout!(MemoryInfo, 32, { index: 40, memory_type: 48, address: 56, size: 64, });
        assert_layout!(FirmwareInfo, 80, {
            version: 40, total_memory: 48, flags: 56, board_id: 64, boot_area_virtual: 72, boot_area_physical: 80,
            boot_area_size: 88, reserved1: 96, reserved2: 104, reserved3: 112,
        });
        assert_layout!(InputStatus, 8, { status: 40, });
        assert_layout!(Time, 8, { ticks: 40, });
        assert_layout!(ExitStatus, 8, { status: 40, });
        assert_eq!(NoParameters::SIZE, 0);
    }

    #[test]
    fn a_short_list_leaves_what_is_behind_it() {
        let mut words = [7; MAX_WORDS];
        Time { ticks: -1 }.write(&mut words);
        assert_eq!(words, [u64::MAX, 7, 7, 7, 7, 7, 7, 7, 7, 7]);
    }
}
