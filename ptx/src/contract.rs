//! The header comment of a handwritten kernel, read as a contract: what it computes, its
//! parameters, its launch shape, its limits, and the order of its reductions.
//!
//! ```text
//! // rms_norm_forward_bf16: x / sqrt(mean(x^2) + eps) * w, by rows.
//! // params  x: ptr bf16 [rows,cols] | w: ptr bf16 [cols] | out: ptr bf16 [rows,cols] | eps: f32
//! // grid    (rows, 1, 1)   block 256   smem 1_024
//! // limits  cols <= 8192, regs <= 64
//! // order   lanes, then warps, left to right
//! ```

use crate::decode::Kernel;
use crate::error::{Error, Result};
use crate::parse::{Module, Type};

/// A parsed header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    /// Name of the entry.
    pub entry: String,
    /// What it computes, one sentence.
    pub summary: String,
    /// Parameters in order.
    pub params: Vec<ContractParam>,
    /// Grid as written, one expression an axis.
    pub grid: Vec<String>,
    /// Threads of a CTA.
    pub block: u32,
    /// Bytes of shared memory, static and dynamic together.
    pub shared_bytes: usize,
    /// Limits as written.
    pub limits: Vec<String>,
    /// Most registers a thread may take, where `regs <= N` stands among the limits.
    pub registers: Option<u32>,
    /// Order of reductions, empty where there are none.
    pub order: String,
}

/// One parameter of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractParam {
    /// Name.
    pub name: String,
    /// True for pointers.
    pub is_pointer: bool,
    /// Type of the value or of the elements pointed to, as written.
    pub element: String,
    /// Shape of the tensor pointed to, one expression an axis.
    pub shape: Vec<String>,
}

/// The text behind a key of the header, over the lines that continue it.
fn section(lines: &[&str], key: &str) -> Option<String> {
    let start = lines.iter().position(|line| {
        line.strip_prefix(key).is_some_and(|rest| rest.starts_with(char::is_whitespace))
    })?;
    let mut text = lines[start][key.len()..].trim().to_string();
    for line in &lines[start + 1..] {
        // A continuation is indented; the next key is not.
        if !line.starts_with("  ") {
            break;
        }
        text.push(' ');
        text.push_str(line.trim());
    }
    Some(text)
}

impl Contract {
    /// Reads the comment block at the top of a PTX file.
    pub fn parse(text: &str, file: &str) -> Result<Contract> {
        let fail = |what: String| Error::Case(format!("{file}: header: {what}"));
        let lines: Vec<&str> = text
            .lines()
            .map_while(|line| line.strip_prefix("//"))
            .map(|line| line.strip_prefix(' ').unwrap_or(line))
            .collect();
        let first =
            lines.first().ok_or_else(|| fail("the file must start with a comment".into()))?;
        let (entry, summary) = first
            .split_once(':')
            .ok_or_else(|| fail(format!("`{first}`, expected `entry: what it computes`")))?;
        let list = section(&lines, "params").ok_or_else(|| fail("no `params`".into()))?;
        let mut params = Vec::new();
        for item in list.split('|').map(str::trim).filter(|item| !item.is_empty()) {
            params.push(param(item).ok_or_else(|| {
                fail(format!(
                    "parameter `{item}`, expected `name: ptr type [axes]` or `name: type`"
                ))
            })?);
        }
        let shape = section(&lines, "grid").ok_or_else(|| fail("no `grid`".into()))?;
        let (grid, rest) = axes(&shape, '(', ')')
            .ok_or_else(|| fail(format!("grid `{shape}`, expected `(x, y, z)`")))?;
        let number = |key: &str| {
            let at = rest.find(key)?;
            let digits: String = rest[at + key.len()..]
                .trim_start()
                .chars()
                .take_while(|c| c.is_ascii_digit() || *c == '_')
                .filter(|c| *c != '_')
                .collect();
            digits.parse::<usize>().ok()
        };
        let block = number("block").ok_or_else(|| fail("no `block N` behind the grid".into()))?;
        let shared_bytes =
            number("smem").ok_or_else(|| fail("no `smem N` behind the grid".into()))?;
        let limits: Vec<String> = section(&lines, "limits")
            .map(|text| text.split(',').map(|limit| limit.trim().to_string()).collect())
            .unwrap_or_default();
        let registers = limits.iter().find_map(|limit| {
            limit.strip_prefix("regs")?.trim().strip_prefix("<=")?.trim().parse().ok()
        });
        Ok(Contract {
            entry: entry.trim().to_string(),
            summary: summary.trim().to_string(),
            params,
            grid,
            block: block as u32,
            shared_bytes,
            limits,
            registers,
            order: section(&lines, "order").unwrap_or_default(),
        })
    }

    /// Compares the contract with the text below it.
    pub fn verify(&self, module: &Module) -> Result<Kernel> {
        let fail = |what: String| Err(Error::Case(format!("{}: contract: {what}", module.name)));
        let Some(params) = module.params(&self.entry) else {
            let have: Vec<&str> = module.entries().collect();
            return fail(format!("no entry `{}`; the module has {}", self.entry, have.join(", ")));
        };
        if params.len() != self.params.len() {
            let (have, want) = (params.len(), self.params.len());
            return fail(format!("{} has {have} parameters, the header {want}", self.entry));
        }
        for (actual, promised) in params.iter().zip(&self.params) {
            let bytes = if promised.is_pointer {
                8
            } else {
                match Type::parse(&promised.element) {
                    Some(ty) => ty.bytes(),
                    None if promised.element == "map" => 128,
                    None => {
                        return fail(format!("type `{}` of {}", promised.element, promised.name));
                    }
                }
            };
            if actual.bytes != bytes {
                return fail(format!(
                    "parameter {} has {} bytes, the header says {bytes}",
                    promised.name, actual.bytes
                ));
            }
            if actual.name != promised.name
                && !actual.name.ends_with(&format!("_{}", promised.name))
            {
                let (have, want) = (&actual.name, &promised.name);
                return fail(format!("parameter `{have}` stands where the header says `{want}`"));
            }
        }
        for directive in ["reqntid", "maxntid"] {
            if let Some(values) = module.directive(&self.entry, directive) {
                let threads: u32 = values.iter().product();
                if threads != self.block {
                    let block = self.block;
                    return fail(format!(".{directive} gives {threads}, the header {block}"));
                }
            }
        }
        let kernel = module.kernel(&self.entry)?;
        if kernel.static_shared > self.shared_bytes {
            let (have, want) = (kernel.static_shared, self.shared_bytes);
            return fail(format!("{have} bytes of static shared memory, the header says {want}"));
        }
        Ok(kernel)
    }
}

fn param(item: &str) -> Option<ContractParam> {
    let (name, rest) = item.split_once(':')?;
    let mut words = rest.split_whitespace();
    let mut element = words.next()?;
    let is_pointer = element == "ptr";
    if is_pointer {
        element = words.next()?;
    }
    let shape = axes(rest, '[', ']').map(|(axes, _)| axes).unwrap_or_default();
    Some(ContractParam {
        name: name.trim().to_string(),
        is_pointer,
        element: element.to_string(),
        shape,
    })
}

/// Comma-separated expressions in brackets, and the text behind them.
fn axes(text: &str, open: char, close: char) -> Option<(Vec<String>, &str)> {
    let start = text.find(open)?;
    let mut depth = 0;
    let mut list = vec![String::new()];
    for (at, c) in text[start..].char_indices() {
        match c {
            c if c == open => {
                depth += 1;
                if depth == 1 {
                    continue;
                }
            }
            c if c == close => {
                depth -= 1;
                if depth == 0 {
                    let list = list.into_iter().map(|axis| axis.trim().to_string()).collect();
                    return Some((list, &text[start + at + c.len_utf8()..]));
                }
            }
            ',' if depth == 1 => {
                list.push(String::new());
                continue;
            }
            _ => {}
        }
        list.last_mut()?.push(c);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "// scale_f32: out = x * factor.
// params  x: ptr f32 [rows,cols] | out: ptr f32 [rows,cols] |
//         factor: f32 | count: u32
// grid    (ceil(count/256), 1, 1)   block 256   smem 1_024
// limits  count >= 1, regs <= 32
// order   none
.version 8.0
.target sm_80
.address_size 64
.visible .entry scale_f32(.param .u64 x, .param .u64 out, .param .f32 factor, .param .u32 count)
.reqntid 256
{
    ret;
}
";

    #[test]
    fn a_header_is_read_and_holds() {
        let contract = Contract::parse(TEXT, "scale.ptx").expect("a legal header");
        assert_eq!(contract.params.len(), 4);
        assert_eq!(contract.params[1].shape, ["rows", "cols"]);
        assert_eq!(contract.grid, ["ceil(count/256)", "1", "1"]);
        assert_eq!(
            (contract.block, contract.shared_bytes, contract.registers),
            (256, 1024, Some(32))
        );
        let module = Module::parse(TEXT, "scale.ptx").expect("parses");
        contract.verify(&module).expect("holds");
    }

    #[test]
    fn a_broken_promise_is_named() {
        let broken = TEXT.replace("factor: f32", "factor: f64");
        let module = Module::parse(&broken, "scale.ptx").expect("parses");
        let error = Contract::parse(&broken, "scale.ptx").expect("reads").verify(&module);
        assert!(error.expect_err("must fail").to_string().contains("factor"));
        let broken = TEXT.replace("block 256", "block 128");
        let error = Contract::parse(&broken, "scale.ptx").expect("reads").verify(&module);
        assert!(error.expect_err("must fail").to_string().contains("256"));
        assert!(Contract::parse("nothing", "x").is_err());
        assert!(Contract::parse("// a: b\n// params x\n", "x").is_err());
    }
}
