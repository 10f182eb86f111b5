//! Launch files: through the driver's calls every case of the corpus and of the microtests leaves
//! the very bytes that it leaves on the machine itself.

use crate::{SCALE, device, refused};
use std::path::{Path, PathBuf};
use vincie_gpu::ErrorKind;
use vincie_ptx::Options;
use vincie_ptx::corpus::{Arg, Case, Dtype, Output};

fn cases(folder: &str) -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ptx").join(folder);
    let entries = std::fs::read_dir(folder).expect("the folder is part of the repository");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.retain(|path| path.to_string_lossy().ends_with(".launch.toml"));
    paths.sort();
    let cases = paths.iter().map(|path| Case::load(path).expect("the case loads"));
    cases.filter(|case| case.flaw.is_none()).collect()
}

fn case(name: &str) -> Case {
    let mut cases = cases("corpus");
    let at = cases.iter().position(|case| case.name == name).expect("it is there");
    cases.swap_remove(at)
}

/// The same case with these outputs as what it expects, byte for byte.
fn expecting(case: &Case, outputs: &[Output]) -> Case {
    let mut exact = case.clone();
    let as_bytes =
        |name: String, bytes: &[u8]| Output { name, dtype: Dtype::U8, bytes: bytes.to_vec() };
    let mut tensors: Vec<Output> = case
        .inputs()
        .expect("the tensors are there")
        .iter()
        .map(|input| as_bytes(input.name.to_owned(), input.bytes))
        .collect();
    let wanted = |name: &str| format!("wanted.{name}");
    tensors.extend(outputs.iter().map(|output| as_bytes(wanted(&output.name), &output.bytes)));
    exact.data = Output::serialize(&tensors).expect("they can be written");
    for arg in &mut exact.args {
        let (name, expect) = match arg {
            Arg::Buffer { name, expect, .. } => (name, expect),
            Arg::Map { map, expect } => (&mut map.buffer, expect),
            Arg::Bytes(_) | Arg::Null => continue,
        };
        if let Some(expect) = expect {
            (expect.name, expect.rtol, expect.atol) = (wanted(name), 0.0, 0.0);
        }
    }
    exact
}

#[test]
fn the_driver_and_the_machine_leave_the_same_bytes() {
    let mut count = 0;
    let device = device();
    for case in cases("corpus").into_iter().chain(cases("microtests")) {
        let run = device.run_case(&case).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        assert_eq!(case.mismatches(&run.outputs), Ok(Vec::new()), "{}", case.name);
        assert!(run.overrun.is_empty() && run.registers.is_none());
        let exact = expecting(&case, &run.outputs);
        let outcome = exact.run(&Options::default()).expect("the case runs");
        assert!(outcome.mismatches.is_empty(), "{}: {:?}", case.name, outcome.mismatches);
        count += 1;
        if count == 1 {
            // The comparison sees one byte.
            let mut outputs = run.outputs;
            let changed = outputs.iter_mut().find(|output| {
                let expected = case.expected(&output.name);
                expected.is_ok_and(|expected| expected.is_some())
            });
            changed.expect("something is expected").bytes[0] ^= 1;
            let outcome = expecting(&case, &outputs).run(&Options::default());
            assert_eq!(outcome.expect("the case runs").mismatches[0].count.0, 1);
        }
    }
    assert!(count >= 19, "{count}");
}

#[test]
fn structs_by_value_and_wide_scalars_are_arguments() {
    let head = ".version 8.0\n.target sm_80\n.address_size 64\n";
    let text = format!(
        "{head}.visible .entry last(.param .u64 out, .param .align 8 .b8 pair[272], .param .u16 n)\n\
         {{\n .reg .b64 %p; .reg .b32 %v; .reg .b16 %n;\n ld.param.u64 %p, [out];\n \
         ld.param.u32 %v, [pair+264];\n st.global.u32 [%p], %v;\n ld.param.u16 %n, [n];\n \
         st.global.u16 [%p+4], %n;\n st.global.u16 [%p+6], %n;\n ret;\n}}\n"
    );
    let mut case = case("c_collatz");
    let mut pair = vec![0; 272];
    pair[264..268].copy_from_slice(&77u32.to_le_bytes());
    (case.ptx, case.entry) = (text, "last".to_owned());
    (case.config.grid, case.config.block) = ([1; 3], [1; 3]);
    let out = Output { name: "out".into(), dtype: Dtype::U16, bytes: vec![0xAB; 8] };
    case.data = Output::serialize(&[out]).expect("it can be written");
    case.args = vec![
        Arg::Buffer { name: "out".into(), uninit: true, expect: None },
        Arg::Bytes(pair),
        Arg::Bytes(9u32.to_le_bytes().to_vec()),
    ];
    let device = device();
    let run = device.run_case(&case).expect("the case runs");
    assert_eq!(run.outputs[0].bytes, [77, 0, 0, 0, 9, 0, 9, 0]);
    case.args.pop();
    refused(device.run_case(&case), ErrorKind::Argument, "2 arguments, 3 are expected");
}

#[test]
fn what_does_not_fit_is_refused_in_one_line() {
    let good = case("l_matmul_tiled");
    let device = device();
    let with = |change: &dyn Fn(&mut Case)| {
        let mut case = good.clone();
        change(&mut case);
        device.run_case(&case)
    };
    refused(with(&|case| case.config.grid = [0, 1, 1]), ErrorKind::Argument, "grid [0, 1, 1]");
    refused(with(&|case| case.entry = "other".into()), ErrorKind::Module, "no kernel `other`");
    refused(with(&|case| case.data.clear()), ErrorKind::Argument, "no data file");
    let huge = with(&|case| case.config.dynamic_shared = usize::MAX);
    refused(huge, ErrorKind::Argument, "bytes of shared memory");
}

#[test]
fn a_contract_holds_for_numbers_that_are_bytes() {
    let mut case = case("c_collatz");
    (case.ptx, case.entry) = (SCALE.to_owned(), "scale_f32".to_owned());
    let values: Vec<u8> = [1.0f32, 2.0, 3.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let tensor =
        |name: &str| Output { name: name.into(), dtype: Dtype::F32, bytes: values.clone() };
    case.data = Output::serialize(&[tensor("x"), tensor("y")]).expect("they can be written");
    let buffer = |name: &str, uninit| Arg::Buffer { name: name.into(), uninit, expect: None };
    let count = |count: u32| Arg::Bytes(count.to_le_bytes().to_vec());
    let factor = Arg::Bytes(2.0f32.to_le_bytes().to_vec());
    case.args = vec![buffer("x", false), buffer("y", true), factor, count(3)];
    (case.config.grid, case.config.block) = ([1; 3], [128, 1, 1]);
    let device = device();
    let kernel = device.load(SCALE, "scale.ptx").and_then(|module| module.kernel("scale_f32"));
    let kernel = kernel.expect("it is there");
    case.config.block[0] = kernel.contract().expect("it has one").block;
    let run = device.run_case(&case).expect("the case runs");
    let doubled: Vec<u8> =
        [2.0f32, 4.0, 6.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    assert_eq!(run.outputs[1].bytes, doubled);
    case.args[3] = count(65);
    refused(device.run_case(&case), ErrorKind::Argument, "the contract says ceil(count/64) = 2");
}
