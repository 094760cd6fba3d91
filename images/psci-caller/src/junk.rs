//! Numbers that look like no pattern, the same in every run.

use fastrand::Rng;

/// Where they come from.
pub struct Junk(Rng);

impl Junk {
    /// Those of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Rng::with_seed(seed))
    }

    /// The next one.
    pub fn number(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// One that might be valid: small, one bit, all but few bits, or anything.
    pub fn argument(&mut self) -> u64 {
        let number = self.number();
        match number >> 61 {
            0 => number & 0xff,
            1 => 1 << (number & 63),
            2 => !(number & 0xff),
            3 => number & 0xffff_fffc,
            _ => number,
        }
    }

    /// One below `limit`, which is not 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0.u64(..limit)
    }
}
