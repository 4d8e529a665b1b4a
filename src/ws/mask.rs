//! Masking and unmasking payloads (RFC 6455, 5.3), in place.

const LANE_BYTES: usize = 16;

/// Applies `mask` to bytes that start `offset` bytes into their frame's
/// payload (5.3). Its own inverse.
///
/// Works in lanes that the compiler turns into vector instructions; nothing is
/// assumed about alignment.
pub(super) fn apply(bytes: &mut [u8], mask: [u8; 4], offset: usize) {
    let turned: [u8; 4] = std::array::from_fn(|index| mask[(offset + index) % 4]);
    let lane: [u8; LANE_BYTES] = std::array::from_fn(|index| turned[index % 4]);
    let wide = u128::from_ne_bytes(lane);
    let (lanes, rest) = bytes.as_chunks_mut::<LANE_BYTES>();
    for bytes in lanes {
        *bytes = (u128::from_ne_bytes(*bytes) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(lane) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_offset_length_and_alignment_agrees_with_the_definition() {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        for start in 0..LANE_BYTES {
            for len in 0..3 * LANE_BYTES {
                for offset in 0..5 {
                    let mut bytes: Vec<u8> = (0..start + len).map(|n| (n * 7) as u8).collect();
                    let mut want = bytes.clone();
                    for (index, byte) in want[start..].iter_mut().enumerate() {
                        *byte ^= mask[(offset + index) % 4];
                    }
                    apply(&mut bytes[start..], mask, offset);
                    assert_eq!(bytes, want, "start={start} len={len} offset={offset}");
                }
            }
        }
    }
}
