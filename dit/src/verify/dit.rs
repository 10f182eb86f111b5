//! Kind `dit`: the whole transformer, its intermediate values, variants of precision and gradients.

use super::case::{Checker, sizes};
use super::components::{rows_to_samples, samples_to_rows};
use crate::config::ModelConfig;
use crate::layout::{Layout, SampleShape};
use crate::model::{ForwardOptions, Inputs, Transformer, expected_parameters, sinusoid};
use crate::rotary::AnglePrecision;
use crate::weights::{Checkpoint, assign};
use crate::{Error, Result};
use std::cell::RefCell;
use std::collections::HashMap;
use vincie_autograd::{Graph, Parameters, Var};
use vincie_tensor::{Accelerator, DType, Tensor};

/// One case's inputs and sizes.
struct Case {
    config: ModelConfig,
    samples: Vec<[usize; 3]>,
    shapes: Vec<SampleShape>,
    io: Checkpoint,
    place: Option<Accelerator>,
    /// Type that weights and activations are stored in, but for the case's own variants.
    dtype: DType,
}

/// Which roundings a forward pass makes.
#[derive(Clone, Copy)]
struct Variant {
    suffix: &'static str,
    weights: DType,
    attention: Option<DType>,
    angles: AnglePrecision,
    times: DType,
}

const F32: Variant = Variant {
    suffix: "",
    weights: DType::F32,
    attention: None,
    angles: AnglePrecision::F32,
    times: DType::F32,
};

const ROUNDED: [Variant; 3] = [
    Variant { suffix: "_bf16attn", attention: Some(DType::BF16), ..F32 },
    Variant { suffix: "_bf16rope", angles: AnglePrecision::Bf16, ..F32 },
    Variant {
        suffix: "_allbf16",
        weights: DType::BF16,
        attention: Some(DType::BF16),
        angles: AnglePrecision::Bf16,
        times: DType::BF16,
    },
];

pub(super) fn check(checker: &mut Checker<'_>) -> Result<()> {
    let io = checker.need("io")?;
    checker.expect(
        io.names()
            .into_iter()
            .filter(|name| name.starts_with("expect.") || name.starts_with("mid.")),
    );
    let config = ModelConfig::from_official(checker.config())?;
    let (text, samples) =
        (sizes::<1>(&io, "input.txt_shape")?, sizes::<3>(&io, "input.vid_shape")?);
    let p = config.patch;
    let shape = |(&[text], &[t, h, w]): (&[usize; 1], &[usize; 3])| SampleShape {
        text,
        grid: [t, h / p, w / p],
    };
    let shapes = text.iter().zip(&samples).map(shape).collect();
    let (place, dtype) = (checker.place().cloned(), checker.dtype());
    let case = Case { config, samples, shapes, io, place, dtype };
    let weights = checker.need("weights")?;
    if let Some(other) = checker.open("weights_pth")? {
        check_same(&weights, &other)?;
    }
    check_intermediate(checker, &case, &weights)?;
    for variant in ROUNDED {
        let name = format!("expect.out{}", variant.suffix);
        if checker.wants(&name) {
            let parameters = load(&case, &weights, variant.weights)?;
            let out = case.forward(&parameters, variant, &mut |_, _| {})?;
            checker.tensor(&case.io, &name, &out)?;
        }
    }
    let golden = checker.open("grads")?;
    if golden.is_some() || checker.wants("expect.loss") {
        check_gradients(checker, &case, &weights, golden.as_ref())?;
    }
    Ok(())
}

fn load(case: &Case, weights: &Checkpoint, dtype: DType) -> Result<Parameters> {
    let mut parameters = Parameters::new();
    assign(weights, &expected_parameters(&case.config), Some(dtype), &mut parameters)?;
    Ok(parameters.to_place(case.place.as_ref())?)
}

/// `Err` when two files do not hold the same tensors, bit for bit.
fn check_same(weights: &Checkpoint, other: &Checkpoint) -> Result<()> {
    let names = weights.names();
    for name in &names {
        if other.shape(name) != weights.shape(name)
            || other.gathered(name)? != weights.gathered(name)?
        {
            let what = format!("{name} is not as in {}", weights.path().display());
            return Err(Error::format(other.path(), what));
        }
    }
    match other.names().len() == names.len() {
        true => Ok(()),
        false => Err(Error::format(other.path(), "holds other tensors than the case's weights")),
    }
}

/// The result, with no roundings but those of the stored type, and every intermediate value that the
/// case names.
fn check_intermediate(checker: &mut Checker<'_>, case: &Case, weights: &Checkpoint) -> Result<()> {
    let parameters = load(case, weights, DType::F32)?.to_dtype(case.dtype)?;
    let mut seen: HashMap<String, Tensor> = HashMap::new();
    let out =
        case.forward(&parameters, Variant { weights: case.dtype, ..F32 }, &mut |name, value| {
            seen.insert(format!("mid.{name}"), value.clone());
        })?;
    checker.computed(&case.io, "expect.out", &out)?;
    let mut names: Vec<&String> = seen.keys().collect();
    names.sort();
    for name in names {
        if checker.wants(name) {
            checker.computed(&case.io, name, &seen[name])?;
        }
    }
    Ok(())
}

/// Loss and gradients of all weights and inputs, with and without recomputing the blocks.
fn check_gradients(
    checker: &mut Checker<'_>,
    case: &Case,
    weights: &Checkpoint,
    golden: Option<&Checkpoint>,
) -> Result<()> {
    let is_result = |name: &String| name.starts_with("grad.") || name.starts_with("expect.");
    checker.expect(golden.iter().flat_map(|golden| golden.names()).filter(is_result));
    let file_of = |name: &str| golden.filter(|file| file.shape(name).is_some()).unwrap_or(&case.io);
    let parameters = load(case, weights, DType::F32)?.to_dtype(case.dtype)?;
    let model = Transformer::bind(case.config.clone(), &parameters)?;
    let layout = Layout::full(&case.shapes, &case.config, AnglePrecision::F32)?;
    let target: Var = file_of("input.target").tensor("input.target")?.to_f32()?.into();
    let [rows, channels] = *target.value().dims() else {
        return Err(Error::format(case.io.path(), "input.target has not two axes"));
    };
    let run = |recompute_blocks: bool| -> Result<_> {
        let g = Graph::recording(&parameters);
        let (video, text) =
            (g.input(case.input("vid", case.dtype)?), g.input(case.input("txt", case.dtype)?));
        let options = ForwardOptions { recompute_blocks, ..ForwardOptions::default() };
        let out = case.run(&g, &model, &layout, [&video, &text], options, DType::F32)?;
        let weights = Tensor::full([rows], 1.0 / rows as f32)?.into();
        let (loss, _) = g.mse(&g.reshape(&out, [rows, channels])?, &target, &weights)?;
        Ok((g.backward(&loss)?, video, text, loss))
    };
    let (gradients, video, text, loss) = run(false)?;
    let (recomputed, ..) = run(true)?;
    checker.computed(file_of("expect.loss"), "expect.loss", loss.value())?;
    let Some(golden) = golden else { return Ok(()) };
    for (input, name) in [(&video, "grad.input.vid"), (&text, "grad.input.txt")] {
        if let Some(gradient) = gradients.of(input) {
            checker.computed(golden, name, gradient)?;
        }
    }
    for (id, name, _) in parameters.iter() {
        let (Some(gradient), again) = (gradients.parameter(id), recomputed.parameter(id)) else {
            continue;
        };
        if again.map(|t| t.to_vec::<f32>()).transpose()? != Some(gradient.to_vec::<f32>()?) {
            return Err(Error::invalid(format!(
                "gradient of {name} has other bits when its block is recomputed"
            )));
        }
        let name = format!("grad.weight.{name}");
        if checker.wants(&name) {
            checker.computed(golden, &name, gradient)?;
        } else if gradient.to_vec::<f32>()?.iter().any(|&v| v != 0.0) {
            return Err(Error::invalid(format!(
                "{name} is not zero, and the case expects no gradient"
            )));
        }
    }
    Ok(())
}

impl Case {
    fn input(&self, stream: &str, dtype: DType) -> Result<Tensor> {
        let input = self.io.tensor(&format!("input.{stream}"))?.to_f32()?.to_dtype(dtype)?;
        Ok(input.to_place(self.place.as_ref())?)
    }

    fn forward(
        &self,
        parameters: &Parameters,
        variant: Variant,
        see: &mut dyn FnMut(&str, &Tensor),
    ) -> Result<Tensor> {
        let model = Transformer::bind(self.config.clone(), parameters)?;
        let layout = Layout::full(&self.shapes, &self.config, variant.angles)?;
        let g = Graph::inference(parameters);
        let (video, text) = (
            self.input("vid", variant.weights)?.into(),
            self.input("txt", variant.weights)?.into(),
        );
        let probe = RefCell::new(|name: &str, value: &Tensor| see(name, value));
        let options = ForwardOptions {
            attention: variant.attention,
            probe: Some(&probe),
            recompute_blocks: false,
        };
        Ok(self.run(&g, &model, &layout, [&video, &text], options, variant.times)?.value().clone())
    }

    /// `[sum T H W, channels]` for all samples.
    fn run<'a>(
        &self,
        g: &Graph<'a>,
        model: &'a Transformer,
        layout: &'a Layout,
        [video, text]: [&Var; 2],
        options: ForwardOptions<'_>,
        times: DType,
    ) -> Result<Var> {
        let patches = samples_to_rows(g, video, &self.samples, self.config.patch)?;
        let timesteps = self.io.tensor("input.timestep")?.to_f32()?.to_dtype(times)?;
        let time = sinusoid(&timesteps)?;
        let inputs = Inputs { visual: &patches, text, time: &time, conditioning: None };
        let rows = model.forward(g, layout, inputs, None, options)?;
        rows_to_samples(g, &rows, &self.samples, self.config.patch)
    }
}
