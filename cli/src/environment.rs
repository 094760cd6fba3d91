//! The environment that CFE firmware finds in memory when it starts: lines `NAME=value`, ended by a zero byte. The image that it
//! boots asks it for the variable `LINUX_CMDLINE`.

use cfe_server::MAX_VALUE;

use crate::error::Error;

/// The most that firmware reads, the zero included.
const LARGEST: usize = 4096;

/// The environment of a boot with this command line, in which the end of the image ends QEMU.
///
/// # Errors
/// [`Error::CommandLine`]: the command line is longer than the value of a variable can be, or has a line break in it.
pub fn of(command_line: &str) -> Result<Vec<u8>, Error> {
    let problem = if command_line.len() > MAX_VALUE {
        Some(format!("it is {} bytes long, and {MAX_VALUE} is the most", command_line.len()))
    } else if command_line.contains(['\n', '\r', '\0']) {
        Some("it has a line break in it".to_owned())
    } else {
        None
    };
    if let Some(problem) = problem {
        return Err(Error::CommandLine { problem });
    }
    Ok(format!("EXIT=semihosting\nLINUX_CMDLINE={command_line}\n\0").into_bytes())
}

// The command line and what stands around it.
const _: () = assert!(MAX_VALUE + 64 <= LARGEST);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_lines_up_to_a_zero() {
        let environment = of("maxcpus=2 nosuch=\u{fc}").unwrap();
        assert_eq!(environment, "EXIT=semihosting\nLINUX_CMDLINE=maxcpus=2 nosuch=\u{fc}\n\0".as_bytes());
    }

    #[test]
    fn a_command_line_that_would_not_arrive_whole_is_refused() {
        let refused = |line: &str| of(line).unwrap_err().to_string();
        assert_eq!(refused("a\nEXIT=no"), "the kernel's command line cannot be handed over: it has a line break in it");
        let reason = "it is 1025 bytes long, and 1024 is the most";
        assert!(refused(&"x".repeat(MAX_VALUE + 1)).ends_with(reason));
        assert!(of(&"x".repeat(MAX_VALUE)).unwrap().len() <= LARGEST);
    }
}
