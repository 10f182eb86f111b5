//! The hybrid of runs and packed bits that levels and dictionary indices are written in.
//! Specification: <https://parquet.apache.org/docs/file-format/data-pages/encodings/#run-length-encoding--bit-packing-hybrid-rle--3>.

/// Reads `count` numbers of `width` bits each (at most 32).
pub(super) fn decode(bytes: &[u8], width: u32, count: usize) -> Result<Vec<u32>, String> {
    let cut = || "page is cut short".to_owned();
    if width > 32 {
        return Err(format!("page has numbers of {width} bits; they have at most 32"));
    }
    let mut values = Vec::with_capacity(count);
    if width == 0 {
        values.resize(count, 0);
        return Ok(values);
    }
    let mut at = 0;
    while values.len() < count {
        let mut header = 0_u64;
        for shift in (0..35).step_by(7) {
            let byte = *bytes.get(at).ok_or_else(cut)?;
            at += 1;
            header |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let left = count - values.len();
        let amount = (header >> 1) as usize;
        if header & 1 == 0 {
            let size = width.div_ceil(8) as usize;
            let value = bytes.get(at..at + size).ok_or_else(cut)?;
            at += size;
            let value = value.iter().rev().fold(0, |number, &byte| number << 8 | u32::from(byte));
            if amount == 0 {
                return Err("page has a run of no values".to_owned());
            }
            values.resize(values.len() + amount.min(left), value);
        } else {
            // Groups of eight; the last may hold more than is asked for, and may be cut behind it.
            let size = amount * width as usize;
            let packed = bytes.get(at..).unwrap_or_default();
            let packed = &packed[..size.min(packed.len())];
            at += size;
            let take = left.min(amount * 8);
            if take == 0 || packed.len() * 8 < take * width as usize {
                return Err(cut());
            }
            let (mut bits, mut held) = (0_u64, 0);
            let mut packed = packed.iter();
            for _ in 0..take {
                while held < width {
                    bits |= u64::from(*packed.next().ok_or_else(cut)?) << held;
                    held += 8;
                }
                values.push((bits & ((1 << width) - 1)) as u32);
                bits >>= width;
                held -= width;
            }
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn runs_and_packed_bits() {
        // The specification's example: the numbers 0 to 7 in 3 bits each.
        let packed = [0b0000_0011, 0b1000_1000, 0b1100_0110, 0b1111_1010];
        assert_eq!(decode(&packed, 3, 8).unwrap(), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(decode(&packed, 3, 5).unwrap(), [0, 1, 2, 3, 4]);
        assert_eq!(decode(&[10, 0x34, 0x12], 13, 5).unwrap(), [0x1234; 5]);
        let mixed = [packed.as_slice(), &[4, 7]].concat();
        assert_eq!(decode(&mixed, 3, 10).unwrap(), [0, 1, 2, 3, 4, 5, 6, 7, 7, 7]);
        assert_eq!(decode(&[], 0, 3).unwrap(), [0; 3]);
        assert_eq!(decode(&[2, 0xff, 0xff, 0xff, 0xff], 32, 1).unwrap(), [u32::MAX]);
    }

    #[test]
    fn damage_is_refused() {
        for (bytes, width, count) in [
            (&[][..], 1, 1),
            (&[4], 1, 2),
            (&[0, 1], 1, 1),
            (&[1], 1, 1),
            (&[3, 0xff], 3, 8),
            (&[3, 0xff], 33, 1),
            (&[0xff, 0xff, 0xff, 0xff, 0x0f], 8, 9),
        ] {
            assert!(decode(bytes, width, count).is_err(), "{bytes:?} {width} {count}");
        }
    }
}
