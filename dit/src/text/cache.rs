//! Features of prompts kept on disk, so that a prompt meets its encoder once.

use super::{Fingerprint, Progress, TextEncoder};
use crate::weights::{Checkpoint, save};
use crate::{Error, Result};
use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use vincie_tensor::{DType, Tensor};

/// Ending of kept features, and of those that are being written.
const KEPT: &str = "safetensors";
const WRITING: &str = "new";

/// Age at which a file that is being written has lost its writer.
const LOST: Duration = Duration::from_secs(3600);

/// Name of the tensor in a file.
const FEATURES: &str = "features";

/// A folder of features by the hash of encoder and prompt. Several programs may share one.
#[derive(Debug)]
pub struct FeatureCache {
    folder: PathBuf,
    most_bytes: u64,
}

impl FeatureCache {
    /// A cache in `folder`, made where it is not there, that takes at most `most_bytes` of disk.
    pub fn open(folder: &Path, most_bytes: u64) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
        Ok(Self { folder: folder.to_owned(), most_bytes })
    }

    fn path(&self, key: Fingerprint) -> PathBuf {
        self.folder.join(format!("{key}.{KEPT}"))
    }

    /// The features kept under a key. A file that is damaged, or not of rows of `dim` numbers, counts as
    /// none.
    fn get(&self, key: Fingerprint, dim: usize) -> Option<Tensor> {
        let path = self.path(key);
        let features = Checkpoint::open(&path).ok()?.tensor(FEATURES).ok()?;
        if features.dtype() != DType::F32
            || features.shape().rank() != 2
            || features.dims()[1] != dim
        {
            return None;
        }
        // A copy, as the file may go at any time.
        let values =
            features.to_vec::<f32>().ok().filter(|all| all.iter().all(|v| v.is_finite()))?;
        // The least recently used goes first. Where times cannot be set, the oldest does.
        if let Ok(file) = File::options().append(true).open(&path) {
            let _ = file.set_modified(SystemTime::now());
        }
        Tensor::from_slice(&values, features.shape()).ok()
    }

    /// Keeps features, in one step, and makes room for them.
    fn put(&self, key: Fingerprint, features: &Tensor) -> Result<()> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let partial = self.folder.join(format!("{key}-{}-{number}.{WRITING}", std::process::id()));
        save(&partial, [(FEATURES.to_owned(), features)])?;
        let path = self.path(key);
        fs::rename(&partial, &path).map_err(|source| {
            let _ = fs::remove_file(&partial);
            Error::io(&path, source)
        })?;
        self.make_room(&path)
    }

    /// Removes the least recently used files until the rest fits; `newest` stays.
    fn make_room(&self, newest: &Path) -> Result<()> {
        let io = |source| Error::io(&self.folder, source);
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(io)? {
            let path = entry.map_err(io)?.path();
            let ending = path.extension().and_then(|extension| extension.to_str());
            // Another program may have removed it meanwhile.
            let Ok(metadata) = fs::metadata(&path) else { continue };
            let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            match ending {
                Some(KEPT) => files.push((used, metadata.len(), path)),
                Some(WRITING | "partial") if used.elapsed().is_ok_and(|age| age > LOST) => {
                    let _ = fs::remove_file(&path);
                }
                _ => {}
            }
        }
        files.sort();
        let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in files {
            if total <= self.most_bytes {
                break;
            }
            if path != newest && fs::remove_file(&path).is_ok() {
                total -= bytes;
            }
        }
        Ok(())
    }
}

/// An encoder that is asked only for prompts whose features are not kept. Features that cannot be
/// written are computed again the next time.
#[derive(Debug)]
pub struct Cached<E> {
    encoder: E,
    cache: FeatureCache,
}

impl<E: TextEncoder> Cached<E> {
    /// The encoder behind a cache.
    pub fn new(encoder: E, cache: FeatureCache) -> Self {
        Self { encoder, cache }
    }
}

impl<E: TextEncoder> TextEncoder for Cached<E> {
    fn dim(&self) -> usize {
        self.encoder.dim()
    }

    fn fingerprint(&self) -> Fingerprint {
        self.encoder.fingerprint()
    }

    fn tokens(&self, prompt: &str) -> Result<Vec<u32>> {
        self.encoder.tokens(prompt)
    }

    fn encode(&self, prompts: &[&str], progress: Progress<'_>) -> Result<Vec<Tensor>> {
        let encoder = self.encoder.fingerprint();
        let key = |prompt: &str| Fingerprint::of([encoder.as_bytes(), prompt.as_bytes()]);
        let mut known: HashMap<&str, Tensor> = HashMap::new();
        let mut missing: Vec<&str> = Vec::new();
        for &prompt in prompts {
            if known.contains_key(prompt) || missing.contains(&prompt) {
                continue;
            }
            match self.cache.get(key(prompt), self.dim()) {
                Some(features) => drop(known.insert(prompt, features)),
                None => missing.push(prompt),
            }
        }
        if !missing.is_empty() {
            let features = self.encoder.encode(&missing, progress)?;
            for (prompt, features) in missing.into_iter().zip(features) {
                // What is lost with a full or read-only disk is time only.
                let _ = self.cache.put(key(prompt), &features);
                known.insert(prompt, features);
            }
        }
        Ok(prompts.iter().filter_map(|prompt| known.get(prompt).cloned()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::scratch::Scratch;
    use std::cell::RefCell;

    /// Features are the prompt's bytes; remembers what it was asked.
    struct Bytes(RefCell<Vec<String>>);

    impl TextEncoder for &Bytes {
        fn dim(&self) -> usize {
            1
        }

        fn fingerprint(&self) -> Fingerprint {
            Fingerprint::of([&b"bytes"[..]])
        }

        fn tokens(&self, prompt: &str) -> Result<Vec<u32>> {
            Ok(prompt.bytes().map(u32::from).collect())
        }

        fn encode(&self, prompts: &[&str], progress: Progress<'_>) -> Result<Vec<Tensor>> {
            progress(1, 1);
            let features = |prompt: &&str| {
                self.0.borrow_mut().push((*prompt).to_owned());
                let bytes: Vec<f32> = prompt.bytes().map(f32::from).collect();
                Ok(Tensor::from_slice(&bytes, [bytes.len(), 1])?)
            };
            prompts.iter().map(features).collect()
        }
    }

    fn encode(encoder: &Cached<&Bytes>, prompts: &[&str]) -> Vec<Vec<f32>> {
        let features = encoder.encode(prompts, &mut |_, _| {}).unwrap();
        features.iter().map(|features| features.to_vec::<f32>().unwrap()).collect()
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    }

    #[test]
    fn a_prompt_meets_its_encoder_once() {
        let scratch = Scratch::new("features");
        let folder = scratch.path().join("cache");
        let bytes = Bytes(RefCell::default());
        let open = || Cached::new(&bytes, FeatureCache::open(&folder, 1 << 20).unwrap());
        let expected = [vec![97.0], vec![98.0, 99.0], vec![97.0]];
        assert_eq!(encode(&open(), &["a", "bc", "a"]), expected);
        assert_eq!(encode(&open(), &["a", "bc", "a"]), expected);
        assert_eq!(encode(&open(), &["d", "bc"]), [vec![100.0], vec![98.0, 99.0]]);
        assert_eq!(*bytes.0.borrow(), ["a", "bc", "d"]);
        assert_eq!(files(&folder).len(), 3);
    }

    #[test]
    fn damaged_files_are_made_anew() {
        let scratch = Scratch::new("features-damaged");
        let bytes = Bytes(RefCell::default());
        let encoder = Cached::new(&bytes, FeatureCache::open(scratch.path(), 1 << 20).unwrap());
        encode(&encoder, &["ab"]);
        let file = files(scratch.path()).remove(0);
        let whole = fs::read(&file).unwrap();
        let not_a_number = [&whole[..whole.len() - 4], &f32::NAN.to_le_bytes()].concat();
        for damaged in [&whole[..whole.len() / 2], &[][..], &not_a_number] {
            fs::write(&file, damaged).unwrap();
            assert_eq!(encode(&encoder, &["ab"]), [[97.0, 98.0]]);
            assert!(whole == fs::read(&file).unwrap());
        }
        assert_eq!(bytes.0.borrow().len(), 4);
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let scratch = Scratch::new("features-full");
        let bytes = Bytes(RefCell::default());
        let first = Cached::new(&bytes, FeatureCache::open(scratch.path(), 1 << 20).unwrap());
        encode(&first, &["a"]);
        let size = fs::metadata(&files(scratch.path())[0]).unwrap().len();
        let encoder = Cached::new(&bytes, FeatureCache::open(scratch.path(), 2 * size).unwrap());
        encode(&encoder, &["b"]);
        // An hour ago both were used, and "a" is used again now.
        for file in files(scratch.path()) {
            let file = File::options().append(true).open(file).unwrap();
            file.set_modified(SystemTime::now() - LOST).unwrap();
        }
        encode(&encoder, &["a"]);
        encode(&encoder, &["c"]);
        assert_eq!(files(scratch.path()).len(), 2);
        bytes.0.borrow_mut().clear();
        encode(&encoder, &["a", "c", "b"]);
        assert_eq!(*bytes.0.borrow(), ["b"]);
    }
}
