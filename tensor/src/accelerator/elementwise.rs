//! Launches of elementwise kernels (`ptx/kernels/include/elementwise.ptx`).

use super::{Accelerator, TensorArguments};
use crate::{Result, Tensor};
use vincie_gpu::Launch;

/// Bytes of one access.
const ACCESS: usize = 16;

/// Starts `<kernel>_<dtype>_<access>` over contiguous tensors of one dtype and size, which are its
/// first parameters; `count` follows, then what `more` adds.
pub(crate) fn elementwise(
    accelerator: &Accelerator,
    kernel: &str,
    tensors: &[&Tensor],
    more: impl FnOnce(Launch<'_>) -> Launch<'_>,
) -> Result<()> {
    let (count, dtype) = (tensors[0].count(), tensors[0].dtype());
    if count == 0 {
        return Ok(());
    }
    let mut is_wide = true;
    for tensor in tensors {
        assert!(tensor.is_contiguous() && tensor.dtype() == dtype && tensor.count() == count);
        is_wide &= tensor.device_address()?.is_multiple_of(ACCESS as u64);
    }
    let width = if is_wide { ACCESS / dtype.size() } else { 1 };
    let access = if is_wide { "wide" } else { "any" };
    let kernel = accelerator.kernel(&format!("{kernel}_{dtype}_{access}"))?;
    let mut launch = kernel.launch().dim("threads", count / width + count % width);
    for tensor in tensors {
        launch = launch.tensor(tensor)?;
    }
    Ok(more(launch.size(count)).submit(accelerator.stream())?)
}
