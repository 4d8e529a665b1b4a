//! The parts of a record: bytes, varints, names.

use bytes::Bytes;

use crate::base::RoomId;
use crate::base::limits::NAME_BYTES_MAX;

use super::DecodeError;

/// Seven bits a byte, lowest first; the high bit says that more follows.
pub fn put_number(to: &mut Vec<u8>, mut number: u64) {
    while 0x80 <= number {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// Bytes behind their length.
pub fn put_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    put_number(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

/// What is left to be read of a record.
#[derive(Debug)]
pub struct RecordFields<'a>(&'a [u8]);

impl<'a> RecordFields<'a> {
    /// Behind the version, which must be this one.
    pub fn versioned(bytes: &'a [u8], version: u8) -> Result<RecordFields<'a>, DecodeError> {
        match bytes.split_first() {
            Some((found, rest)) if *found == version => Ok(RecordFields(rest)),
            Some(_) | None => Err(DecodeError),
        }
    }

    /// Bytes that are left.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// One byte.
    pub fn byte(&mut self) -> Result<u8, DecodeError> {
        self.array().map(|[byte]| byte)
    }

    /// A few bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (array, rest) = self.0.split_first_chunk().ok_or(DecodeError)?;
        self.0 = rest;
        Ok(*array)
    }

    /// As many bytes as said.
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(DecodeError)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// A number in as few bytes as it needs; another form of it is garbled.
    pub fn number(&mut self) -> Result<u64, DecodeError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits || (byte == 0 && 0 < shift) {
                return Err(DecodeError);
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(DecodeError)
    }

    /// A length, and as many bytes.
    pub fn counted(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.number()?.try_into().map_err(|_| DecodeError)?;
        self.bytes(len)
    }

    /// A name of a user or a tenant.
    pub fn name(&mut self) -> Result<&'a str, DecodeError> {
        let bytes = self.counted()?;
        if bytes.len() <= NAME_BYTES_MAX { text(bytes) } else { Err(DecodeError) }
    }

    /// Application data behind its length.
    pub fn data(&mut self) -> Result<Bytes, DecodeError> {
        Ok(Bytes::copy_from_slice(self.counted()?))
    }

    /// A room's identity.
    pub fn room(&mut self) -> Result<RoomId, DecodeError> {
        Ok(RoomId(u128::from_be_bytes(self.array()?)))
    }

    /// Everything else.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// Nothing may be left.
    pub fn end(&self) -> Result<(), DecodeError> {
        if self.0.is_empty() { Ok(()) } else { Err(DecodeError) }
    }
}

/// Bytes as text.
pub fn text(bytes: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(bytes).map_err(|_| DecodeError)
}
