//! Kind `image`: pictures on their way to a model, stage by stage, and numbers back to bytes.

use super::case::{Checker, numbers};
use crate::weights::Checkpoint;
use crate::{Error, Result, codec};
use serde::Deserialize;
use vincie_data::decode::{self, Aspect, Filter, FloatImage, Preparation};
use vincie_data::{Image, Limits};

/// Multiple that sides are cut to where the configuration names none: factor 8 of the autoencoder
/// times patch 2, or factor 16 times patch 1.
const MULTIPLE: usize = 16;

/// One picture's configuration.
#[derive(Deserialize)]
struct Way {
    resolution: f64,
    aspect_ratio: String,
    resize_to_wh: Option<(usize, usize)>,
    multiple: Option<usize>,
}

pub(super) fn check(checker: &mut Checker<'_>) -> Result<()> {
    let io = checker.need("io")?;
    let is_result = |name: &String| !name.ends_with(".in.rgb") && name != "post.in";
    checker.expect(io.names().into_iter().filter(is_result));
    let ways = checker.config().get("cases").cloned().unwrap_or_default();
    let ways: Vec<Way> = match ways {
        serde_json::Value::Null => Vec::new(),
        ways => serde_json::from_value(ways)
            .map_err(|e| Error::invalid(format!("image: config.cases: {e}")))?,
    };
    for (i, way) in ways.iter().enumerate() {
        walk(checker, &io, &format!("case{i}"), way)?;
    }
    if io.shape("post.in").is_some() {
        let bytes = numbers(&io, "post.in")?.into_iter();
        let bytes = bytes.map(|x| f64::from(codec::to_byte(x as f32, false))).collect();
        checker.values(&io, "post.out", bytes)?;
    }
    Ok(())
}

/// An 8-bit picture `[height, width, 3]` of a golden file.
pub(super) fn picture(io: &Checkpoint, name: &str) -> Result<Image> {
    let refuse = |what: String| Error::format(io.path(), format!("{name} {what}"));
    let Some(&[height, width, 3]) = io.shape(name) else {
        return Err(refuse(format!("is {:?}; expected [height, width, 3]", io.shape(name))));
    };
    Limits::default().check_size(width, height).map_err(refuse)?;
    let bytes: Option<Vec<u8>> =
        io.integers(name)?.into_iter().map(|v| u8::try_from(v).ok()).collect();
    let bytes = bytes.ok_or_else(|| refuse("holds values outside of 0 to 255".into()))?;
    Ok(Image::new(width, height, bytes))
}

/// Channels first, as golden files hold pictures of numbers.
pub(super) fn planes(image: &FloatImage) -> Vec<f64> {
    let plane = |c: usize| image.values.iter().skip(c).step_by(3).map(|&v| f64::from(v));
    (0..3).flat_map(plane).collect()
}

/// All stages of one picture.
fn walk(checker: &mut Checker<'_>, io: &Checkpoint, prefix: &str, way: &Way) -> Result<()> {
    let name = |stage: &str| format!("{prefix}.{stage}");
    let refuse = |what: String| Error::invalid(format!("image: {prefix}: {what}"));
    let mut image = picture(io, &name("in.rgb"))?;
    if let Some((width, height)) = way.resize_to_wh {
        Limits::default().check_size(width, height).map_err(refuse)?;
        image = decode::resize(&image, width, height, Filter::Bicubic);
        let bytes = image.rgb.iter().map(|&byte| f64::from(byte)).collect();
        checker.values(io, &name("pil_resized.rgb"), bytes)?;
    }
    let aspect: Aspect = way.aspect_ratio.parse().map_err(refuse)?;
    let (resolution, multiple) = (way.resolution, way.multiple.unwrap_or(MULTIPLE));
    let preparation = Preparation { resolution, aspect, multiple };
    preparation.sizes(image.width, image.height).map_err(refuse)?;
    let shaped = aspect.crop(&FloatImage::from_image(&image));
    let resized = decode::area_resize(&shaped, resolution);
    let cropped = decode::divisible_crop(&resized, multiple);
    let out = preparation.run(&image).map_err(refuse)?;
    for (stage, picture) in
        [("aspect_crop", &shaped), ("resized", &resized), ("cropped", &cropped), ("out", &out)]
    {
        if checker.wants(&name(stage)) {
            checker.values(io, &name(stage), planes(picture))?;
        }
    }
    Ok(())
}
