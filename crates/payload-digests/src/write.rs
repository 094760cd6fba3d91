//! Making digests.

use alloc::string::String;
use core::fmt::Write;

use sha2::{Digest, Sha256};

/// The digests of `parts`, each a name and its content, in chunks of `chunk` bytes.
///
/// # Panics
/// `chunk` is 0, or a name is empty or has white space in it.
#[must_use]
pub fn write(chunk: usize, parts: &[(&str, &[u8])]) -> String {
    assert!(chunk > 0, "a chunk has at least one byte");
    let mut text = String::new();
    // A String takes everything.
    let _ = writeln!(text, "digests 1 chunk {chunk}");
    for (name, content) in parts {
        assert!(!name.is_empty() && !name.contains(char::is_whitespace), "a part's name is one word: {name:?}");
        let _ = writeln!(text, "part {name} {}", content.len());
        for bytes in content.chunks(chunk) {
            Sha256::digest(bytes).iter().for_each(|byte| _ = write!(text, "{byte:02x}"));
            text.push('\n');
        }
    }
    text
}
