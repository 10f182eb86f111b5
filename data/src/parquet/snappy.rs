//! Snappy's raw format: <https://github.com/google/snappy/blob/main/format_description.txt>.

/// Undoes the compression into exactly `length` bytes.
pub(super) fn decompress(bytes: &[u8], length: usize) -> Result<Vec<u8>, String> {
    let mut at = 0;
    let mut take = |count: usize| -> Result<&[u8], String> {
        let taken = bytes.get(at..).and_then(|rest| rest.get(..count));
        at += count;
        taken.ok_or_else(|| "page is cut short".to_owned())
    };
    let mut stated = 0_u64;
    for shift in (0..35).step_by(7) {
        let byte = take(1)?[0];
        stated |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    if stated != length as u64 {
        return Err(format!("page unpacks to {stated} bytes; its header says {length}"));
    }
    // Three bytes stand for 64 at most, so what cannot fill the length is refused before it is allocated.
    if length / 64 > bytes.len() {
        return Err(format!("page of {} bytes cannot unpack to {length}", bytes.len()));
    }
    let mut out = Vec::with_capacity(length);
    while out.len() < length {
        let tag = take(1)?[0];
        let high = usize::from(tag >> 2);
        let little = |bytes: &[u8]| bytes.iter().rev().fold(0, |n, &b| n << 8 | usize::from(b));
        let (offset, count) = match tag & 3 {
            0 => {
                let count = match high {
                    0..60 => high + 1,
                    more => little(take(more - 59)?) + 1,
                };
                if count > length - out.len() {
                    return Err(format!("page unpacks to more than {length} bytes"));
                }
                out.extend_from_slice(take(count)?);
                continue;
            }
            1 => ((high >> 3) << 8 | usize::from(take(1)?[0]), (high & 7) + 4),
            2 => (little(take(2)?), high + 1),
            _ => (little(take(4)?), high + 1),
        };
        if offset == 0 || offset > out.len() {
            let has = out.len();
            return Err(format!("page repeats what lies {offset} bytes back; it has {has}"));
        }
        if count > length - out.len() {
            return Err(format!("page unpacks to more than {length} bytes"));
        }
        let start = out.len() - offset;
        if offset >= count {
            out.extend_from_within(start..start + count);
        } else {
            // The copy overlaps itself: what it writes is part of what it repeats.
            for index in start..start + count {
                out.push(out[index]);
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::decompress;

    #[test]
    fn literals_and_copies() {
        // Length 11; literal "abc"; copy of 8 from 3 back, over itself.
        assert_eq!(
            decompress(&[11, 2 << 2, b'a', b'b', b'c', 4 << 2 | 1, 3], 11).unwrap(),
            b"abcabcabcab"
        );
        // The same with two-byte and four-byte offsets.
        assert_eq!(
            decompress(&[6, 2 << 2, b'a', b'b', b'c', 2 << 2 | 2, 3, 0], 6).unwrap(),
            b"abcabc"
        );
        assert_eq!(
            decompress(&[6, 2 << 2, b'a', b'b', b'c', 2 << 2 | 3, 3, 0, 0, 0], 6).unwrap(),
            b"abcabc"
        );
        // A literal whose length takes a byte of its own.
        let mut long = vec![70, 60 << 2, 69];
        long.extend([7; 70]);
        assert_eq!(decompress(&long, 70).unwrap(), [7; 70]);
    }

    #[test]
    fn damage_is_refused() {
        let good = [11, 2 << 2, b'a', b'b', b'c', 4 << 2 | 1, 3];
        for end in 0..good.len() {
            assert!(decompress(&good[..end], 11).is_err(), "{end}");
        }
        assert!(decompress(&good, 12).is_err());
        for offset in [0, 4] {
            let bad = [11, 2 << 2, b'a', b'b', b'c', 4 << 2 | 1, offset];
            assert!(decompress(&bad, 11).is_err(), "offset {offset}");
        }
        assert!(decompress(&[2, 2 << 2, b'a', b'b', b'c'], 2).is_err(), "more than stated");
    }
}
