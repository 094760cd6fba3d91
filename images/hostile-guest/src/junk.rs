//! Numbers that look like no pattern, the same in every run (Marsaglia's xorshift).

/// Where they come from.
pub struct Junk(u64);

impl Junk {
    /// Those of this seed, which is not 0.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next one.
    pub const fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// One that might be valid: small, one bit, all but few bits, or anything.
    pub const fn argument(&mut self) -> u64 {
        let number = self.next();
        match number >> 61 {
            0 => number & 0xff,
            1 => 1 << (number & 63),
            2 => !(number & 0xff),
            3 => number & 0xffff_fffc,
            _ => number,
        }
    }

    /// One below `limit`.
    pub const fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 11) % limit
    }
}
