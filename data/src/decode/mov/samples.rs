//! The sample table: where each frame lies and when it is shown. ISO 14496-12, sections 8.6, 8.7.

use super::boxes::{child, long, long_long};

/// A frame in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// Byte of the file.
    pub(super) offset: u64,
    /// Bytes.
    pub(super) size: u32,
    /// Start in units of the media's time scale.
    pub(super) time: u64,
    /// Which sample description it follows, from 1.
    pub(super) description: u32,
}

/// Tables of one track and the place reached in each.
pub(super) struct Samples {
    /// Runs of (samples, duration of each).
    durations: Vec<(u32, u32)>,
    /// Runs of (first chunk from 1, samples a chunk, description from 1).
    chunk_runs: Vec<(u32, u32, u32)>,
    sizes: Sizes,
    /// First byte of each chunk.
    chunk_offsets: Vec<u64>,
    next: Next,
}

enum Sizes {
    Equal { size: u32, count: u32 },
    Each(Vec<u32>),
}

/// The sample to be handed out next.
#[derive(Default)]
struct Next {
    sample: usize,
    chunk: usize,
    run: usize,
    sample_in_chunk: u32,
    offset: u64,
    duration_run: usize,
    sample_in_duration_run: u32,
    time: u64,
}

impl Samples {
    /// Reads the payload of an `stbl` box. Memory is bounded by its size.
    pub(super) fn parse(table: &[u8]) -> Result<Self, String> {
        let need = |kind: &[u8; 4]| {
            child(table, kind).ok_or_else(|| {
                format!("sample table has no \"{}\" box", String::from_utf8_lossy(kind))
            })
        };
        let durations = entries(need(b"stts")?, 8, |e| Some((long(e, 0)?, long(e, 4)?)))?;
        let chunk_runs =
            entries(need(b"stsc")?, 12, |e| Some((long(e, 0)?, long(e, 4)?, long(e, 8)?)))?;
        let sizes = need(b"stsz")?;
        let size = long(sizes, 4).ok_or("sample sizes (stsz) are cut")?;
        let sizes = if size > 0 {
            let count = long(sizes, 8).ok_or("sample sizes (stsz) are cut")?;
            Sizes::Equal { size, count }
        } else {
            Sizes::Each(entries(&sizes[4..], 4, |e| long(e, 0))?)
        };
        let chunk_offsets = match child(table, b"co64") {
            Some(wide) => entries(wide, 8, |e| long_long(e, 0))?,
            None => entries(need(b"stco")?, 4, |e| long(e, 0).map(u64::from))?,
        };
        let starts_at_one = chunk_runs.first().is_none_or(|run| run.0 == 1);
        let ascends = chunk_runs.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if !starts_at_one || !ascends || chunk_runs.iter().any(|run| run.1 == 0) {
            return Err("chunk table (stsc) is not in order".to_owned());
        }
        Ok(Self { durations, chunk_runs, sizes, chunk_offsets, next: Next::default() })
    }

    /// Samples in the track.
    pub(super) fn count(&self) -> usize {
        match &self.sizes {
            Sizes::Equal { count, .. } => *count as usize,
            Sizes::Each(sizes) => sizes.len(),
        }
    }

    /// Duration of every sample, where it is always the same.
    pub(super) fn constant_duration(&self) -> Option<u32> {
        // A last run of one sample is often cut to the end of the movie.
        let runs = match &self.durations[..] {
            [runs @ .., (1, _)] if !runs.is_empty() => runs,
            runs => runs,
        };
        let (_, first) = runs.first()?;
        runs.iter().all(|(_, duration)| duration == first).then_some(*first)
    }

    /// The next sample, `None` after the last, `Err` where the tables contradict each other.
    pub(super) fn next_sample(&mut self) -> Result<Option<Sample>, String> {
        if self.next.sample == self.count() {
            return Ok(None);
        }
        let next = &mut self.next;
        let size = match &self.sizes {
            Sizes::Equal { size, .. } => *size,
            Sizes::Each(sizes) => sizes[next.sample],
        };
        if next.sample_in_chunk == 0 {
            let starts_run = |run: &(u32, u32, u32)| run.0 as usize == next.chunk + 1;
            next.run += usize::from(self.chunk_runs.get(next.run + 1).is_some_and(starts_run));
            let offset = self.chunk_offsets.get(next.chunk);
            next.offset = *offset.ok_or_else(|| {
                let count = self.chunk_offsets.len();
                format!("frame {} lies in none of the {count} chunks", next.sample)
            })?;
        }
        let Some(&(_, per_chunk, description)) = self.chunk_runs.get(next.run) else {
            return Err("chunk table (stsc) is empty".to_owned());
        };
        while let Some((count, _)) = self.durations.get(next.duration_run)
            && next.sample_in_duration_run == *count
        {
            next.duration_run += 1;
            next.sample_in_duration_run = 0;
        }
        let Some(&(_, duration)) = self.durations.get(next.duration_run) else {
            return Err(format!("frame {} has no duration in the table (stts)", next.sample));
        };
        let (offset, time) = (next.offset, next.time);
        next.offset = offset
            .checked_add(size.into())
            .ok_or_else(|| format!("frame {} lies beyond every file", next.sample))?;
        next.time += u64::from(duration);
        next.sample_in_duration_run += 1;
        next.sample += 1;
        next.sample_in_chunk += 1;
        if next.sample_in_chunk == per_chunk {
            next.sample_in_chunk = 0;
            next.chunk += 1;
        }
        Ok(Some(Sample { offset, size, time, description }))
    }
}

/// Entries of a table: version and flags, a count, then `size` bytes each.
fn entries<T>(
    table: &[u8],
    size: usize,
    entry: impl Fn(&[u8]) -> Option<T>,
) -> Result<Vec<T>, String> {
    let count = long(table, 4).ok_or("a sample table is cut")? as usize;
    let bytes = &table[8..];
    if count > bytes.len() / size {
        return Err(format!(
            "a sample table states {count} entries of {size} bytes and has {} bytes",
            bytes.len()
        ));
    }
    let all: Option<Vec<T>> = bytes.chunks_exact(size).take(count).map(entry).collect();
    all.ok_or_else(|| "a sample table is cut".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(kind: &[u8; 4], head: &[u32], entries: &[u32]) -> Vec<u8> {
        let words: Vec<u8> = head.iter().chain(entries).flat_map(|w| w.to_be_bytes()).collect();
        [&(8 + words.len() as u32).to_be_bytes(), &kind[..], &words].concat()
    }

    #[test]
    fn runs_chunks_and_durations_are_followed() {
        // Chunks of 2, 2, 1 and 1 samples; the last two follow another description.
        let stbl = [
            table(b"stts", &[0, 2], &[4, 10, 2, 5]),
            table(b"stsc", &[0, 2], &[1, 2, 1, 3, 1, 2]),
            table(b"stsz", &[0, 0, 6], &[3, 4, 5, 6, 7, 8]),
            table(b"stco", &[0, 4], &[100, 200, 300, 400]),
        ]
        .concat();
        let mut samples = Samples::parse(&stbl).unwrap();
        let mut found = Vec::new();
        while let Some(s) = samples.next_sample().unwrap() {
            found.push((s.offset, s.size, s.time, s.description));
        }
        let expected = [
            (100, 3, 0, 1),
            (103, 4, 10, 1),
            (200, 5, 20, 1),
            (205, 6, 30, 1),
            (300, 7, 40, 2),
            (400, 8, 45, 2),
        ];
        assert_eq!(found, expected);
        assert_eq!(samples.constant_duration(), None);
    }

    #[test]
    fn contradictions_are_errors() {
        let with = |stsc: &[u32], chunks: u32, stts: &[u32]| {
            let runs = |entries: &[u32], width: usize| (entries.len() / width) as u32;
            let stbl = [
                table(b"stts", &[0, runs(stts, 2)], stts),
                table(b"stsc", &[0, runs(stsc, 3)], stsc),
                table(b"stsz", &[0, 9, u32::MAX], &[]),
                table(b"co64", &[0, chunks], &vec![0; 2 * chunks as usize]),
            ];
            let mut samples = Samples::parse(&stbl.concat())?;
            assert_eq!(samples.count(), u32::MAX as usize);
            loop {
                samples.next_sample()?;
            }
            #[expect(unreachable_code, reason = "gives the closure its type")]
            Ok::<(), String>(())
        };
        let error = |stsc: &[u32], chunks, stts: &[u32]| with(stsc, chunks, stts).unwrap_err();
        assert!(error(&[1, 3, 1], 2, &[9, 1]).contains("frame 6 lies in none of the 2 chunks"));
        assert!(error(&[1, 3, 1], 2, &[4, 1]).contains("frame 4 has no duration"));
        assert!(error(&[1, 0, 1], 2, &[9, 1]).contains("not in order"));
        assert!(error(&[2, 1, 1], 2, &[9, 1]).contains("not in order"));
        assert!(error(&[], 2, &[9, 1]).contains("stsc"));
        assert!(error(&[1, 1, 1], 0, &[]).contains("none of the 0 chunks"));
    }
}
