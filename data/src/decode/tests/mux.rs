//! The smallest writers of each container that the readers have to understand.

use crate::{Image, decode::encode_jpeg};

/// A picture of a value that tells frames apart, as JPEG.
pub(in super::super) fn jpeg(width: usize, height: usize, value: u8) -> Vec<u8> {
    encode_jpeg(&Image::filled(width, height, [value; 3]), 90).unwrap()
}

/// A Y4M file with the fields of its header line.
pub(in super::super) fn y4m(fields: &str, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = format!("YUV4MPEG2 {fields}\n").into_bytes();
    for frame in frames {
        file.extend_from_slice(b"FRAME\n");
        file.extend_from_slice(frame);
    }
    file
}

/// What an AVI file is made of.
pub(in super::super) struct Avi {
    pub(in super::super) codec: [u8; 4],
    pub(in super::super) size: (u32, u32),
    /// Frames per `rate.1` seconds.
    pub(in super::super) rate: (u32, u32),
    /// Packets of the video stream by RIFF part; empty packets are dropped frames.
    pub(in super::super) parts: Vec<Vec<Vec<u8>>>,
    pub(in super::super) has_index: bool,
    /// Wraps each packet in a `rec ` list.
    pub(in super::super) has_records: bool,
}

impl Default for Avi {
    fn default() -> Self {
        let parts = vec![Vec::new()];
        let codec = *b"MJPG";
        Self { codec, size: (16, 8), rate: (5, 2), parts, has_index: true, has_records: false }
    }
}

impl Avi {
    pub(in super::super) fn file(&self) -> Vec<u8> {
        let total: usize = self.parts.iter().map(Vec::len).sum();
        let first = self.parts.first().map_or(0, Vec::len) as u32;
        let mut file = Vec::new();
        for (number, packets) in self.parts.iter().enumerate() {
            // Stream 0 is sound, so that the video is stream 1.
            let mut movie = b"movi".to_vec();
            for packet in packets {
                movie.extend(chunk(b"00wb", &[0; 3]));
                let frame = chunk(b"01dc", packet);
                match self.has_records {
                    true => movie.extend(chunk(b"LIST", &[&b"rec "[..], &frame].concat())),
                    false => movie.extend(frame),
                }
                movie.extend(chunk(b"JUNK", &[1; 5]));
            }
            let movie = chunk(b"LIST", &movie);
            let mut riff = Vec::new();
            if number == 0 {
                riff.extend_from_slice(b"AVI ");
                riff.extend(chunk(b"JUNK", &[0; 6]));
                riff.extend(self.header(first, total as u32));
            } else {
                riff.extend_from_slice(b"AVIX");
            }
            riff.extend(movie);
            if self.has_index {
                riff.extend(chunk(b"idx1", &[0; 16]));
            }
            file.extend(chunk(b"RIFF", &riff));
        }
        file
    }

    fn header(&self, first: u32, total: u32) -> Vec<u8> {
        let words = |words: &[u32]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<_>>();
        let (width, height) = self.size;
        let main = words(&[400_000, 0, 0, 0, first, 0, 2, 0, width, height, 0, 0, 0, 0]);
        let sound = chunk(b"strh", &[&b"auds"[..], &[0; 52]].concat());
        let tail = words(&[0, 0, 0, self.rate.1, self.rate.0, 0, first, 0, 0, 0, 0, 0]);
        let stream = [&b"vids"[..], &self.codec, &tail].concat();
        let format = [
            words(&[40, width, height, 24 << 16 | 1]),
            self.codec.to_vec(),
            words(&[0, 0, 0, 0, 0]),
        ];
        let video = [chunk(b"strh", &stream), chunk(b"strf", &format.concat())].concat();
        let extended = [&b"odml"[..], &chunk(b"dmlh", &words(&[total]))].concat();
        let list = [
            &b"hdrl"[..],
            &chunk(b"avih", &main),
            &chunk(b"LIST", &[&b"strl"[..], &sound].concat()),
            &chunk(b"LIST", &[&b"strl"[..], &video].concat()),
            &chunk(b"LIST", &extended),
        ];
        chunk(b"LIST", &list.concat())
    }
}

/// A RIFF chunk, padded.
fn chunk(id: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut bytes = [&id[..], &(payload.len() as u32).to_le_bytes(), payload].concat();
    if payload.len() % 2 == 1 {
        bytes.push(0);
    }
    bytes
}

/// What a QuickTime or MP4 file is made of.
pub(in super::super) struct Mov {
    pub(in super::super) format: [u8; 4],
    pub(in super::super) size: (u16, u16),
    /// `a`, `b`, `c`, `d`.
    pub(in super::super) matrix: [i32; 4],
    pub(in super::super) packets: Vec<Vec<u8>>,
    /// Time scale and duration of a sample.
    pub(in super::super) timing: (u32, u32),
    /// Samples in each chunk but the last.
    pub(in super::super) per_chunk: usize,
    /// Entries of the edit list: length, start, speed.
    pub(in super::super) edits: Vec<[u32; 3]>,
    /// Boxes of the sample description.
    pub(in super::super) extensions: Vec<u8>,
    /// Frames before the movie box or after it.
    pub(in super::super) is_movie_last: bool,
    /// 64-bit chunk offsets.
    pub(in super::super) is_wide: bool,
}

impl Default for Mov {
    fn default() -> Self {
        Self {
            format: *b"jpeg",
            size: (16, 8),
            matrix: [1 << 16, 0, 0, 1 << 16],
            packets: Vec::new(),
            timing: (600, 100),
            per_chunk: 2,
            edits: Vec::new(),
            extensions: Vec::new(),
            is_movie_last: false,
            is_wide: false,
        }
    }
}

impl Mov {
    pub(in super::super) fn file(&self) -> Vec<u8> {
        let kind = atom(b"ftyp", b"qt  \0\0\0\0qt  ");
        let data = atom(b"mdat", &self.packets.concat());
        if self.is_movie_last {
            let movie = self.movie(kind.len() as u64 + 8);
            return [kind, data, movie].concat();
        }
        let length = self.movie(0).len();
        let movie = self.movie((kind.len() + length) as u64 + 8);
        [kind, movie, data].concat()
    }

    fn movie(&self, start: u64) -> Vec<u8> {
        let count = self.packets.len() as u32;
        let (scale, each) = self.timing;
        let movie_header = atom(b"mvhd", &words(&[0, 0, 0, 600, count * each * 600 / scale]));
        let mut head = words(&[7, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        let [a, b, c, d] = self.matrix.map(i32::cast_unsigned);
        head.extend(words(&[a, b, 0, c, d, 0, 0, 0, 1 << 30]));
        head.extend(words(&[u32::from(self.size.0) << 16, u32::from(self.size.1) << 16]));
        let mut edit_list = words(&[0, self.edits.len() as u32]);
        edit_list.extend(words(self.edits.as_flattened()));
        let edits = atom(b"edts", &atom(b"elst", &edit_list));
        let handler = [&words(&[0, 0])[..], b"vide", &[0; 13]].concat();
        let table = atom(b"stbl", &self.table(start));
        let media = [
            atom(b"mdhd", &words(&[0, 0, 0, scale, count * each, 0])),
            atom(b"hdlr", &handler),
            atom(b"minf", &table),
        ];
        let mut track = atom(b"tkhd", &head);
        if !self.edits.is_empty() {
            track.extend(edits);
        }
        track.extend(atom(b"mdia", &media.concat()));
        // The first track is sound.
        let sound =
            atom(b"mdia", &atom(b"hdlr", &[&words(&[0, 0])[..], b"soun", &[0; 13]].concat()));
        let tracks = [atom(b"trak", &sound), atom(b"trak", &track)].concat();
        atom(b"moov", &[movie_header, tracks].concat())
    }

    fn table(&self, start: u64) -> Vec<u8> {
        let mut entry = vec![0; 24];
        entry.extend(self.size.0.to_be_bytes());
        entry.extend(self.size.1.to_be_bytes());
        entry.resize(78, 0);
        entry.extend(&self.extensions);
        let description = [words(&[0, 1]), atom(&self.format, &entry)].concat();
        let sizes: Vec<u32> = self.packets.iter().map(|p| p.len() as u32).collect();
        let mut offsets = Vec::new();
        let mut offset = start;
        for chunk in sizes.chunks(self.per_chunk) {
            offsets.push(offset);
            offset += chunk.iter().map(|&size| u64::from(size)).sum::<u64>();
        }
        let count = sizes.len() as u32;
        let per_chunk = self.per_chunk as u32;
        let mut runs = vec![1, per_chunk, 1];
        if !count.is_multiple_of(per_chunk) {
            let last = [offsets.len() as u32, count % per_chunk, 1];
            if last[0] == 1 { runs = last.to_vec() } else { runs.extend(last) }
        }
        let count_of_runs = (runs.len() / 3) as u32;
        let chunks = if self.is_wide {
            let wide = offsets.iter().flat_map(|o| o.to_be_bytes()).collect();
            atom(b"co64", &[words(&[0, offsets.len() as u32]), wide].concat())
        } else {
            let narrow: Vec<u32> = offsets.iter().map(|&o| o as u32).collect();
            atom(b"stco", &words(&[&[0, narrow.len() as u32][..], &narrow].concat()))
        };
        [
            atom(b"stsd", &description),
            atom(b"stts", &words(&[0, 1, count, self.timing.1])),
            atom(b"stsc", &words(&[&[0, count_of_runs][..], &runs].concat())),
            atom(b"stsz", &words(&[&[0, 0, count][..], &sizes].concat())),
            chunks,
        ]
        .concat()
    }
}

/// A box.
pub(in super::super) fn atom(kind: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    [&(8 + payload.len() as u32).to_be_bytes(), &kind[..], payload].concat()
}

/// Big-endian words.
pub(in super::super) fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}
