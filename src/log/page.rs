//! Pages: how a sealed batch lies on the disk, and what tells one page from anything else.
//!
//! A page has 4,096 bytes, is written once in a life, and begins with a head:
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | sum: XXH3-64 of the rest of the page, under a seed of the life and the page's place |
//! | 8..10 | number of the page in its batch |
//! | 10..12 | pages of the batch, at least 1 |
//! | 12..16 | bytes of the batch |
//! | 16..24 | sequence of the batch |
//! | 24..32 | mark: up to which sequence batches were durable when this was written |
//!
//! The rest is the batch's, and zeros behind its end. A message never stands where a head is
//! looked for, and nobody who writes messages knows a life; so nothing that is said in a chat
//! looks like a page, whatever of a write was lost.
//!
//! Deliberately absent: what follows from a page (`scan`).

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::batch::{u32_at, u64_at};

/// Bytes of a page: a block of the file systems that there are, so that no block has parts of
/// two batches.
pub const PAGE_BYTES: usize = 4_096;

/// Bytes of a page's head.
pub const PAGE_HEAD_BYTES: usize = 32;

/// Bytes of a batch in one page.
const CONTENT_BYTES: usize = PAGE_BYTES - PAGE_HEAD_BYTES;

/// Pages of a batch with so many bytes.
pub const fn pages_of(batch_bytes: usize) -> u32 {
    batch_bytes.div_ceil(CONTENT_BYTES) as u32
}

/// Bytes on the disk of a batch with so many sealed bytes.
pub const fn disk_bytes(batch_bytes: usize) -> usize {
    pages_of(batch_bytes) as usize * PAGE_BYTES
}

/// One use of a segment: 64 bits that are drawn for it, and that stand in the manifest alone.
/// What was written in another life is not read in this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life(pub u64);

impl Life {
    /// What the sum of a page at this place of the segment is made with.
    fn seed(self, page: u32) -> u64 {
        self.0.wrapping_add((u64::from(page) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }
}

/// Bytes that begin where direct writes want it.
#[derive(Debug)]
pub struct PageBuffer {
    memory: Vec<u8>,
    begin: usize,
    bytes: usize,
}

impl PageBuffer {
    /// Zeros.
    pub fn zeroed(pages: u32) -> PageBuffer {
        let bytes = pages as usize * PAGE_BYTES;
        let memory = vec![0; bytes + PAGE_BYTES];
        // Moving the buffer moves the pointer to its memory, and not the memory.
        let begin = memory.as_ptr().align_offset(PAGE_BYTES);
        PageBuffer { memory, begin, bytes }
    }

    /// Whole pages.
    pub fn bytes(&self) -> &[u8] {
        &self.memory[self.begin..][..self.bytes]
    }

    /// The same, to be filled.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.begin..][..self.bytes]
    }
}

/// What a page says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageHead {
    /// Its place in the batch.
    pub number: u16,
    /// How many the batch has.
    pub pages: u16,
    /// Bytes of the batch.
    pub batch_bytes: u32,
    /// The batch's sequence.
    pub sequence: u64,
    /// All batches up to this sequence were durable before this page was written.
    pub mark: u64,
}

/// A sealed batch as pages that go to `first_page` of a segment.
pub fn into_pages(
    sealed: &[u8],
    sequence: u64,
    mark: u64,
    life: Life,
    first_page: u32,
) -> PageBuffer {
    let pages = pages_of(sealed.len());
    let mut buffer = PageBuffer::zeroed(pages);
    let parts = sealed.chunks(CONTENT_BYTES);
    let filled = buffer.bytes_mut().chunks_exact_mut(PAGE_BYTES).zip(parts);
    for (number, (page, part)) in filled.enumerate() {
        page[8..10].copy_from_slice(&(number as u16).to_le_bytes());
        page[10..12].copy_from_slice(&(pages as u16).to_le_bytes());
        page[12..16].copy_from_slice(&(sealed.len() as u32).to_le_bytes());
        page[16..24].copy_from_slice(&sequence.to_le_bytes());
        page[24..32].copy_from_slice(&mark.to_le_bytes());
        page[PAGE_HEAD_BYTES..][..part.len()].copy_from_slice(part);
        let sum = xxh3_64_with_seed(&page[8..], life.seed(first_page + number as u32));
        page[..8].copy_from_slice(&sum.to_le_bytes());
    }
    buffer
}

/// The head of a page that was written there in this life; `None` for anything else.
pub fn read_head(page: &[u8], life: Life, place: u32) -> Option<PageHead> {
    let (number, pages) = (u32_at(page, 8) as u16, (u32_at(page, 8) >> 16) as u16);
    let batch_bytes = u32_at(page, 12);
    // Most pages that are none are zeros, and told from others without a sum.
    if pages <= number || pages_of(batch_bytes as usize) != u32::from(pages) {
        return None;
    }
    if u64_at(page, 0) != xxh3_64_with_seed(&page[8..], life.seed(place)) {
        return None;
    }
    let (sequence, mark) = (u64_at(page, 16), u64_at(page, 24));
    Some(PageHead { number, pages, batch_bytes, sequence, mark })
}

/// The batch's bytes out of its pages, of which the first is at `place`; `None` if one of them
/// is not there.
pub fn read_batch(pages: &[u8], life: Life, place: u32, head: &PageHead) -> Option<Vec<u8>> {
    let mut sealed = Vec::with_capacity(pages.len());
    for (number, page) in pages.chunks_exact(PAGE_BYTES).enumerate() {
        let found = read_head(page, life, place + number as u32)?;
        if found != (PageHead { number: number as u16, ..*head }) {
            return None;
        }
        sealed.extend_from_slice(&page[PAGE_HEAD_BYTES..]);
    }
    sealed.truncate(head.batch_bytes as usize);
    Some(sealed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Life = Life(0x1234_5678_9ABC_DEF0);

    fn pages(bytes: usize) -> (Vec<u8>, Vec<u8>) {
        let sealed: Vec<u8> = (0..bytes).map(|at| (at * 7 + at / 256) as u8).collect();
        let pages = into_pages(&sealed, 9, 7, LIFE, 5).bytes().to_vec();
        (sealed, pages)
    }

    #[test]
    fn what_is_put_into_pages_is_read() {
        for bytes in [1, 40, CONTENT_BYTES - 1, CONTENT_BYTES, CONTENT_BYTES + 1, 256 << 10] {
            let (sealed, pages) = pages(bytes);
            assert_eq!(pages.len(), pages_of(bytes) as usize * PAGE_BYTES);
            let head = read_head(&pages[..PAGE_BYTES], LIFE, 5).unwrap();
            let wanted = PageHead {
                number: 0,
                pages: pages_of(bytes) as u16,
                batch_bytes: bytes as u32,
                sequence: 9,
                mark: 7,
            };
            assert_eq!(head, wanted);
            assert_eq!(read_batch(&pages, LIFE, 5, &head), Some(sealed));
        }
    }

    #[test]
    fn a_page_is_one_in_its_life_and_at_its_place_only() {
        let (_, pages) = pages(40);
        assert!(read_head(&pages, LIFE, 5).is_some());
        assert_eq!(read_head(&pages, LIFE, 4), None);
        assert_eq!(read_head(&pages, Life(LIFE.0 + 1), 5), None);
        assert_eq!(read_head(&[0; PAGE_BYTES], LIFE, 5), None);
        for byte in 0..PAGE_BYTES {
            let mut other = pages.clone();
            other[byte] ^= 1 << (byte % 8);
            assert_eq!(read_head(&other, LIFE, 5), None, "{byte}");
        }
    }

    #[test]
    fn pages_of_two_batches_are_no_batch() {
        let (_, pages) = pages(2 * CONTENT_BYTES);
        let head = read_head(&pages[..PAGE_BYTES], LIFE, 5).unwrap();
        let other = into_pages(&vec![1; 2 * CONTENT_BYTES], 10, 7, LIFE, 5);
        let mixed = [&pages[..PAGE_BYTES], &other.bytes()[PAGE_BYTES..]].concat();
        assert_eq!(read_batch(&mixed, LIFE, 5, &head), None);
        let late = into_pages(&vec![1; 2 * CONTENT_BYTES], 9, 8, LIFE, 5);
        let mixed = [&pages[..PAGE_BYTES], &late.bytes()[PAGE_BYTES..]].concat();
        assert_eq!(read_batch(&mixed, LIFE, 5, &head), None, "another mark");
    }

    #[test]
    fn buffers_begin_where_direct_writes_want_it() {
        for pages in [1, 2, 65] {
            let buffer = PageBuffer::zeroed(pages);
            assert_eq!(buffer.bytes().as_ptr() as usize % PAGE_BYTES, 0);
            assert_eq!(buffer.bytes().len(), pages as usize * PAGE_BYTES);
        }
    }
}
