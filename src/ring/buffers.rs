//! Receive memory: one ring of equal buffers that all connections share, so an
//! idle connection owns none. One of the files that may say `unsafe`.
//!
//! Invariant: each buffer is either with the kernel or lent, and bit `i` of
//! `out` is set exactly while buffer `i` is lent.
#![allow(unsafe_code)]

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::{Submitter, types::BufRingEntry};

/// The only buffer group of a ring.
pub(super) const GROUP: u16 = 0;

/// A provided buffer ring (io_uring_register_buf_ring(3)) and its memory.
pub(super) struct Buffers {
    entries: Mapping,
    memory: Mapping,
    count: u16,
    buffer_bytes: usize,
    /// The index of the next returned buffer; the kernel sees it when it is stored.
    tail: u16,
    out: Vec<u64>,
    lent: u64,
    returned: u64,
}

impl Buffers {
    /// `count` buffers, which `register` gives to the kernel.
    pub fn new(count: u16, buffer_bytes: u32) -> io::Result<Buffers> {
        let entries = Mapping::new(usize::from(count) * size_of::<BufRingEntry>())?;
        let memory = Mapping::new(usize::from(count) * buffer_bytes as usize)?;
        let out = vec![0; usize::from(count).div_ceil(64)];
        let buffer_bytes = buffer_bytes as usize;
        let mut buffers =
            Buffers { entries, memory, count, buffer_bytes, tail: 0, out, lent: 0, returned: 0 };
        (0..count).for_each(|index| buffers.provide(index));
        Ok(buffers)
    }

    /// Tells the kernel about the ring.
    ///
    /// # Safety
    ///
    /// `self` must outlive every receive of the ring behind `submitter`.
    pub unsafe fn register(&self, submitter: &Submitter<'_>) -> io::Result<()> {
        let address = self.entries.start.as_ptr() as u64;
        // SAFETY: the mapping is page-aligned, holds `count` entries, and lives
        // as long as the receives by this function's contract.
        unsafe { submitter.register_buf_ring_with_flags(address, self.count, GROUP, 0) }
    }

    /// Lends the first `len` bytes of a buffer that the kernel has just filled.
    pub fn lend(&mut self, index: u16, len: usize) -> &mut [u8] {
        assert!(index < self.count && len <= self.buffer_bytes, "a buffer of this ring");
        let (word, bit) = (usize::from(index) / 64, 1u64 << (index % 64));
        assert!(self.out[word] & bit == 0, "a buffer is lent once");
        self.out[word] |= bit;
        self.lent += 1;
        let offset = usize::from(index) * self.buffer_bytes;
        // SAFETY: `index < count` and `len <= buffer_bytes`, so the range lies in
        // the mapping, which starts zeroed and is therefore initialised. The
        // kernel took the buffer out of the ring when it filled it and gets it
        // back by `give_back` only; `&mut self` forbids a second view meanwhile.
        unsafe { std::slice::from_raw_parts_mut(self.memory.start.as_ptr().add(offset), len) }
    }

    /// Gives a lent buffer back to the kernel.
    pub fn give_back(&mut self, index: u16) {
        let (word, bit) = (usize::from(index) / 64, 1u64 << (index % 64));
        assert!(self.out[word] & bit != 0, "only what was lent comes back");
        self.out[word] &= !bit;
        self.returned += 1;
        self.provide(index);
    }

    /// Number of buffers, lent or not.
    pub fn count(&self) -> usize {
        usize::from(self.count)
    }

    /// Size of a buffer.
    pub fn buffer_bytes(&self) -> usize {
        self.buffer_bytes
    }

    /// Number of lent buffers.
    pub fn lent(&self) -> u64 {
        self.lent - self.returned
    }

    fn provide(&mut self, index: u16) {
        let place = usize::from(self.tail & (self.count - 1));
        let offset = usize::from(index) * self.buffer_bytes;
        let entries = self.entries.start.as_ptr().cast::<BufRingEntry>();
        // SAFETY: `place < count`, a power of two, so the entry lies in its
        // mapping, and `offset` in the other. The kernel does not read an entry
        // at or behind the tail, so nobody else looks at this one now. The
        // setters leave the last two bytes of an entry alone: in the first entry
        // they are the tail.
        unsafe {
            let entry = &mut *entries.add(place);
            entry.set_addr(self.memory.start.as_ptr().add(offset) as u64);
            entry.set_len(self.buffer_bytes as u32);
            entry.set_bid(index);
        }
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: `entries` is the start of the ring; the tail is two aligned
        // bytes in it that the kernel only reads. Release makes the entry visible
        // before the tail that includes it.
        unsafe {
            let tail = BufRingEntry::tail(entries).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
    }
}

/// Zeroed pages of our own.
struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

impl Mapping {
    fn new(len: usize) -> io::Result<Mapping> {
        assert!(0 < len);
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_ANONYMOUS | libc::MAP_PRIVATE);
        // SAFETY: an anonymous mapping at a place of the kernel's choice touches
        // no memory that exists.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).expect("the kernel maps nothing at 0 unasked");
        Ok(Mapping { start, len })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is exactly what `new` mapped, and whoever holds a
        // view of it borrows the owner.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lent_buffers_are_distinct_and_come_back() {
        let mut buffers = Buffers::new(4, 8).unwrap();
        for index in [0, 3] {
            buffers.lend(index, 8).fill(index as u8 + 1);
        }
        assert_eq!(buffers.lent(), 2);
        buffers.give_back(0);
        assert_eq!(buffers.lend(0, 8), [1; 8]);
        buffers.give_back(3);
        buffers.give_back(0);
        assert_eq!(buffers.lent(), 0);
    }

    #[test]
    #[should_panic(expected = "a buffer is lent once")]
    fn a_buffer_is_not_lent_twice() {
        let mut buffers = Buffers::new(2, 8).unwrap();
        buffers.lend(1, 8);
        buffers.lend(1, 8);
    }

    #[test]
    #[should_panic(expected = "only what was lent comes back")]
    fn a_buffer_does_not_come_back_twice() {
        let mut buffers = Buffers::new(2, 8).unwrap();
        buffers.lend(1, 8);
        buffers.give_back(1);
        buffers.give_back(1);
    }
}
