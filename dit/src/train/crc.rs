//! CRC-32C (Castagnoli; RFC 3720, appendix B.4), which TensorBoard's records and the checkpoints'
//! list of files are checked with. It finds damage, not forgery.

use rayon::prelude::*;

/// The generator polynomial, bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// Bytes that one thread takes at a time.
const CHUNK: usize = 4 << 20;

/// Entry `[k][b]`: the remainder of byte `b` followed by `k` zero bytes.
const TABLES: [[u32; 256]; 8] = {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut k = 1;
    while k < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[k - 1][byte];
            tables[k][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        k += 1;
    }
    tables
};

/// The CRC of all bytes; large inputs are shared out to threads.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    if bytes.len() <= CHUNK {
        return serial(bytes);
    }
    let parts: Vec<(u32, usize)> =
        bytes.par_chunks(CHUNK).map(|chunk| (serial(chunk), chunk.len())).collect();
    parts.into_iter().fold(0, |crc, (next, length)| multiply(crc, shift(length)) ^ next)
}

/// The CRC as TensorFlow's record format stores it: rotated and offset, so that a CRC of data that
/// contains CRCs stays meaningful.
pub(crate) fn masked(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Eight bytes at a time.
fn serial(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let low = u32::from_le_bytes([word[0], word[1], word[2], word[3]]) ^ crc;
        let [a, b, c, d] = low.to_le_bytes();
        crc = TABLES[7][usize::from(a)]
            ^ TABLES[6][usize::from(b)]
            ^ TABLES[5][usize::from(c)]
            ^ TABLES[4][usize::from(d)]
            ^ TABLES[3][usize::from(word[4])]
            ^ TABLES[2][usize::from(word[5])]
            ^ TABLES[1][usize::from(word[6])]
            ^ TABLES[0][usize::from(word[7])];
    }
    for &byte in words.remainder() {
        crc = (crc >> 8) ^ TABLES[0][((crc ^ u32::from(byte)) & 0xff) as usize];
    }
    !crc
}

/// Product of two polynomials modulo the generator, bits reversed: the highest bit is `x^0`.
fn multiply(mut a: u32, b: u32) -> u32 {
    let mut product = 0;
    for bit in (0..32).rev() {
        if b >> bit & 1 == 1 {
            product ^= a;
        }
        a = (a >> 1) ^ if a & 1 == 1 { POLYNOMIAL } else { 0 };
    }
    product
}

/// `x^(8 bytes)`: what the CRC of a text is multiplied by when so many bytes follow it.
fn shift(bytes: usize) -> u32 {
    let (mut power, mut result) = (1 << 23, 1 << 31);
    let mut left = bytes;
    while left > 0 {
        if left & 1 == 1 {
            result = multiply(result, power);
        }
        power = multiply(power, power);
        left >>= 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 3720, appendix B.4, and the common check value.
    #[test]
    fn known_answers() {
        let rising: Vec<u8> = (0..32).collect();
        let falling: Vec<u8> = (0..32).rev().collect();
        for (bytes, crc) in [
            (&[][..], 0),
            (b"123456789", 0xe306_9283),
            (&[0; 32], 0x8a91_36aa),
            (&[0xff; 32], 0x62a8_ab43),
            (&rising, 0x46dd_794e),
            (&falling, 0x113f_db5c),
        ] {
            assert_eq!(crc32c(bytes), crc, "{bytes:?}");
        }
    }

    /// Bit by bit, straight from the definition.
    fn plain(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| {
                (crc >> 1) ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 }
            })
        })
    }

    #[test]
    fn all_ways_agree_at_every_length() {
        let bytes: Vec<u8> =
            (0..2 * CHUNK as u32 + 13).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
        for length in (0..40).chain([CHUNK - 1, CHUNK, CHUNK + 1, bytes.len()]) {
            let text = &bytes[..length];
            assert_eq!(crc32c(text), plain(text), "{length} bytes");
        }
    }
}
