//! Tensors as arguments of launches.

use crate::{DType, Result, Tensor};
use half::bf16;
use vincie_gpu::Launch;

/// What a launch takes beside buffers and numbers.
pub(crate) trait TensorArguments: Sized {
    /// The next argument is the first element of a tensor of the device.
    fn tensor(self, tensor: &Tensor) -> Result<Self>;

    /// The next argument is a tensor, or a null pointer.
    fn optional(self, tensor: Option<&Tensor>) -> Result<Self>;

    /// The next argument is a size. Kernels count in 32 bits; sizes that do not fit are refused by
    /// the contract's limits.
    fn size(self, value: usize) -> Self;
}

impl TensorArguments for Launch<'_> {
    fn tensor(self, tensor: &Tensor) -> Result<Self> {
        Ok(match tensor.dtype() {
            DType::F32 => self.buffer(&tensor.device_buffer::<f32>()?),
            DType::BF16 => self.buffer(&tensor.device_buffer::<bf16>()?),
            DType::I32 => self.buffer(&tensor.device_buffer::<i32>()?),
            DType::U8 => self.buffer(&tensor.device_buffer::<u8>()?),
        })
    }

    fn optional(self, tensor: Option<&Tensor>) -> Result<Self> {
        match tensor {
            Some(tensor) => self.tensor(tensor),
            None => Ok(self.null()),
        }
    }

    fn size(self, value: usize) -> Self {
        self.scalar(u32::try_from(value).unwrap_or(u32::MAX))
    }
}
