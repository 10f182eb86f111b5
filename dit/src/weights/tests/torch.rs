//! Files of `torch.save`: what is written is read, and what would do harm is refused in one line.

use super::read;
use crate::train::scratch::Scratch;
use crate::weights::write::archive::Archive;
use crate::weights::write::{Plan, write_torch};
use crate::weights::{Checkpoint, Dtype, Form};
use proptest::prelude::*;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::Path;

/// A file with tensors of several types.
fn write(path: &Path) {
    let plan = |name: &str, dtype, shape: &[usize]| Plan {
        name: name.into(),
        dtype,
        shape: shape.to_vec(),
    };
    let plans = [
        plan("a._flops_wrap_module.weight", Dtype::F32, &[2, 3]),
        plan("half", Dtype::F16, &[4]),
        plan("rounded", Dtype::BF16, &[4]),
        plan("indices", Dtype::I64, &[2]),
        plan("scalar", Dtype::F64, &[]),
        plan("empty", Dtype::F32, &[0, 4]),
        plan("flags", Dtype::BOOL, &[3]),
    ];
    write_torch(path, &plans, &mut |plan, sink| match plan.name.as_str() {
        "half" => sink(&[0x00, 0x3c, 0x00, 0xc0, 0, 0, 0, 0]),
        "rounded" => sink(&[0x80, 0x3f, 0x00, 0xc0, 0, 0, 0, 0]),
        "indices" => [7i64, -1].iter().try_for_each(|v| sink(&v.to_le_bytes())),
        "scalar" => sink(&2.5f64.to_le_bytes()),
        "flags" => sink(&[1, 0, 1]),
        _ => (0..plan.count()).try_for_each(|i| sink(&(i as f32).to_le_bytes())),
    })
    .unwrap();
}

/// An archive with this pickle and one storage of 16 bytes.
fn archive(path: &Path, pickle: &[u8]) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    let mut archive = Archive::new(&mut file);
    for (name, bytes) in [("x/data.pkl", pickle), ("x/data/0", &[0; 16])] {
        archive.entry::<io::Error>(name, bytes.len() as u64, |sink| sink(bytes)).unwrap();
    }
    archive.finish().unwrap();
}

/// The line that refuses a pickle.
fn refusal(pickle: &[u8]) -> String {
    let scratch = Scratch::new("pickle");
    let path = scratch.path().join("a.pth");
    archive(&path, pickle);
    let line = read(&path).unwrap_err();
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.contains("a.pth"), "{line}");
    line
}

/// A dictionary of one tensor with these sizes over 4 floats; each size is one byte.
fn tensor(offset: u8, shape: &[u8], strides: &[u8]) -> Vec<u8> {
    let mut pickle =
        b"\x80\x02}X\x01\0\0\0tctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storage".to_vec();
    pickle.extend(b"ctorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x04tQK");
    pickle.push(offset);
    for sizes in [shape, strides] {
        pickle.push(b'(');
        sizes.iter().for_each(|&size| pickle.extend([b'K', size]));
        pickle.push(b't');
    }
    pickle.extend(b"\x89ccollections\nOrderedDict\n)RtRs.");
    pickle
}

#[test]
fn what_is_written_is_read() {
    let scratch = Scratch::new("torch");
    let path = scratch.path().join("a.pth");
    write(&path);
    let file = Checkpoint::open(&path).unwrap();
    assert_eq!(file.form(), Form::Torch);
    assert_eq!(
        file.names(),
        ["a.weight", "empty", "flags", "half", "indices", "rounded", "scalar"]
    );
    assert_eq!(
        file.tensor("a.weight").unwrap().as_slice::<f32>().unwrap(),
        [0., 1., 2., 3., 4., 5.]
    );
    assert_eq!(file.tensor("half").unwrap().to_vec::<f32>().unwrap(), [1., -2., 0., 0.]);
    let rounded = file.tensor("rounded").unwrap().to_f32().unwrap().to_vec::<f32>().unwrap();
    assert_eq!(rounded, [1., -2., 0., 0.]);
    assert_eq!(file.integers("indices").unwrap(), [7, -1]);
    assert_eq!(file.tensor("indices").unwrap().to_vec::<i32>().unwrap(), [7, -1]);
    assert_eq!(file.tensor("scalar").unwrap().item().unwrap(), 2.5);
    assert_eq!(file.tensor("flags").unwrap().to_vec::<u8>().unwrap(), [1, 0, 1]);
    assert_eq!(file.shape("empty"), Some(&[0, 4][..]));
    let first = fs::read(&path).unwrap();
    write(&path);
    assert!(first == fs::read(&path).unwrap(), "the same tensors give the same bytes");
}

#[test]
fn views_are_read_as_they_are_strided() {
    let scratch = Scratch::new("views");
    let path = scratch.path().join("a.pth");
    let mut file = BufWriter::new(File::create(&path).unwrap());
    let mut archive = Archive::new(&mut file);
    let storage: Vec<u8> = [1f32, 2., 3., 4.].iter().flat_map(|v| v.to_le_bytes()).collect();
    for (name, bytes) in [("x/data.pkl", &tensor(1, &[2], &[2])), ("x/data/0", &storage)] {
        archive.entry::<io::Error>(name, bytes.len() as u64, |sink| sink(bytes)).unwrap();
    }
    archive.finish().unwrap();
    drop(file);
    let file = Checkpoint::open(&path).unwrap();
    assert_eq!(file.tensor("t").unwrap().to_vec::<f32>().unwrap(), [2., 4.]);
    let mut floats = Vec::new();
    file.floats("t", 1..2, &mut floats).unwrap();
    assert_eq!((floats, file.raw("t").unwrap()), (vec![4.], None));
}

#[test]
fn harmful_pickles_are_refused_by_name() {
    let system = refusal(b"\x80\x02cos\nsystem\nX\x04\0\0\0true\x85R.");
    assert!(
        system.contains("asks for os.system") && system.contains("nothing of it was run"),
        "{system}"
    );
    let by_stack = refusal(b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.");
    assert!(by_stack.contains("builtins.eval"), "{by_stack}");
    assert!(refusal(b"\x80\x02ctorch\nload\n.").contains("torch.load"));
    assert!(refusal(b"\x80\x02(cos\nsystem\no.").contains("os.system"));
    assert!(refusal(b"\x80\x02(X\x01\0\0\0aios\nsystem\n.").contains("opcode i"));
    assert!(refusal(b"I1\n.").contains("opcode I"));
    assert!(refusal(b"\x80\x09.").contains("protocol 9"));
}

#[test]
fn broken_pickles_are_refused() {
    for (pickle, part) in [
        (&b"\x80\x02"[..], "unfinished"),
        (b"\x80\x02.", "more from its stack"),
        (b"\x80\x02}X\xff\xff\xff\xff.", "unfinished"),
        (b"\x80\x02}h\x07.", "recalls 7"),
        (b"\x80\x02N.", "no dictionary of tensors"),
        (b"\x80\x02t.", "mark"),
        (b"\x80\x02}(Nu.", "key without a value"),
        (b"\x80\x02NNs.", "more from its stack"),
        (b"\x80\x02NNNs.", "no dictionary"),
        (b"\x80\x02X\x01\0\0\0aQ.", "no storage"),
    ] {
        let line = refusal(pickle);
        assert!(line.contains(part), "{line}");
    }
    for (pickle, part) in [
        (tensor(1, &[4], &[1]), "at element 1 of a storage of 4"),
        (tensor(0, &[2, 3], &[3, 1]), "of a storage of 4"),
        (tensor(0, &[200, 200], &[0, 0]), "shows 40000 elements of a storage of 4"),
        (tensor(0, &[2, 2], &[1]), "expected as many"),
    ] {
        let line = refusal(&pickle);
        assert!(line.contains(part), "{line}");
    }
    assert!(read_ok(&tensor(0, &[0, 255, 255], &[255, 255, 255])));
}

fn read_ok(pickle: &[u8]) -> bool {
    let scratch = Scratch::new("pickle");
    let path = scratch.path().join("a.pth");
    archive(&path, pickle);
    read(&path).is_ok()
}

#[test]
fn deep_nesting_and_bombs_end_in_a_line() {
    // A hundred thousand dictionaries, each in the next.
    let mut deep = b"\x80\x02".to_vec();
    (0..100_000).for_each(|_| deep.extend(b"}X\x01\0\0\0a"));
    deep.push(b'N');
    (0..100_000).for_each(|_| deep.push(b's'));
    deep.push(b'.');
    assert!(refusal(&deep).contains("deep"));
    // Each dictionary holds the one before twice: 2^60 paths.
    let mut bomb = b"\x80\x02}q\x00".to_vec();
    for level in 1..=30u8 {
        bomb.extend(b"}(X\x01\0\0\0a");
        bomb.extend([b'h', level - 1]);
        bomb.extend(b"X\x01\0\0\0b");
        bomb.extend([b'h', level - 1]);
        bomb.extend([b'u', b'q', level]);
    }
    bomb.push(b'.');
    assert!(refusal(&bomb).contains("more than"));
    // A dictionary that holds itself.
    assert!(refusal(b"\x80\x02}q\0(X\x01\0\0\0ah\0X\x01\0\0\0bh\0u.").contains("deep"));
    // Marks and copies without end.
    let mut copies = b"\x80\x02N".to_vec();
    copies.resize(5 << 20, b'2');
    assert!(refusal(&copies).contains("at a time"));
}

#[test]
fn other_formats_are_named() {
    let scratch = Scratch::new("formats");
    let path = scratch.path().join("a.pth");
    let refuse = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        read(&path).unwrap_err()
    };
    assert!(refuse(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.").contains("before version 1.6"));
    let mut tar = vec![0; 1024];
    tar[257..262].copy_from_slice(b"ustar");
    assert!(refuse(&tar).contains("tar archive"));
    assert!(refuse(b"version https://git-lfs.github.com/spec/v1\n").contains("git lfs pull"));
    assert!(refuse(b"").contains("cut short"));
    assert!(refuse(b"PK\x05\x06").contains("cut short"));
}

#[test]
fn damaged_archives_are_refused() {
    let scratch = Scratch::new("archives");
    let path = scratch.path().join("a.pth");
    write(&path);
    let whole = fs::read(&path).unwrap();
    let refuse = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let line = read(&path).unwrap_err();
        assert_eq!(line.lines().count(), 1, "{line}");
        line
    };
    for cut in [1, 21, 100, whole.len() / 2, whole.len() - 4] {
        assert!(refuse(&whole[..whole.len() - cut]).contains("cut short"), "{cut}");
    }
    let central: Vec<usize> =
        (0..whole.len() - 4).filter(|&at| &whole[at..at + 4] == b"PK\x01\x02").collect();
    let changed = |at: usize, bytes: &[u8]| {
        let mut copy = whole.clone();
        copy[at..at + bytes.len()].copy_from_slice(bytes);
        copy
    };
    // The second entry at the place of the first; a method; a flag; a size beyond the file.
    let first_header = &whole[central[0] + 42..central[0] + 46];
    assert!(refuse(&changed(central[1] + 42, first_header)).contains("overlap"));
    assert!(refuse(&changed(central[1] + 10, &[8, 0])).contains("compressed"));
    assert!(refuse(&changed(central[1] + 8, &[1, 0])).contains("encrypted"));
    let long = [0xf0, 0xff, 0xff, 0x7f];
    assert!(
        refuse(&changed(central[4] + 20, &[long, long].concat())).contains("does not end before")
    );
    assert!(refuse(&changed(central[1] + 42, &long)).contains("no header"));
    // The wide record of the directory: so many entries that they cannot be.
    let wide = (0..whole.len() - 4).find(|&at| &whole[at..at + 4] == b"PK\x06\x06").unwrap();
    assert!(refuse(&changed(wide + 48, &[0xff; 8])).contains("does not lie before"));
    assert!(refuse(&changed(wide, &[0; 4])).contains("zip64"));
    assert!(refuse(&changed(wide + 32, &[0xff, 0xff, 0, 0, 0, 0, 0, 0])).contains("cannot hold"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// A valid file with some bytes changed anywhere, or in its pickle, or cut.
    #[test]
    fn changed_files_are_read_or_refused_in_one_line(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        in_pickle in prop::collection::vec((0usize..900, any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let scratch = Scratch::new("torch-mutated");
        let path = scratch.path().join("a.pth");
        write(&path);
        let mut bytes = fs::read(&path).unwrap();
        for (at, value) in &changes {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
        for (at, value) in &in_pickle {
            bytes[64 + at] = *value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        fs::write(&path, &bytes).unwrap();
        if let Err(line) = read(&path) {
            prop_assert_eq!(line.lines().count(), 1, "{}", line);
            prop_assert!(line.contains("a.pth"), "{}", line);
        }
    }

    /// Opcodes in any order.
    #[test]
    fn any_pickle_is_read_or_refused_in_one_line(
        pickle in prop::collection::vec(
            prop::sample::select(b"(}])tuesQRq\x00h\x01\x88NK\x07.cX\x02\x00b0\x85\x86\x87\x8c\x94".to_vec()),
            0..200,
        ),
    ) {
        let scratch = Scratch::new("pickle-any");
        let path = scratch.path().join("a.pth");
        archive(&path, &pickle);
        if let Err(line) = read(&path) {
            prop_assert_eq!(line.lines().count(), 1, "{}", line);
        }
    }
}
