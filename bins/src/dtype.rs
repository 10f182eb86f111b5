//! The `--dtype` option of the commands that compute.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use vincie_tensor::DType;

/// Which type numbers are stored in.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct DTypeArgument {
    /// Type that weights and activations are stored in: f32 or bf16; sums are f32 either way
    #[arg(long = "dtype", value_name = "TYPE", default_value = "f32", hide_possible_values = true)]
    #[arg(value_parser = parser())]
    pub(crate) dtype: DType,
}

/// Takes `f32` and `bf16`.
pub(crate) fn parser() -> impl TypedValueParser<Value = DType> {
    PossibleValuesParser::new(["f32", "bf16"]).map(|name| match name.as_str() {
        "bf16" => DType::BF16,
        _ => DType::F32,
    })
}
