//! Kind `sampler`: schedule, path, guidance, Euler trajectories and the conversions around them.

use super::case::{Checker, numbers};
use crate::codec::{self, LatentScale};
use crate::diffusion::{self, LAST_TIME, Schedule};
use crate::weights::Checkpoint;
use crate::{Error, Result};
use half::bf16;

pub(super) fn check(checker: &mut Checker<'_>) -> Result<()> {
    let io = checker.need("io")?;
    const GIVEN: [&str; 16] = [
        "cfg.neg",
        "cfg.pos",
        "sched.t",
        "sched.x_0",
        "sched.x_T",
        "latent.in",
        "latent.in_bf16",
        "png.in",
        "png.in_bf16",
        "train.normal",
        "traj.bias",
        "traj.x_T",
        "traj_fp32.x_T",
        "traj_bf16.x_T",
        "traj_fp32.t",
        "traj_bf16.t",
    ];
    let is_result = |name: &String| !GIVEN.contains(&name.as_str()) && !name.contains(".bias_");
    checker.expect(io.names().into_iter().filter(is_result));
    for name in io.names() {
        match name.split('.').collect::<Vec<_>>()[..] {
            ["timesteps" | "timesteps_bf16", steps, shift] => {
                timesteps(checker, &io, &name, steps, shift)?
            }
            ["cfg", ..] if name.starts_with("cfg.scale") => guidance(checker, &io, &name)?,
            _ => {}
        }
    }
    if io.shape("sched.x_t").is_some() {
        path(checker, &io)?;
    }
    if io.shape("traj.x_T").is_some() {
        trajectory(checker, &io, "traj", None)?;
    }
    for prefix in ["traj_fp32", "traj_bf16"] {
        if io.shape(&format!("{prefix}.x_T")).is_some() {
            let scale = checker.config().pointer("/trajectory/guidance").and_then(|v| v.as_f64());
            let scale =
                scale.ok_or_else(|| Error::invalid("sampler: trajectory.guidance is missing"))?;
            trajectory(checker, &io, prefix, Some(scale as f32))?;
        }
    }
    conversions(checker, &io)
}

fn f32s(io: &Checkpoint, name: &str) -> Result<Vec<f32>> {
    Ok(numbers(io, name)?.into_iter().map(|v| v as f32).collect())
}

fn wide(values: impl IntoIterator<Item = f32>) -> Vec<f64> {
    values.into_iter().map(f64::from).collect()
}

fn round(x: f32) -> f32 {
    bf16::from_f32(x).to_f32()
}

fn timesteps(
    checker: &mut Checker<'_>,
    io: &Checkpoint,
    name: &str,
    steps: &str,
    shift: &str,
) -> Result<()> {
    let parsed = steps
        .strip_prefix("steps")
        .and_then(|n| n.parse().ok())
        .zip(shift.strip_prefix("shift").and_then(|s| s.parse().ok()));
    let (steps, shift) = parsed
        .ok_or_else(|| Error::format(io.path(), format!("{name} does not name steps and shift")))?;
    let schedule = Schedule::new(steps, shift);
    checker.values(io, name, wide(schedule.times().iter().copied()))
}

fn guidance(checker: &mut Checker<'_>, io: &Checkpoint, name: &str) -> Result<()> {
    let parsed = name.strip_prefix("cfg.scale").and_then(|rest| rest.split_once(".rescale"));
    let parsed =
        parsed.and_then(|(scale, rescale)| Some((scale.parse().ok()?, rescale.parse().ok()?)));
    let (scale, rescale) = parsed.ok_or_else(|| {
        Error::format(io.path(), format!("{name} does not name scale and rescale"))
    })?;
    let mut positive = f32s(io, "cfg.pos")?;
    let width = io.shape("cfg.pos").and_then(|shape| shape.last().copied()).unwrap_or(1);
    diffusion::guide(&mut positive, &f32s(io, "cfg.neg")?, width, scale, rescale, false);
    checker.values(io, name, wide(positive))
}

fn path(checker: &mut Checker<'_>, io: &Checkpoint) -> Result<()> {
    let (times, data, noise) =
        (f32s(io, "sched.t")?, f32s(io, "sched.x_0")?, f32s(io, "sched.x_T")?);
    let width = data.len() / times.len().max(1);
    let (mut mixed, mut recovered_data, mut recovered_noise) = (Vec::new(), Vec::new(), Vec::new());
    let velocity: Vec<f32> = noise.iter().zip(&data).map(|(noise, data)| noise - data).collect();
    for (i, &t) in times.iter().enumerate() {
        let row = i * width..(i + 1) * width;
        let mut x = vec![0.0; width];
        diffusion::mix(&data[row.clone()], &noise[row.clone()], t, &mut x);
        for (&x, &v) in x.iter().zip(&velocity[row]) {
            recovered_data.push(diffusion::data_from_velocity(x, v, t));
            recovered_noise.push(diffusion::noise_from_velocity(x, v, t));
        }
        mixed.extend(x);
    }
    checker.values(io, "sched.x_t", wide(mixed))?;
    checker.values(io, "sched.v_target", wide(velocity))?;
    checker.values(io, "sched.rec_x_0", wide(recovered_data))?;
    checker.values(io, "sched.rec_x_T", wide(recovered_noise))
}

/// An analytic field `factor * x * cos(t / 300) + bias`.
fn field(x: &[f32], bias: &[f32], factor: f32, time: f32) -> Vec<f32> {
    let slope = factor * (time / 300.0).cos();
    x.iter().zip(bias).map(|(x, bias)| slope * x + bias).collect()
}

/// Without guidance one field; with it two, combined at `scale`. The bf16 run rounds both fields and
/// the guidance; its steps are checked from the stored states.
fn trajectory(
    checker: &mut Checker<'_>,
    io: &Checkpoint,
    prefix: &str,
    scale: Option<f32>,
) -> Result<()> {
    let number = |key: &str| {
        checker.config().pointer(&format!("/trajectory/{key}")).and_then(|v| v.as_f64())
    };
    let sizes = number("steps").zip(number("shift"));
    let (steps, shift) =
        sizes.ok_or_else(|| Error::invalid("sampler: trajectory.steps or .shift is missing"))?;
    let schedule = Schedule::new(steps as usize, shift);
    let is_bf16 = prefix.ends_with("bf16");
    let bias = |name: &str| f32s(io, &format!("{prefix}.{name}"));
    let stored = f32s(io, &format!("{prefix}.x"))?;
    let mut x = f32s(io, &format!("{prefix}.x_T"))?;
    let (width, count) =
        (io.shape(&format!("{prefix}.x_T")).and_then(|s| s.last().copied()).unwrap_or(1), x.len());
    let (mut states, mut positives, mut negatives, mut velocities) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (i, (time, next)) in schedule.steps().enumerate() {
        if is_bf16 {
            x.copy_from_slice(&stored[i * count..(i + 1) * count]);
        }
        states.extend_from_slice(&x);
        let velocity = match scale {
            None => field(&x, &bias("bias")?, 0.8, time),
            Some(scale) => {
                let mut positive = field(&x, &bias("bias_pos")?, 0.8, time);
                let mut negative = field(&x, &bias("bias_neg")?, 0.7, time);
                if is_bf16 {
                    positive.iter_mut().chain(&mut negative).for_each(|v| *v = round(*v));
                }
                positives.extend_from_slice(&positive);
                negatives.extend_from_slice(&negative);
                diffusion::guide(&mut positive, &negative, width, scale, 0.0, is_bf16);
                positive
            }
        };
        diffusion::euler_step(&mut x, &velocity, time, next);
        velocities.extend(velocity);
    }
    for (name, values) in [
        ("t", schedule.times().to_vec()),
        ("x", states),
        ("pos", positives),
        ("neg", negatives),
        ("v", velocities),
        ("final", x),
    ] {
        let name = format!("{prefix}.{name}");
        if checker.wants(&name) {
            checker.values(io, &name, wide(values))?;
        }
    }
    Ok(())
}

/// Latents, bytes and training times of the 7B's fixture.
fn conversions(checker: &mut Checker<'_>, io: &Checkpoint) -> Result<()> {
    for (suffix, is_bf16) in [("", false), ("_bf16", true)] {
        if io.shape(&format!("latent.in{suffix}")).is_some() {
            let latent = f32s(io, &format!("latent.in{suffix}"))?;
            let scale = LatentScale::VAE16;
            let run = |f: &dyn Fn(f32) -> f32| wide(latent.iter().map(|&x| f(x)));
            checker.values(
                io,
                &format!("latent.encode{suffix}"),
                run(&|x| scale.encode(x, is_bf16)),
            )?;
            checker.values(
                io,
                &format!("latent.decode{suffix}"),
                run(&|x| scale.decode(x, is_bf16)),
            )?;
        }
        if io.shape(&format!("png.in{suffix}")).is_some() {
            let bytes = f32s(io, &format!("png.in{suffix}"))?
                .into_iter()
                .map(|x| f64::from(codec::to_byte(x, is_bf16)));
            checker.values(
                io,
                if is_bf16 { "png.u8_bf16" } else { "png.u8_fp32" },
                bytes.collect(),
            )?;
        }
    }
    if io.shape("train.normal").is_some() {
        let times = f32s(io, "train.normal")?
            .into_iter()
            .map(|z| diffusion::logit_normal(z, 0.0, 1.25, 1.0));
        checker.values(io, "train.t", times.map(|t| f64::from(t.min(LAST_TIME))).collect())?;
    }
    Ok(())
}
