use super::*;
use crate::session::fixtures::Scratch;
use proptest::prelude::*;
use std::fs;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/parquet").join(name)
}

fn open(name: &str) -> Arc<Parquet> {
    Arc::new(Parquet::open(golden(name)).expect("the file is good"))
}

/// All cells of a column.
fn cells(parquet: &Arc<Parquet>, name: &str) -> Vec<Cell> {
    let column = parquet.column(name, "element").expect("the column is there");
    parquet.rows(&[column]).map(|row| row.expect("the row is good").remove(0)).collect()
}

#[test]
fn numbers_texts_and_lists_are_what_was_written() {
    for name in ["numbers-1.parquet", "numbers-2.parquet"] {
        let parquet = open(name);
        assert_eq!((parquet.len(), parquet.is_empty()), (3000, false));
        let int = |value| Some(Value::Int(value));
        let expected = |each: &dyn Fn(i64) -> Cell| (0..3000).map(each).collect::<Vec<_>>();
        assert_eq!(cells(&parquet, "small"), expected(&|i| vec![int(i % 7)]), "{name}");
        let large = |i| vec![if i % 5 == 0 { None } else { int(i * 1_000_000_000_000 - 3) }];
        assert_eq!(cells(&parquet, "large"), expected(&large), "{name}");
        let text = |i| vec![Some(Value::Bytes(format!("row {}", i / 100).into_bytes()))];
        assert_eq!(cells(&parquet, "text"), expected(&text), "{name}");
        let list = |i| match i % 11 {
            0 => Vec::new(),
            _ => (0..i % 4).map(|j| if j % 2 == 1 { int(j) } else { None }).collect(),
        };
        assert_eq!(cells(&parquet, "list"), expected(&list), "{name}");
    }
}

#[test]
fn columns_keep_in_step() {
    let parquet = open("numbers-1.parquet");
    let columns = ["text", "list", "small"].map(|name| parquet.column(name, "element").unwrap());
    for (index, row) in parquet.rows(&columns).enumerate() {
        let row = row.expect("the row is good");
        assert_eq!(row[2], [Some(Value::Int(index as i64 % 7))]);
        assert_eq!(row[0], [Some(Value::Bytes(format!("row {}", index / 100).into_bytes()))]);
    }
}

#[test]
fn columns_are_found_by_their_field() {
    let edits = open("edits-0.parquet");
    let names: Vec<String> = edits.columns().collect();
    let name = |column: Option<usize>| column.map(|index| names[index].as_str());
    assert_eq!(name(edits.column("source_img", "bytes")), Some("source_img.bytes"));
    assert_eq!(name(edits.column("source_img", "path")), Some("source_img.path"));
    assert_eq!(name(edits.column("img_id", "anything")), Some("img_id"));
    assert_eq!(name(edits.column("source_img", "anything")), None);
    assert_eq!(name(edits.column("source", "bytes")), None);
}

#[test]
fn what_is_not_read_is_named() {
    let floats = open("floats.parquet");
    let error = floats.rows(&[0]).next().unwrap().unwrap_err().to_string();
    assert!(error.contains("column x: compressed by ZSTD") || error.contains("64-bit"), "{error}");
    let scratch = Scratch::new();
    for (bytes, words) in [
        (&b"PAR1"[..], "4 bytes are too few"),
        (b"PK\x03\x04 something else entirely", "does not begin and end with PAR1"),
        (b"PAR1\xff\xff\xff\x00PAR1", "footer of 16777215 bytes; at most 0 can be"),
        (b"PAR1\x00\x00\x00\x00PAR1", "header is cut short"),
    ] {
        let path = scratch.join("bad.parquet");
        fs::write(&path, bytes).unwrap();
        let error = Parquet::open(&path).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("bad.parquet"), "{error}");
    }
}

/// Reads all of a file, whatever it is.
fn read_all(path: &Path) -> Result<usize> {
    let parquet = Arc::new(Parquet::open(path)?);
    let columns: Vec<usize> = (0..parquet.columns().count()).collect();
    let mut rows = 0;
    for column in columns {
        for row in parquet.rows(&[column]) {
            row?;
            rows += 1;
        }
    }
    Ok(rows)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Damage is an error or other values, never a panic and never more memory than a page may have.
    #[test]
    fn damaged_files_never_panic(
        file in prop::sample::select(vec!["edits-0.parquet", "edits-1.parquet", "videos.parquet", "numbers-1.parquet", "numbers-2.parquet"]),
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        from_end in any::<bool>(),
    ) {
        let mut bytes = fs::read(golden(file)).unwrap();
        let length = bytes.len();
        for (place, value) in places {
            // Half of the damage goes to the footer, which is the denser part.
            let at = if from_end { length - 1 - place.index(length.min(900)) } else { place.index(length) };
            bytes[at] = value;
        }
        let scratch = Scratch::new();
        let path = scratch.join("damaged.parquet");
        fs::write(&path, &bytes).unwrap();
        let _ = read_all(&path);
    }
}

#[test]
fn cut_files_are_refused() {
    let bytes = fs::read(golden("edits-0.parquet")).unwrap();
    let scratch = Scratch::new();
    let path = scratch.join("cut.parquet");
    for end in (0..bytes.len()).step_by(97) {
        fs::write(&path, &bytes[..end]).unwrap();
        assert!(read_all(&path).is_err(), "{end} bytes");
    }
    assert!(read_all(&golden("edits-0.parquet")).is_ok());
}
