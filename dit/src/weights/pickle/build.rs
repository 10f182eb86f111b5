//! Calls of allowed names, as the data that they stand for.

use super::value::{Arena, Global, Id, Storage, Value, View};
use safetensors::Dtype;

/// The storage that a persistent id `('storage', class, key, location, count)` names.
pub(super) fn storage(arena: &Arena, id: Id) -> Result<Storage, String> {
    let fields: Vec<&Value> = items(arena, id).iter().map(|&id| arena.get(id)).collect();
    let [
        Value::Text(kind),
        Value::Global(Global::Type(dtype)),
        Value::Text(key),
        Value::Text(_),
        Value::Int(count),
        ..,
    ] = fields.as_slice()
    else {
        return Err("names something outside that is no storage".to_owned());
    };
    let count = usize::try_from(*count).ok().filter(|_| kind == "storage");
    let count = count.ok_or_else(|| format!("names a storage '{}' without a size", short(key)))?;
    Ok(Storage { key: key.clone(), dtype: *dtype, count })
}

/// The value of a call.
pub(super) fn call(arena: &Arena, callee: Id, arguments: Id) -> Result<Value, String> {
    let Value::Global(global) = arena.get(callee) else {
        return Err("calls something that is no function".to_owned());
    };
    let arguments = items(arena, arguments);
    match global {
        Global::OrderedDict => ordered(arena, arguments),
        Global::RebuildTensor => view(arena, arguments, None),
        Global::RebuildTyped => {
            let dtype = match arguments.get(6).map(|&id| arena.get(id)) {
                Some(Value::Global(Global::Type(Some(dtype)))) => *dtype,
                _ => return Err("rebuilds a tensor of no known type".to_owned()),
            };
            view(arena, arguments, Some(dtype))
        }
        Global::RebuildParameter => match arguments.first().map(|&id| arena.get(id)) {
            Some(value @ Value::Tensor(_)) => Ok(value.clone()),
            _ => Err("rebuilds a parameter of something that is no tensor".to_owned()),
        },
        Global::RebuildFromType => {
            let [function, _, arguments, ..] = *arguments else {
                return Err("rebuilds a tensor of a class without its arguments".to_owned());
            };
            match arena.get(function) {
                Value::Global(Global::RebuildFromType) => {
                    Err("rebuilds a tensor of a class within another".to_owned())
                }
                _ => call(arena, function, arguments),
            }
        }
        Global::Size => match arguments.first() {
            Some(&sizes) => Ok(Value::Tuple(items(arena, sizes).to_vec())),
            None => Ok(Value::Tuple(Vec::new())),
        },
        Global::Opaque => Ok(Value::Opaque),
        Global::Type(_) => Err("calls a type of elements".to_owned()),
    }
}

/// A dictionary, empty or from a list of pairs.
fn ordered(arena: &Arena, arguments: &[Id]) -> Result<Value, String> {
    let pairs = arguments.first().map_or(&[][..], |&list| items(arena, list));
    let pair = |&id: &Id| match *items(arena, id) {
        [key, value] => Ok((key, value)),
        _ => Err("fills a dictionary with something that is no pair".to_owned()),
    };
    Ok(Value::Dict(pairs.iter().map(pair).collect::<Result<_, _>>()?))
}

/// `(storage, offset, sizes, strides, ..)`.
fn view(arena: &Arena, arguments: &[Id], dtype: Option<Dtype>) -> Result<Value, String> {
    let [storage, offset, shape, strides, ..] = *arguments else {
        return Err("rebuilds a tensor without its shape".to_owned());
    };
    let (Value::Storage(storage), &Value::Int(offset)) = (arena.get(storage), arena.get(offset))
    else {
        return Err("rebuilds a tensor without a storage and an offset".to_owned());
    };
    let sizes = |id: Id| -> Result<Vec<usize>, String> {
        let size = |&id: &Id| match arena.get(id) {
            Value::Int(size) => usize::try_from(*size).ok(),
            _ => None,
        };
        let sizes: Option<Vec<usize>> = items(arena, id).iter().map(size).collect();
        sizes.ok_or_else(|| "rebuilds a tensor whose sizes are no whole numbers".to_owned())
    };
    let dtype = dtype.or(storage.dtype).ok_or("rebuilds a tensor of no known type")?;
    let offset = usize::try_from(offset).map_err(|_| format!("has a tensor at offset {offset}"))?;
    let (shape, strides) = (sizes(shape)?, sizes(strides)?);
    Ok(Value::Tensor(View { storage: storage.clone(), dtype, offset, shape, strides }))
}

/// The items of a tuple or list; none of anything else.
fn items(arena: &Arena, id: Id) -> &[Id] {
    match arena.get(id) {
        Value::Tuple(items) | Value::List(items) => items,
        _ => &[],
    }
}

/// A name from outside, short enough for a line.
pub(super) fn short(name: &str) -> String {
    name.chars().take(80).collect::<String>().escape_debug().to_string()
}
