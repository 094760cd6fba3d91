//! The environment: variables with names and values, in a store of fixed size.

use core::fmt;

use cfe_abi::Error;

/// The longest name of a variable or of a device, in bytes.
pub const MAX_NAME: usize = 64;

/// The longest value of a variable, in bytes.
pub const MAX_VALUE: usize = 1024;

/// How many bytes all variables take together: their names and values, and [`OVERHEAD`] each.
const CAPACITY: usize = 4096;

/// The access byte and the zeroes behind name and value.
const OVERHEAD: usize = 3;

/// Whether a program may change a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It may set and delete it.
    ReadWrite,
    /// It may only read it.
    ReadOnly,
}

/// Firmware's variables, in the order in which they were set.
#[derive(Clone, PartialEq, Eq)]
pub struct Environment {
    /// Records, one behind the other: access, name, zero, value, zero. Zero from `used` on.
    bytes: [u8; CAPACITY],
    used: usize,
}

/// A variable in the store.
struct Variable<'a> {
    access: Access,
    name: &'a [u8],
    value: &'a [u8],
    /// Where its record begins.
    begin: usize,
}

impl Variable<'_> {
    fn end(&self) -> usize {
        self.begin + self.name.len() + self.value.len() + OVERHEAD
    }
}

impl Environment {
    /// Without variables.
    pub const fn new() -> Self {
        Self { bytes: [0; CAPACITY], used: 0 }
    }

    /// The value of a variable.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.find(name).map(|variable| variable.value)
    }

    /// The names and values of all.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.variables().map(|variable| (variable.name, variable.value))
    }

    /// Sets a variable as a program may: not if it is read-only.
    pub fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), Error> {
        if self.find(name).is_some_and(|variable| variable.access == Access::ReadOnly) {
            return Err(Error::VariableReadOnly);
        }
        self.define(name, value, Access::ReadWrite)
    }

    /// Sets a variable as firmware may: whatever it was.
    ///
    /// # Errors
    ///
    /// Nothing has changed if name or value are too long, hold a zero, or the name is empty (invalid parameter), or if
    /// there is too little room.
    pub fn define(&mut self, name: &[u8], value: &[u8], access: Access) -> Result<(), Error> {
        let wrong_size = name.is_empty() || name.len() > MAX_NAME || value.len() > MAX_VALUE;
        if wrong_size || name.contains(&0) || value.contains(&0) {
            return Err(Error::InvalidParameter);
        }
        let size = name.len() + value.len() + OVERHEAD;
        let freed = self.find(name).map_or(0, |variable| variable.end() - variable.begin);
        if self.used - freed + size > CAPACITY {
            return Err(Error::NoMemory);
        }
        self.remove(name);
        let mut used = self.used;
        for part in [&[access as u8][..], name, &[0], value, &[0]] {
            self.bytes[used..][..part.len()].copy_from_slice(part);
            used += part.len();
        }
        self.used = used;
        Ok(())
    }

    /// Defines the variables of `text`: lines `NAME=value`, up to the first zero, which programs may change. Empty lines are passed over.
    /// Calls `left_out` for each other line that is none, with the error where it was one of [`Self::define`].
    pub fn define_lines(&mut self, text: &[u8], left_out: &mut dyn FnMut(&[u8], Option<Error>)) {
        let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
        for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let name = line.split(|&byte| byte == b'=').next().unwrap_or_default();
            match line.get(name.len() + 1..) {
                Some(value) => {
                    if let Err(error) = self.define(name, value, Access::ReadWrite) {
                        left_out(line, Some(error));
                    }
                }
                None => left_out(line, None),
            }
        }
    }

    /// Deletes a variable as a program may: not if it is read-only.
    pub fn delete(&mut self, name: &[u8]) -> Result<(), Error> {
        match self.find(name).ok_or(Error::VariableNotFound)?.access {
            Access::ReadOnly => Err(Error::VariableReadOnly),
            Access::ReadWrite => {
                self.remove(name);
                Ok(())
            }
        }
    }

    fn remove(&mut self, name: &[u8]) {
        if let Some((begin, end)) = self.find(name).map(|variable| (variable.begin, variable.end())) {
            self.bytes.copy_within(end..self.used, begin);
            let used = self.used - (end - begin);
            self.bytes[used..self.used].fill(0);
            self.used = used;
        }
    }

    fn find(&self, name: &[u8]) -> Option<Variable<'_>> {
        self.variables().find(|variable| variable.name == name)
    }

    fn variables(&self) -> impl Iterator<Item = Variable<'_>> {
        let mut begin = 0;
        core::iter::from_fn(move || {
            let (&access, record) = self.bytes[begin..self.used].split_first()?;
            let mut parts = record.split(|&byte| byte == 0);
            let access = if access == Access::ReadOnly as u8 { Access::ReadOnly } else { Access::ReadWrite };
            let variable = Variable { access, name: parts.next()?, value: parts.next()?, begin };
            begin = variable.end();
            Some(variable)
        })
    }
}

impl Default for Environment {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variables = self.variables().map(|variable| (variable.name.escape_ascii(), variable.value.escape_ascii()));
        formatter.debug_map().entries(variables.map(|(name, value)| (Text(name), Text(value)))).finish()
    }
}

/// Bytes that are text, as text.
struct Text<'a>(core::slice::EscapeAscii<'a>);

impl fmt::Debug for Text<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::collections::BTreeMap;
    use std::format;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_set_is_found() {
        let mut environment = Environment::new();
        environment.set(b"LINUX_CMDLINE", b"maxcpus=2").unwrap();
        environment.set(b"EMPTY", b"").unwrap();
        assert_eq!(environment.get(b"LINUX_CMDLINE"), Some(&b"maxcpus=2"[..]));
        assert_eq!(environment.get(b"EMPTY"), Some(&b""[..]));
        assert_eq!(environment.get(b"LINUX"), None);
        assert_eq!(environment.get(b""), None);
        assert_eq!(format!("{environment:?}"), "{LINUX_CMDLINE: maxcpus=2, EMPTY: }");
    }

    #[test]
    fn lines_are_variables_up_to_the_first_zero() {
        let mut environment = Environment::new();
        let text = b"LINUX_CMDLINE=a=b c\n\nEMPTY=\nno variable\n=nameless\nEXIT=semihosting\nEXIT=reset\n\0LATE=1\n";
        let mut left_out = Vec::new();
        environment.define_lines(text, &mut |line, error| left_out.push((line.to_vec(), error)));
        let variables: Vec<_> = environment.iter().collect();
        let expected: [(&[u8], &[u8]); 3] = [(b"LINUX_CMDLINE", b"a=b c"), (b"EMPTY", b""), (b"EXIT", b"reset")];
        assert_eq!(variables, expected);
        let nameless = (b"=nameless".to_vec(), Some(Error::InvalidParameter));
        assert_eq!(left_out, [(b"no variable".to_vec(), None), nameless]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_its_end(text in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut environment = Environment::new();
            environment.define_lines(&text, &mut |line, _| assert!(!line.is_empty() && !line.contains(&0)));
        }
    }

    #[test]
    fn read_only_variables_stay_but_firmware_may_change_them() {
        let mut environment = Environment::new();
        environment.define(b"CPU_TYPE", b"P5600", Access::ReadOnly).unwrap();
        let before = environment.clone();
        assert_eq!(environment.set(b"CPU_TYPE", b"34Kf"), Err(Error::VariableReadOnly));
        assert_eq!(environment.delete(b"CPU_TYPE"), Err(Error::VariableReadOnly));
        assert_eq!(environment, before);
        environment.define(b"CPU_TYPE", b"34Kf", Access::ReadOnly).unwrap();
        assert_eq!(environment.get(b"CPU_TYPE"), Some(&b"34Kf"[..]));
    }

    #[test]
    fn a_full_store_keeps_the_old_value() {
        let mut environment = Environment::new();
        for name in [b"A", b"B", b"C"] {
            environment.set(name, &[b'x'; MAX_VALUE]).unwrap();
        }
        environment.set(b"D", b"old").unwrap();
        let before = environment.clone();
        assert_eq!(environment.set(b"D", &[b'x'; MAX_VALUE]), Err(Error::NoMemory));
        assert_eq!(environment, before);
        // A value takes the room of the one that it replaces.
        environment.set(b"A", &[b'y'; MAX_VALUE]).unwrap();
    }

    #[test]
    fn names_and_values_have_limits() {
        let mut environment = Environment::new();
        environment.set(&[b'n'; MAX_NAME], &[b'v'; MAX_VALUE]).unwrap();
        let before = environment.clone();
        for (name, value) in [
            (&[b'n'; MAX_NAME + 1][..], &b""[..]),
            (b"N", &[b'v'; MAX_VALUE + 1]),
            (b"", b"value"),
            (b"N\0M", b""),
            (b"N", b"\0"),
        ] {
            assert_eq!(environment.set(name, value), Err(Error::InvalidParameter));
        }
        assert_eq!(environment, before);
    }

    proptest! {
        #[test]
        fn it_is_a_map_in_the_order_of_setting(
            steps in prop::collection::vec(("[A-E]{1,3}", prop::option::of("[a-z]{0,80}")), 0..60)
        ) {
            let mut environment = Environment::new();
            let mut model = BTreeMap::new();
            let mut order: Vec<_> = Vec::new();
            for (name, value) in &steps {
                match value {
                    Some(value) => {
                        environment.set(name.as_bytes(), value.as_bytes()).unwrap();
                        model.insert(name, value);
                        order.retain(|known| known != &name);
                        order.push(name);
                    }
                    None => {
                        prop_assert_eq!(environment.delete(name.as_bytes()).is_ok(), model.remove(name).is_some());
                        order.retain(|known| known != &name);
                    }
                }
            }
            let expected: Vec<_> = order.iter().map(|name| (name.as_bytes(), model[*name].as_bytes())).collect();
            prop_assert_eq!(environment.iter().collect::<Vec<_>>(), expected);
        }
    }
}
