//! A session at a glance: its frames in a row, and below each pair what goes (magenta) and what
//! has come (green), with the instruction.

use super::font::{ADVANCE, LINE, draw, wrapped};
use crate::sample::area_resized;
use crate::session::{Session, Transition};
use crate::{Image, Mask};

/// Looks of a contact sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SheetConfig {
    /// Columns of each picture, pixels; smaller frames are enlarged to it.
    pub picture_width: usize,
    /// Most pictures in a row; longer sessions go on below.
    pub per_row: usize,
    /// Size of the letters' dots, pixels.
    pub letter_scale: usize,
}

impl Default for SheetConfig {
    fn default() -> Self {
        Self { picture_width: 240, per_row: 6, letter_scale: 1 }
    }
}

/// Widest and highest sheet, pixels a side.
const LARGEST_SIDE: usize = 16_000;
/// Space between pictures, pixels.
const GAP: usize = 4;
/// Most lines of an instruction.
const MOST_LINES: usize = 6;
const PAPER: [u8; 3] = [250; 3];
const INK: [u8; 3] = [20; 3];
const CURRENT: [u8; 3] = [255, 0, 200];
const NEXT: [u8; 3] = [0, 230, 70];

/// Draws the contact sheet of a session: blocks of up to `per_row` pictures. A block has a row
/// of frames with their times, a row of current masks over their frames, a row of next masks
/// over the frames that follow, and the instructions; without any mask, frames and instructions.
/// Sessions without frames give one pixel.
pub fn contact_sheet(session: &Session, config: &SheetConfig) -> Image {
    let Some(first) = session.frames.first() else { return Image::filled(1, 1, PAPER) };
    if first.image.width == 0 || first.image.height == 0 {
        return Image::filled(1, 1, PAPER);
    }
    let scale = config.letter_scale.clamp(1, 8);
    let width = config.picture_width.clamp(16, 4096);
    // A picture much higher than wide is cut down to four times its width.
    let height = (width * first.image.height / first.image.width).clamp(1, 4 * width);
    let per_row = config.per_row.clamp(1, (LARGEST_SIDE / (width + GAP)).max(1));
    let letters = ((width - GAP) / (ADVANCE * scale)).max(1);
    let has_mask = |t: &Transition| t.current_mask.is_some() || t.next_mask.is_some();
    let has_masks = session.transitions.iter().any(has_mask);
    let layout = Layout { width, height, scale, letters, has_masks };
    let columns = per_row.min(session.frames.len());
    let mut tops = Vec::new();
    let mut bottom = 0;
    for first in (0..session.frames.len()).step_by(per_row) {
        let block_height = layout.block_height(session, first, per_row);
        if bottom + block_height > LARGEST_SIDE && !tops.is_empty() {
            break;
        }
        tops.push(bottom);
        bottom += block_height;
    }
    let mut sheet = Image::filled(columns * (width + GAP) + GAP, bottom, PAPER);
    for (block, top) in tops.into_iter().enumerate() {
        for index in block * per_row..((block + 1) * per_row).min(session.frames.len()) {
            let left = GAP + (index - block * per_row) * (width + GAP);
            layout.draw(&mut sheet, session, index, (left, top + GAP));
        }
    }
    sheet
}

/// Measures of a sheet, pixels.
struct Layout {
    width: usize,
    height: usize,
    scale: usize,
    /// Letters of a line below a picture.
    letters: usize,
    /// Whether there are rows for masks.
    has_masks: bool,
}

impl Layout {
    fn line(&self) -> usize {
        LINE * self.scale
    }

    /// Height of the block whose first frame is `first`.
    fn block_height(&self, session: &Session, first: usize, per_row: usize) -> usize {
        let pairs = first..(first + per_row).min(session.transitions.len());
        // A last block of one frame has no pair below it.
        let rows = if pairs.is_empty() || !self.has_masks { 1 } else { 3 };
        let lines = |i: usize| wrapped(&session.transitions[i].instruction, self.letters).len();
        let lines = pairs.map(lines).max().unwrap_or(0).min(MOST_LINES);
        (1 + lines) * self.line() + rows * (self.height + GAP) + 2 * GAP
    }

    /// Draws a frame with its time and, below it, the masks and the text of its transition.
    fn draw(
        &self,
        sheet: &mut Image,
        session: &Session,
        index: usize,
        (left, top): (usize, usize),
    ) {
        let frame = &session.frames[index];
        let fit = |image: &Image| fitted(image, self.width, self.height);
        draw(sheet, &format!("{index}: {:.2} s", frame.time), (left, top), self.scale, INK);
        let mut top = top + self.line();
        paste(sheet, &fit(&frame.image), left, top);
        let (Some(transition), Some(next)) =
            (session.transitions.get(index), session.frames.get(index + 1))
        else {
            return;
        };
        let rows = [
            (&frame.image, &transition.current_mask, CURRENT),
            (&next.image, &transition.next_mask, NEXT),
        ];
        for (image, mask, colour) in rows.into_iter().filter(|_| self.has_masks) {
            top += self.height + GAP;
            match mask {
                Some(mask) => paste(sheet, &fit(&tinted(image, mask, colour)), left, top),
                None => {
                    paste(sheet, &fit(image), left, top);
                    draw(sheet, "no mask", (left + GAP, top + GAP), self.scale, colour);
                }
            }
        }
        top += self.height + GAP;
        for text in wrapped(&transition.instruction, self.letters).iter().take(MOST_LINES) {
            draw(sheet, text, (left, top), self.scale, INK);
            top += self.line();
        }
    }
}

/// The picture with a mask laid over it: half of the colour inside, a full outline.
pub fn tinted(image: &Image, mask: &Mask, colour: [u8; 3]) -> Image {
    if (mask.width, mask.height) != (image.width, image.height) {
        return image.clone();
    }
    let (width, height) = (image.width, image.height);
    let is_set = |x: usize, y: usize| mask.data[y * width + x] >= 128;
    let mut picture = image.clone();
    let reach = (width / 300).max(1);
    for y in 0..height {
        for x in (0..width).filter(|&x| is_set(x, y)) {
            let is_outline = (x >= reach && !is_set(x - reach, y))
                || (x + reach < width && !is_set(x + reach, y))
                || (y >= reach && !is_set(x, y - reach))
                || (y + reach < height && !is_set(x, y + reach));
            let at = 3 * (y * width + x);
            for (value, tint) in picture.rgb[at..at + 3].iter_mut().zip(colour) {
                let mixed = (u16::from(*value) + u16::from(tint)) / 2;
                *value = if is_outline { tint } else { mixed as u8 };
            }
        }
    }
    picture
}

/// The picture in exactly this size: averaged where it shrinks, repeated where it grows.
fn fitted(image: &Image, width: usize, height: usize) -> Image {
    let small = area_resized(image, width.min(image.width), height.min(image.height));
    if (small.width, small.height) == (width, height) {
        return small;
    }
    let mut rgb = Vec::with_capacity(3 * width * height);
    for y in 0..height {
        for x in 0..width {
            rgb.extend(small.pixel(x * small.width / width, y * small.height / height));
        }
    }
    Image::new(width, height, rgb)
}

fn paste(sheet: &mut Image, picture: &Image, left: usize, top: usize) {
    let visible = picture.width.min(sheet.width.saturating_sub(left));
    for y in 0..picture.height.min(sheet.height.saturating_sub(top)) {
        let from = 3 * y * picture.width;
        let to = 3 * ((top + y) * sheet.width + left);
        sheet.rgb[to..to + 3 * visible].copy_from_slice(&picture.rgb[from..from + 3 * visible]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Frame, Source, Transition};

    fn session(frames: usize, width: usize, height: usize) -> Session {
        let frame = |i: usize| Frame {
            image: Image::filled(width, height, [(40 * i % 256) as u8, 90, 200]),
            time: i as f64,
        };
        let transition = |i: usize| Transition {
            instruction: "Move the small red region at the top far to the lower left.".into(),
            current_mask: Some(Mask::filled(width, height, 255)),
            next_mask: (i > 0).then(|| Mask::filled(width, height, 0)),
            facts: serde_json::Value::Null,
            provenance: Vec::new(),
        };
        Session {
            key: "sheet".into(),
            frames: (0..frames).map(frame).collect(),
            transitions: (0..frames.saturating_sub(1)).map(transition).collect(),
            source: Source::default(),
        }
    }

    #[test]
    fn a_sheet_shows_frames_masks_and_text() {
        let config = SheetConfig { picture_width: 60, per_row: 4, letter_scale: 1 };
        let sheet = contact_sheet(&session(3, 30, 20), &config);
        assert_eq!(sheet.width, 3 * 64 + 4);
        let has = |colour: [u8; 3]| sheet.rgb.chunks_exact(3).any(|p| p == colour);
        assert!(has([40, 90, 200]), "the frame itself");
        assert!(has([127, 45, 200]), "the current mask over the first frame");
        assert!(has(NEXT), "the words that say there is no next mask");
        assert!(has(INK), "the instruction");
    }

    #[test]
    fn odd_sessions_have_a_sheet_too() {
        for (frames, width, height) in [(0, 8, 8), (1, 1, 1), (2, 3, 500), (20, 500, 3), (3, 0, 0)]
        {
            for per_row in [0, 1, 7, 1000] {
                let config = SheetConfig { picture_width: 40, per_row, letter_scale: 0 };
                let sheet = contact_sheet(&session(frames, width, height), &config);
                assert!(sheet.width.max(sheet.height) <= LARGEST_SIDE + 2000 && sheet.width > 0);
            }
        }
        let other = tinted(&Image::filled(4, 4, [9; 3]), &Mask::filled(2, 2, 255), NEXT);
        assert_eq!(other, Image::filled(4, 4, [9; 3]), "a mask of another size is not drawn");
    }
}
