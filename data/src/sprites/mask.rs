//! The true regions of a transition: what of the current picture changes, and what of the next one
//! has changed.

use super::edit::{Edit, Edited};
use super::render::Outline;
use super::scene::{Scene, Sprite};
use crate::Mask;

/// Coverage from which a pixel belongs to a sprite.
const INSIDE: f32 = 0.5;

/// Current and next mask. A sprite that changes is marked where it stands before and where it
/// stands after; one that enters has no current mask and one that leaves no next one. A background
/// is marked around all sprites; light and camera change everything. `None` where nothing is
/// marked.
pub(super) fn masks(
    current: &Scene,
    edits: &[Edit],
    edited: &Edited,
    side: usize,
) -> [Option<Mask>; 2] {
    let next = &edited.scene;
    let mut masks = [current, next].map(|_| Mask::filled(side, side, 0));
    for edit in edits {
        match edit {
            Edit::Light(_) | Edit::Pan(_) | Edit::Zoom(_) => {
                masks.iter_mut().for_each(|mask| mask.data.fill(255));
            }
            Edit::Background(_) => {
                for (mask, scene) in masks.iter_mut().zip([current, next]) {
                    let mut sprites = Mask::filled(side, side, 0);
                    scene.sprites.iter().for_each(|sprite| mark(&mut sprites, scene, sprite));
                    let ground = sprites.data.iter().map(|&value| 255 - value);
                    mask.data.iter_mut().zip(ground).for_each(|(to, value)| *to |= value);
                }
            }
            Edit::Enter(sprite) => mark(&mut masks[1], next, sprite),
            _ => {
                let Some(number) = edit.target() else { continue };
                mark(&mut masks[0], current, &current.sprites[number]);
                if let Some(number) = edited.numbers[number] {
                    mark(&mut masks[1], next, &next.sprites[number]);
                }
            }
        }
    }
    masks.map(|mask| mask.data.contains(&255).then_some(mask))
}

/// Marks the pixels of a sprite.
fn mark(mask: &mut Mask, scene: &Scene, sprite: &Sprite) {
    let outline = Outline::of(sprite, scene.camera, mask.width);
    let [columns, rows] = outline.bounds(0.0, mask.width);
    for y in rows[0]..rows[1] {
        for x in columns[0]..columns[1] {
            if outline.coverage(x, y) >= INSIDE {
                mask.data[y as usize * mask.width + x as usize] = 255;
            }
        }
    }
}
