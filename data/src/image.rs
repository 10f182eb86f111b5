//! Pictures and masks in host memory, and the limits they must keep.

/// An 8-bit RGB picture, rows top to bottom, `3 * width * height` bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `[height, width, 3]`, R G B.
    pub rgb: Vec<u8>,
}

impl Image {
    /// A picture over existing bytes. `rgb.len()` must be `3 * width * height`.
    pub fn new(width: usize, height: usize, rgb: Vec<u8>) -> Self {
        assert_eq!(
            rgb.len(),
            3 * width * height,
            "image {width} x {height}: wrong number of bytes"
        );
        Self { width, height, rgb }
    }

    /// A picture of one colour.
    pub fn filled(width: usize, height: usize, colour: [u8; 3]) -> Self {
        Self { width, height, rgb: colour.repeat(width * height) }
    }

    /// The pixel in column `x`, row `y`.
    pub fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        let at = 3 * (y * self.width + x);
        [self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]]
    }
}

/// A region of editing: one byte a pixel, 0 = keep, 255 = edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `[height, width]`, 0 or 255.
    pub data: Vec<u8>,
}

impl Mask {
    /// A mask over existing bytes. `data.len()` must be `width * height`.
    pub fn new(width: usize, height: usize, data: Vec<u8>) -> Self {
        assert_eq!(data.len(), width * height, "mask {width} x {height}: wrong number of bytes");
        Self { width, height, data }
    }

    /// A mask that keeps everything (`value` 0) or edits everything (`value` 255).
    pub fn filled(width: usize, height: usize, value: u8) -> Self {
        Self { width, height, data: vec![value; width * height] }
    }

    /// Share of the pixels that are edited, 0 to 1.
    pub fn share(&self) -> f64 {
        let set = self.data.iter().filter(|&&v| v >= 128).count();
        set as f64 / self.data.len().max(1) as f64
    }

    /// The mask as a black (keep) and white (edit) picture, the form the model sees.
    pub fn to_image(&self) -> Image {
        let rgb = self.data.iter().flat_map(|&v| [v; 3]).collect();
        Image { width: self.width, height: self.height, rgb }
    }
}

/// What a file from outside may ask for. Checked before the first allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest width or height, pixels.
    pub side: usize,
    /// Largest width times height, pixels.
    pub pixels: usize,
    /// Most frames taken from one video.
    pub frames: usize,
    /// Largest compressed frame or still picture, bytes.
    pub encoded_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { side: 16_384, pixels: 64 << 20, frames: 100_000, encoded_bytes: 256 << 20 }
    }
}

impl Limits {
    /// `Err` with one line when a picture of this size is not acceptable.
    pub fn check_size(&self, width: usize, height: usize) -> Result<(), String> {
        if width == 0 || height == 0 {
            return Err(format!("picture is {width} x {height}; both sides must be at least 1"));
        }
        if width > self.side || height > self.side || width.saturating_mul(height) > self.pixels {
            return Err(format!(
                "picture is {width} x {height}; the limit is {} pixels a side and {} in all",
                self.side, self.pixels
            ));
        }
        Ok(())
    }
}
