//! Choices out of the fuzzer's bytes. Where they end, each choice is the first.

/// Bytes that are taken one by one.
pub struct Choices<'a> {
    rest: &'a [u8],
}

impl<'a> Choices<'a> {
    /// All of an input.
    pub fn new(bytes: &'a [u8]) -> Choices<'a> {
        Choices { rest: bytes }
    }

    /// Whether nothing is left to be chosen from.
    pub fn are_over(&self) -> bool {
        self.rest.is_empty()
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *byte
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let number = usize::from(self.byte()) << 8 | usize::from(self.byte());
        number % bound
    }

    /// Any number: small, large, or close to where 64 bits end.
    pub fn number(&mut self) -> u64 {
        let (kind, byte) = (self.byte(), u64::from(self.byte()));
        match kind % 4 {
            0 => byte,
            1 => u64::MAX - byte,
            2 => 1 << (byte % 64),
            _ => (0..6).fold(byte, |number, _| number << 8 | u64::from(self.byte())),
        }
    }

    /// Up to so many bytes as they are.
    pub fn bytes(&mut self, bytes_max: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(bytes_max.min(self.rest.len()));
        self.rest = rest;
        taken
    }
}
