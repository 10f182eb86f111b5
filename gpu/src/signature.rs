//! What a kernel takes, from its PTX and from the contract in its header, and the checks of a
//! launch against both.

use crate::device::Limits;
use crate::expression::{NoValue, Values, evaluate, holds};
use vincie_ptx::contract::{Contract, ContractParam};
use vincie_ptx::parse::Type;
use vincie_ptx::{LaunchConfig, MAX_CLUSTER, Module};

/// One parameter.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) bytes: usize,
    contract: Option<ContractParam>,
}

/// One argument of a launch, as the checks see it.
#[derive(Clone, Debug)]
pub(crate) enum Given {
    /// A buffer: element type, its size, and how many there are.
    Buffer { element: &'static str, element_bytes: usize, len: usize, tag: String },
    /// A number: its type and size, and its value where that is whole.
    Scalar { element: &'static str, bytes: usize, value: Option<i64> },
    /// Bytes of any type.
    Bytes(Vec<u8>),
    /// A tensor map.
    Map,
    /// A null pointer.
    Null,
}

/// What a kernel takes.
#[derive(Clone, Debug)]
pub(crate) struct Signature {
    pub(crate) kernel: String,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) static_shared: usize,
    required_block: Option<[u32; 3]>,
    max_threads: Option<u32>,
    required_cluster: Option<[u32; 3]>,
    pub(crate) contract: Option<Contract>,
}

/// Why a launch is refused.
type Refusal = String;

impl Signature {
    /// Reads the kernel's declaration; the contract, where there is one, is about this kernel.
    pub(crate) fn new(module: &Module, kernel: &str, contract: Option<Contract>) -> Option<Self> {
        let params = module.params(kernel)?;
        let contract = contract.filter(|contract| contract.entry == kernel);
        let parameters = params.iter().enumerate().map(|(index, param)| Parameter {
            name: param.name.clone(),
            bytes: param.bytes,
            contract: contract.as_ref().and_then(|c| c.params.get(index).cloned()),
        });
        let axes = |name: &str| {
            let values = module.directive(kernel, name)?;
            Some([0, 1, 2].map(|axis| values.get(axis).copied().unwrap_or(1)))
        };
        Some(Signature {
            kernel: kernel.to_owned(),
            parameters: parameters.collect(),
            // Only the machine can lay out shared memory; a kernel it does not know has its
            // attribute in the driver.
            static_shared: module.kernel(kernel).map_or(0, |kernel| kernel.static_shared),
            required_block: axes("reqntid"),
            max_threads: axes("maxntid").map(|axes| axes.iter().product()),
            required_cluster: axes("reqnctapercluster"),
            contract,
        })
    }

    /// Values of the names in the contract: whole numbers among the arguments, and what the
    /// caller gives.
    pub(crate) fn values(&self, given: &[Given], dims: &[(String, u64)]) -> Values {
        let mut values = Values::new();
        for (parameter, given) in self.parameters.iter().zip(given) {
            let Some(contract) = &parameter.contract else { continue };
            let value = match given {
                Given::Scalar { value, .. } => *value,
                Given::Bytes(bytes) if !contract.is_pointer => integer(&contract.element, bytes),
                _ => None,
            };
            if let Some(value) = value {
                values.insert(contract.name.clone(), value);
            }
        }
        for (name, value) in dims {
            if let Ok(value) = i64::try_from(*value) {
                values.insert(name.clone(), value);
            }
        }
        values
    }

    /// Number, sizes and types of the arguments, and the lengths of buffers.
    pub(crate) fn check_arguments(&self, given: &[Given], values: &Values) -> Result<(), Refusal> {
        let kernel = &self.kernel;
        if given.len() != self.parameters.len() {
            let names: Vec<&str> = self.parameters.iter().map(|p| p.name.as_str()).collect();
            let (have, want) = (given.len(), names.len());
            let names = names.join(", ");
            return Err(format!("{kernel}: {have} arguments, {want} are expected: {names}"));
        }
        for (parameter, given) in self.parameters.iter().zip(given) {
            parameter
                .check(given, values)
                .map_err(|what| format!("{kernel}: argument {}: {what}", parameter.name))?;
        }
        Ok(())
    }

    /// The grid that the contract gives, where it is all known.
    pub(crate) fn grid(&self, values: &Values) -> Option<[u32; 3]> {
        let contract = self.contract.as_ref()?;
        let mut grid = [1; 3];
        for (size, text) in grid.iter_mut().zip(&contract.grid) {
            *size = u32::try_from(evaluate(text, values).ok()?).ok()?;
        }
        Some(grid)
    }

    /// The block that the contract or the kernel itself gives.
    pub(crate) fn block(&self) -> Option<[u32; 3]> {
        self.required_block.or_else(|| self.contract.as_ref().map(|c| [c.block, 1, 1]))
    }

    /// The cluster that the kernel itself gives.
    pub(crate) fn cluster(&self) -> Option<[u32; 3]> {
        self.required_cluster
    }

    /// Dynamic shared memory, where the contract gives it.
    pub(crate) fn dynamic_shared(&self) -> Option<usize> {
        let total = self.contract.as_ref()?.shared_bytes;
        Some(total.saturating_sub(self.static_shared))
    }

    /// The shape of a launch against device, kernel and contract.
    pub(crate) fn check_shape(
        &self,
        shape: &LaunchConfig,
        limits: &Limits,
        values: &Values,
    ) -> Result<(), Refusal> {
        let kernel = &self.kernel;
        let refuse = |what: String| Err(format!("{kernel}: {what}"));
        let (grid, block, cluster) = (shape.grid, shape.block, shape.cluster);
        let outside = |sizes: [u32; 3], limits: [u32; 3]| {
            sizes.iter().zip(limits).any(|(size, limit)| !(1..=limit).contains(size))
        };
        if outside(grid, limits.grid) {
            return refuse(format!("grid {grid:?}; each is 1 to {:?}", limits.grid));
        }
        let threads: u64 = block.iter().map(|size| u64::from(*size)).product();
        let most = self.max_threads.unwrap_or(limits.block_threads).min(limits.block_threads);
        if outside(block, limits.block) || threads > u64::from(most) {
            return refuse(format!("block {block:?} has {threads} threads; 1 to {most}"));
        }
        if let Some(required) = self.required_block
            && required != block
        {
            return refuse(format!("block {block:?}; the kernel requires {required:?}"));
        }
        if let Some(required) = self.required_cluster
            && required != cluster
        {
            return refuse(format!("cluster {cluster:?}; the kernel requires {required:?}"));
        }
        let ranks: u64 = cluster.iter().map(|size| u64::from(*size)).product();
        let divides = grid.iter().zip(cluster).all(|(grid, size)| size > 0 && grid % size == 0);
        if !divides || ranks > u64::from(MAX_CLUSTER) {
            return refuse(format!(
                "cluster {cluster:?}; it divides grid {grid:?} and has at most {MAX_CLUSTER} CTAs"
            ));
        }
        let shared = self.static_shared.saturating_add(shape.dynamic_shared);
        if shared > limits.shared_bytes {
            let most = limits.shared_bytes;
            return refuse(format!("{shared} bytes of shared memory; at most {most}"));
        }
        self.check_contract(shape, threads, shared, values).or_else(refuse)
    }

    fn check_contract(
        &self,
        shape: &LaunchConfig,
        threads: u64,
        shared: usize,
        values: &Values,
    ) -> Result<(), Refusal> {
        let Some(contract) = &self.contract else { return Ok(()) };
        if threads != u64::from(contract.block) {
            let want = contract.block;
            return Err(format!("block of {threads} threads; the contract says {want}"));
        }
        if shared < contract.shared_bytes {
            let want = contract.shared_bytes;
            return Err(format!("{shared} bytes of shared memory; the contract says {want}"));
        }
        for (axis, text) in contract.grid.iter().enumerate().take(3) {
            if let Ok(want) = evaluate(text, values)
                && want != i64::from(shape.grid[axis])
            {
                let grid = shape.grid;
                return Err(format!("grid {grid:?}; the contract says {text} = {want}"));
            }
        }
        for limit in &contract.limits {
            if holds(limit, values) == Ok(false) {
                return Err(format!("the limit {limit} does not hold with {values:?}"));
            }
        }
        Ok(())
    }

    /// Limits of the contract that no launch can check, because they are not read.
    pub(crate) fn unread_limits(&self) -> Vec<&str> {
        let limits = self.contract.iter().flat_map(|contract| &contract.limits);
        let is_unread = |limit: &&String| {
            !limit.starts_with("regs")
                && matches!(holds(limit, &Values::new()), Err(NoValue::Unreadable(_)))
        };
        limits.filter(is_unread).map(String::as_str).collect()
    }
}

impl Parameter {
    fn check(&self, given: &Given, values: &Values) -> Result<(), Refusal> {
        let (bytes, what) = match given {
            Given::Buffer { .. } => (8, "a buffer"),
            Given::Scalar { bytes, .. } => (*bytes, "a number"),
            Given::Bytes(bytes) => (bytes.len(), "a value"),
            Given::Map => (vincie_driver::TENSOR_MAP_BYTES, "a tensor map"),
            Given::Null => (8, "a null pointer"),
        };
        if bytes != self.bytes {
            return Err(format!("{what} of {bytes} bytes; the kernel takes {}", self.bytes));
        }
        let Some(contract) = &self.contract else { return Ok(()) };
        let want = &contract.element;
        match given {
            Given::Buffer { element, element_bytes, len, tag } => {
                if !contract.is_pointer {
                    return Err(format!("buffer `{tag}`; the contract says {want}"));
                }
                check_type(want, element, *element_bytes)
                    .map_err(|what| format!("buffer `{tag}` {what}"))?;
                let Some(needed) = needed(contract, values) else { return Ok(()) };
                let have = *len as i64 * *element_bytes as i64;
                let needed_bytes = needed.saturating_mul(element_size(want, *element_bytes));
                if have < needed_bytes {
                    let shape = contract.shape.join(", ");
                    return Err(format!(
                        "buffer `{tag}` has {have} bytes; [{shape}] of {want} needs {needed_bytes}"
                    ));
                }
                Ok(())
            }
            Given::Scalar { .. } if contract.is_pointer => {
                Err(format!("a number; the contract says ptr {want}"))
            }
            Given::Scalar { element, bytes, .. } => check_type(want, element, *bytes),
            Given::Map if want != "map" => Err(format!("a tensor map; the contract says {want}")),
            Given::Null if !contract.is_pointer => {
                Err(format!("a null pointer; the contract says {want}"))
            }
            // Their number is all that is known of them.
            Given::Bytes(_) | Given::Map | Given::Null => Ok(()),
        }
    }
}

fn element_size(name: &str, otherwise: usize) -> i64 {
    Type::parse(name).map_or(otherwise, Type::bytes) as i64
}

/// The value of bytes that a contract calls a whole number.
fn integer(element: &str, bytes: &[u8]) -> Option<i64> {
    let element = Type::parse(element).filter(|ty| ty.is_integer() && ty.bytes() == bytes.len())?;
    let mut word = [0; 8];
    word.get_mut(..bytes.len())?.copy_from_slice(bytes);
    let unused = 64 - 8 * bytes.len() as u32;
    let shifted = u64::from_le_bytes(word) << unused;
    if element.is_signed() {
        return Some(shifted as i64 >> unused);
    }
    i64::try_from(shifted >> unused).ok()
}

/// How many elements a contract's shape has; nothing where a name has no value.
fn needed(contract: &ContractParam, values: &Values) -> Option<i64> {
    contract
        .shape
        .iter()
        .try_fold(1i64, |product, axis| product.checked_mul(evaluate(axis, values).ok()?.max(0)))
}

/// Types agree where they are the same, or the contract asks for untyped bits of the size. Bytes
/// may stand for anything.
fn check_type(want: &str, have: &str, bytes: usize) -> Result<(), Refusal> {
    let is_untyped = matches!(want, "b8" | "b16" | "b32" | "b64");
    let fits_bits = is_untyped && element_size(want, 0) == bytes as i64;
    // Packed pairs are kept in words of their size.
    let is_packed = want.ends_with("x2") && bytes == 4;
    if want == have || fits_bits || is_packed || (have == "u8" && bytes == 1) {
        return Ok(());
    }
    Err(format!("of {have}; the contract says {want}"))
}
