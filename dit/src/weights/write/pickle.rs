//! The pickle of a dictionary of tensors, as PyTorch reads it with `weights_only=True`.

use super::Plan;
use safetensors::Dtype;

/// The pickle of an ordered dictionary; storage `i` holds tensor `i`. `Err` names a type for which
/// PyTorch has no class of storages.
pub(super) fn dictionary(plans: &[Plan]) -> Result<Vec<u8>, String> {
    let mut out = vec![0x80, 2];
    ordered_dict(&mut out);
    out.push(b'(');
    for (number, plan) in plans.iter().enumerate() {
        text(&mut out, &plan.name);
        global(&mut out, "torch._utils", "_rebuild_tensor_v2");
        out.extend(b"((");
        text(&mut out, "storage");
        global(&mut out, "torch", storage_class(plan)?);
        text(&mut out, &number.to_string());
        text(&mut out, "cpu");
        int(&mut out, plan.count());
        out.extend(b"tQ");
        int(&mut out, 0);
        tuple(&mut out, plan.shape.iter().copied());
        let mut strides = vec![1; plan.shape.len()];
        for axis in (1..plan.shape.len()).rev() {
            strides[axis - 1] = strides[axis] * plan.shape[axis].max(1);
        }
        tuple(&mut out, strides.into_iter());
        // No gradient is asked for, and there are no hooks.
        out.push(0x89);
        ordered_dict(&mut out);
        out.extend(b"tR");
    }
    out.extend(b"u.");
    Ok(out)
}

fn storage_class(plan: &Plan) -> Result<&'static str, String> {
    Ok(match plan.dtype {
        Dtype::F64 => "DoubleStorage",
        Dtype::F32 => "FloatStorage",
        Dtype::F16 => "HalfStorage",
        Dtype::BF16 => "BFloat16Storage",
        Dtype::I64 => "LongStorage",
        Dtype::I32 => "IntStorage",
        Dtype::I16 => "ShortStorage",
        Dtype::I8 => "CharStorage",
        Dtype::U8 => "ByteStorage",
        Dtype::BOOL => "BoolStorage",
        Dtype::C64 => "ComplexFloatStorage",
        other => {
            return Err(format!(
                "{} has type {other:?}, of which PyTorch has no storages",
                plan.name
            ));
        }
    })
}

fn ordered_dict(out: &mut Vec<u8>) {
    global(out, "collections", "OrderedDict");
    out.extend(b")R");
}

fn global(out: &mut Vec<u8>, module: &str, name: &str) {
    out.extend(format!("c{module}\n{name}\n").as_bytes());
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

/// A whole number: four signed bytes where it fits them, else eight.
fn int(out: &mut Vec<u8>, value: usize) {
    match i32::try_from(value) {
        Ok(value) => {
            out.push(b'J');
            out.extend(value.to_le_bytes());
        }
        Err(_) => {
            out.extend([0x8a, 8]);
            out.extend((value as i64).to_le_bytes());
        }
    }
}

fn tuple(out: &mut Vec<u8>, items: impl Iterator<Item = usize>) {
    out.push(b'(');
    items.for_each(|item| int(out, item));
    out.push(b't');
}
