//! The folded network beside the one for clips, and clips in slices beside whole clips.

use super::*;
use crate::weights::names::{Vae8Sizes, Vae16Sizes};
use vincie_tensor::Tensor;
use vincie_tensor::random::{Key, Stream};

/// Small autoencoders of both families, with shortcuts, with and without doubled time.
fn all() -> [(Sizes, usize); 2] {
    let eight = Vae8Sizes {
        image: 3,
        latent: 4,
        encoder: vec![4, 8, 8],
        decoder: vec![8, 8, 4],
        residuals: [1, 2],
        halves_time: vec![false, true],
        doubles_time: vec![true, false],
    };
    let sixteen = Vae16Sizes {
        image: 3,
        latent: 6,
        encoder: vec![4, 8, 8, 12],
        decoder: vec![8, 4, 8, 4],
        residuals: [1, 1],
        doubles_time: vec![true, true, false],
    };
    [(Sizes::Eight(eight), 2), (Sizes::Sixteen(sixteen), 4)]
}

fn normal(shape: &[usize], draw: u64) -> Tensor {
    Key::new(7, Stream::Test, draw).normal_tensor(shape).unwrap()
}

/// Random official weights: kernels scaled so that signals keep their size.
fn official(sizes: &Sizes) -> Parameters {
    let expected = match sizes {
        Sizes::Eight(sizes) => sizes.expected(),
        Sizes::Sixteen(sizes) => sizes.expected(),
    };
    let mut parameters = Parameters::new();
    for (i, (name, shape, _)) in expected.into_iter().enumerate() {
        let fan_in: usize = shape.iter().skip(1).product();
        let scale = if shape.rank() > 1 { 1.0 / (fan_in as f32).sqrt() } else { 0.5 };
        let values: Vec<f32> = normal(&shape, i as u64).to_vec::<f32>().unwrap();
        let values: Vec<f32> = values.into_iter().map(|v| scale * v).collect();
        parameters.insert(name, Tensor::from_slice(&values, shape).unwrap());
    }
    parameters
}

fn load(sizes: &Sizes, groups: usize, form: Form) -> (Autoencoder, Parameters) {
    Autoencoder::load(&official(sizes), sizes, groups, form).unwrap()
}

/// Largest difference over the largest value.
fn distance(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.shape(), b.shape());
    let (a, b) = (a.to_vec::<f32>().unwrap(), b.to_vec::<f32>().unwrap());
    let largest = b.iter().fold(0f32, |m, v| m.max(v.abs()));
    a.iter().zip(&b).fold(0f32, |m, (a, b)| m.max((a - b).abs())) / largest
}

#[test]
fn folded_weights_give_what_a_clip_of_one_frame_gives() {
    for (sizes, groups) in all() {
        let (clips, clip_weights) = load(&sizes, groups, Form::Clips);
        let (pictures, picture_weights) = load(&sizes, groups, Form::Pictures);
        let side = 2 * sizes.factor();
        let pixels: Var = normal(&[2, 1, side, side + sizes.factor(), 3], 900).into();
        let latents: Var = normal(&[2, 1, 3, 2, sizes.latent()], 901).into();
        let (g, folded) = (Graph::inference(&clip_weights), Graph::inference(&picture_weights));
        let (a, b) = (clips.encode(&g, &pixels, None), pictures.encode(&folded, &pixels, None));
        assert!(distance(b.unwrap().value(), a.unwrap().value()) < 1e-5);
        let (a, b) = (clips.decode(&g, &latents, None), pictures.decode(&folded, &latents, None));
        assert!(distance(b.unwrap().value(), a.unwrap().value()) < 1e-5);
        assert!(picture_weights.count() < clip_weights.count());
    }
}

#[test]
fn clips_in_slices_are_whole_clips() {
    for (sizes, groups) in all() {
        let (network, weights) = load(&sizes, groups, Form::Clips);
        let g = Graph::inference(&weights);
        let (frames, side) = (1 + 3 * sizes.time_factor(), sizes.factor());
        let pixels = normal(&[1, frames, side, 2 * side, 3], 902);
        let whole = network.encode(&g, &pixels.clone().into(), None).unwrap();
        assert_eq!(whole.value().shape()[1], 4);
        for slice in [1, 2, 5, 100] {
            let sliced = network.encode_slices(&weights, &pixels, slice).unwrap();
            assert!(distance(&sliced, whole.value()) < 1e-5, "{slice} frames");
        }
        let latents = normal(&[1, 4, 2, 1, sizes.latent()], 903);
        let whole = network.decode(&g, &latents.clone().into(), None).unwrap();
        assert_eq!(whole.value().shape()[1], frames);
        for slice in [1, 2, 3, 100] {
            let sliced = network.decode_slices(&weights, &latents, slice).unwrap();
            assert!(distance(&sliced, whole.value()) < 1e-5, "{slice} latent frames");
        }
    }
}

/// The mean of a decoded sample's products with fixed numbers.
fn loss(network: &Autoencoder, g: &Graph<'_>, pixels: &Tensor) -> Var {
    let moments = network.encode(g, &pixels.clone().into(), None).unwrap();
    let posterior = Posterior::of(g, &moments).unwrap();
    let noise = normal(posterior.mean.value().dims(), 906).into();
    let sample = posterior.sample(g, &noise).unwrap();
    let decoded = network.decode(g, &sample, None).unwrap();
    let by = normal(decoded.value().dims(), 907).into();
    let products = g.mul(&decoded, &by).unwrap();
    let count = products.value().count();
    g.mean(&g.reshape(&products, [1, count]).unwrap(), 1).unwrap()
}

#[test]
fn gradients_are_what_differences_say() {
    for (sizes, groups) in all() {
        let (network, weights) = load(&sizes, groups, Form::Clips);
        let side = sizes.factor();
        let pixels = normal(&[1, 1 + sizes.time_factor(), side, side, 3], 908);
        let g = Graph::recording(&weights);
        let value = loss(&network, &g, &pixels);
        let gradients = g.backward(&value).unwrap();
        // Along the gradient the loss rises by its squared length.
        let square = |t: &Tensor| -> f64 {
            t.to_vec::<f32>().unwrap().iter().map(|&v| f64::from(v).powi(2)).sum()
        };
        let length = gradients.parameters().iter().flatten().map(square).sum::<f64>().sqrt();
        let step = 1e-2;
        let moved = |sign: f64| {
            let mut moved = Parameters::new();
            for (id, name, value) in weights.iter() {
                let gradient = gradients.parameter(id).unwrap().to_vec::<f32>().unwrap();
                let values: Vec<f32> = value
                    .to_vec::<f32>()
                    .unwrap()
                    .iter()
                    .zip(gradient)
                    .map(|(&v, g)| v + (sign * step / length) as f32 * g)
                    .collect();
                moved.insert(name, Tensor::from_slice(&values, value.shape()).unwrap());
            }
            let g = Graph::inference(&moved);
            f64::from(loss(&network, &g, &pixels).value().item().unwrap())
        };
        let slope = (moved(1.0) - moved(-1.0)) / (2.0 * step);
        assert!((slope / length - 1.0).abs() < 0.02, "{slope} along {length}");
    }
}

#[test]
fn what_does_not_fit_is_refused_in_one_line() {
    for (sizes, groups) in all() {
        let (network, weights) = load(&sizes, groups, Form::Pictures);
        let g = Graph::inference(&weights);
        let side = sizes.factor();
        for shape in [[1, 1, side + 1, side, 3], [1, 5, side, side, 3], [1, 1, side, side, 4]] {
            let line = network.encode(&g, &normal(&shape, 904).into(), None).unwrap_err();
            assert!(line.to_string().contains("expected 1 frames"), "{line}");
        }
        let latents = normal(&[1, 1, 2, 2, sizes.latent() + 1], 905);
        assert!(network.decode(&g, &latents.into(), None).is_err());
        let line = Autoencoder::load(&official(&sizes), &sizes, 3, Form::Clips).unwrap_err();
        assert!(line.to_string().contains("3 groups"), "{line}");
        let line = Autoencoder::load(&Parameters::new(), &sizes, 2, Form::Clips).unwrap_err();
        assert!(line.to_string().contains("encoder.conv_in"), "{line}");
    }
}

#[test]
fn logarithms_of_variances_keep_their_bounds() {
    let parameters = Parameters::new();
    let g = Graph::recording(&parameters);
    let values = [0.5, -1.0, 25.0, -40.0];
    let moments = g.input(Tensor::from_slice(&values, [1, 1, 1, 1, 4]).unwrap());
    let posterior = Posterior::of(&g, &moments).unwrap();
    assert_eq!(posterior.log_variance.value().to_vec::<f32>().unwrap(), [20.0, -30.0]);
    let noise = Tensor::full([1, 1, 1, 1, 2], 0f32).unwrap().into();
    let sample = posterior.sample(&g, &noise).unwrap();
    assert_eq!(sample.value().to_vec::<f32>().unwrap(), [0.5, -1.0]);
    let seed = Tensor::full([1, 1, 1, 1, 2], 1f32).unwrap();
    let log_variance = posterior.log_variance.clone();
    let gradients = g.backward_from(&[(&log_variance, seed)]).unwrap();
    let gradient = gradients.of(&moments).unwrap().to_vec::<f32>().unwrap();
    assert_eq!(gradient, [0.0; 4]);
}
