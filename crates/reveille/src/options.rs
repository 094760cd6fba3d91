//! What a command line says about CPUs: `nosmp`, `maxcpus=N`, `nr_cpus=N`, with Linux's meaning.

use crate::cpu::MAX_CPUS;

/// How many CPUs a boot may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SmpOptions {
    /// `maxcpus=N`: how many CPUs to bring online now, the boot CPU included; the rest stay present and may come later. 0, which
    /// `nosmp` means too, leaves the boot CPU alone and the others not even present.
    pub max_cpus: usize,
    /// `nr_cpus=N`: how many CPUs may ever come up in this boot, the boot CPU included (1 to [`MAX_CPUS`]).
    pub nr_cpus: usize,
}

impl SmpOptions {
    /// Every CPU that the build can handle.
    pub const ALL: Self = Self { max_cpus: MAX_CPUS, nr_cpus: MAX_CPUS };

    /// Reads the options out of a kernel command line; words that are none of the three are somebody else's.
    ///
    /// As in Linux the last one wins, numbers may be decimal, octal (`010`) or hexadecimal (`0x10`), `nr_cpus` outside 1
    /// to [`MAX_CPUS`] and values that are no number are ignored, and parsing stops at a word `--`.
    #[must_use]
    pub fn from_command_line(line: &str) -> Self {
        let mut options = Self::ALL;
        for word in line.split_ascii_whitespace().take_while(|&word| word != "--") {
            if word == "nosmp" {
                options.max_cpus = 0;
            } else if let Some(count) = word.strip_prefix("maxcpus=").and_then(number) {
                options.max_cpus = count;
            } else if let Some(count) = word.strip_prefix("nr_cpus=").and_then(number)
                && (1..=MAX_CPUS).contains(&count)
            {
                options.nr_cpus = count;
            }
        }
        options
    }
}

impl Default for SmpOptions {
    fn default() -> Self {
        Self::ALL
    }
}

/// As `simple_strtol(.., 0)` takes a number.
fn number(text: &str) -> Option<usize> {
    let (digits, radix) = match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    usize::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with('+'))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn read(line: &str) -> (usize, usize) {
        let options = SmpOptions::from_command_line(line);
        (options.max_cpus, options.nr_cpus)
    }

    #[test]
    fn row_53_reads_the_three_options() {
        assert_eq!(read(""), (MAX_CPUS, MAX_CPUS));
        assert_eq!(read("console=ttyAMA0 maxcpus=2 quiet"), (2, MAX_CPUS));
        assert_eq!(read("nr_cpus=3"), (MAX_CPUS, 3));
        assert_eq!(read("nosmp"), (0, MAX_CPUS));
        assert_eq!(read("maxcpus=0x10 nr_cpus=010"), (16, 8));
    }

    #[test]
    fn the_last_one_wins_and_nonsense_is_ignored() {
        assert_eq!(read("maxcpus=2 maxcpus=3"), (3, MAX_CPUS));
        assert_eq!(read("maxcpus=2 maxcpus= maxcpus=x maxcpus=-1 maxcpus=+4"), (2, MAX_CPUS));
        assert_eq!(read("nr_cpus=0 nr_cpus=100000 nr_cpus=99999999999999999999"), (MAX_CPUS, MAX_CPUS));
        assert_eq!(read("maxcpus=2 -- maxcpus=3 nosmp"), (2, MAX_CPUS));
        assert_eq!(read("xmaxcpus=1 nosmpx"), (MAX_CPUS, MAX_CPUS));
    }
}
