//! 3 x 3 kernels with stride 1 by Winograd's minimal filtering F(4 x 4, 3 x 3) (Lavin and Gray,
//! arXiv 1509.09308): 36 products for 16 pixels instead of 144.
//!
//! The polynomial's points are 0, ±√½, ±√2 and infinity: with them the result strays from that of
//! exact arithmetic by some 2e-6 of its largest value, about five times as far as the direct sum.
//!
//! Tiles of the picture are transformed, multiplied for each of the 36 places with the transformed
//! weights, and transformed back, a bounded chunk of tiles at a time. Every value has one order of
//! sums, so the bits do not depend on the number of threads.

use super::blocks::{BLOCK_DEPTH, Gather, extent, strips};
use super::pack::{Panel, Panels, Strip, pack};
use super::{Direction, Geometry};
use crate::kernels::disjoint::Disjoint;
use crate::kernels::product::{COLUMN_STEP, ROW_STEP};
use crate::kernels::runs::for_each;
use crate::kernels::simd::{Kernel, Lane, Simd};

/// Side of a tile of the result, and of what it is made from.
const SIDE: usize = 4;
const REACH: usize = 6;

/// Products of a tile.
const PLACES: usize = REACH * REACH;

/// Floats that the transformed tiles of a chunk and their products take, roughly, and the fewest tiles
/// of a chunk, so that weights are not read too often.
const CHUNK: usize = 2 << 20;
const FEWEST_ROWS: usize = 192;

/// Rows of one task's product.
const BLOCK_ROWS: usize = 256;

/// Tiles of one task's transformation.
const BLOCK_TILES: usize = 8;

/// Fewest channels on either side, and fewest tiles, with which the transformations pay.
const FEWEST_CHANNELS: usize = 64;
const FEWEST_TILES: usize = 128;

/// Square roots of one half and of two.
const A: f32 = std::f32::consts::FRAC_1_SQRT_2;
const B: f32 = std::f32::consts::SQRT_2;

/// Sizes of one call, in terms of what is read and written.
struct Plan {
    frames: usize,
    from: [usize; 2],
    to: [usize; 2],
    /// Zeros above and left.
    before: [usize; 2],
    depth: usize,
    cols: usize,
    /// Columns with whole vectors.
    wide: usize,
}

impl Plan {
    fn new(geometry: &Geometry, direction: Direction) -> Self {
        let (depth, cols) = extent(geometry, direction);
        let (source, result) = (geometry.source, geometry.result);
        let (from, to, before) = match direction {
            Direction::Forward => (source, result, geometry.before),
            // What a pixel met is around it, too: before it, where the kernel's taps were behind.
            Direction::Backward => (result, source, geometry.before.map(|before| 2 - before)),
        };
        let wide = cols.next_multiple_of(COLUMN_STEP);
        let frames = geometry.batch * source[0];
        Self { frames, from: [from[1], from[2]], to: [to[1], to[2]], before, depth, cols, wide }
    }

    /// Tiles down and across.
    fn grid(&self) -> [usize; 2] {
        self.to.map(|side| side.div_ceil(SIDE))
    }

    fn tiles(&self) -> usize {
        self.frames * self.grid().iter().product::<usize>()
    }

    /// Tiles of a chunk, a multiple of the rows of a register tile.
    fn chunk(&self) -> usize {
        let most = CHUNK / (PLACES * (self.depth + self.wide));
        most.max(FEWEST_ROWS).min(self.tiles()).next_multiple_of(ROW_STEP)
    }

    /// Frame, first line and first pixel of a tile of the result.
    fn corner(&self, tile: usize) -> [usize; 3] {
        let [down, across] = self.grid();
        [tile / (down * across), tile / across % down * SIDE, tile % across * SIDE]
    }

    /// Floats of the weights as packed, transformed, of a chunk's tiles, and of its products.
    fn parts(&self) -> [usize; 4] {
        let weights = self.depth * self.wide;
        let chunk = PLACES * self.chunk();
        [9 * weights, PLACES * weights, chunk * self.depth, chunk * self.wide]
    }
}

/// Whether this way is open, and pays.
pub(super) fn fits(geometry: &Geometry, direction: Direction) -> bool {
    let &Geometry { kernel, stride, front, before, channels, filters, .. } = geometry;
    let is_open = kernel == [1, 3, 3] && stride == [1; 3] && front == 0;
    let is_open = is_open && before.iter().all(|&before| before <= 2);
    is_open
        && channels.min(filters) >= FEWEST_CHANNELS
        && Plan::new(geometry, direction).tiles() >= FEWEST_TILES
}

/// Floats of workspace that [`run`] needs.
pub(super) fn workspace(geometry: &Geometry, direction: Direction) -> usize {
    Plan::new(geometry, direction).parts().iter().sum()
}

/// [`super::gather`] where [`fits`].
pub(super) fn run(simd: Simd, args: Gather<'_>) {
    let Gather { geometry, direction, from, weight, bias, to, workspace: memory } = args;
    let plan = Plan::new(geometry, direction);
    let panels = simd.run(Panels(plan.cols));
    let [packed, transformed, tiles, products] = plan.parts();
    let (packed, memory) = memory.split_at_mut(packed);
    let (weights, memory) = memory.split_at_mut(transformed);
    let (tiles, memory) = memory.split_at_mut(tiles);
    let products = &mut memory[..products];
    pack(simd, geometry, direction, weight, &panels, packed);
    transform_weights(simd, &plan, direction, &panels, packed, weights);
    let weights = &*weights;
    let strips = strips(&panels);
    let to = Disjoint::new(to);
    let chunk = plan.chunk();
    for first in (0..plan.tiles()).step_by(chunk) {
        let count = chunk.min(plan.tiles() - first);
        let blocks = count.div_ceil(BLOCK_TILES);
        let range = |block: usize| block * BLOCK_TILES..count.min((block + 1) * BLOCK_TILES);
        let places = Disjoint::new(&mut *tiles);
        for_each(blocks, |block| {
            let plan = &plan;
            simd.run(Tiles { plan, chunk, first, range: range(block), from, to: &places });
        });
        let tiles = &*tiles;
        let sums = Disjoint::new(&mut *products);
        let rows = count.div_ceil(BLOCK_ROWS);
        for_each(PLACES * strips.len() * rows, |index| {
            let (place, index) = (index / (strips.len() * rows), index % (strips.len() * rows));
            let (panels, row) = (strips[index / rows], index % rows * BLOCK_ROWS);
            let count = BLOCK_ROWS.min((count - row).next_multiple_of(ROW_STEP));
            let plan = &plan;
            let product =
                Product { plan, chunk, place, panels, row, count, tiles, weights, sums: &sums };
            simd.run(product);
        });
        let products = &*products;
        for_each(blocks, |block| {
            let (plan, panels) = (&plan, &panels[..]);
            let range = range(block);
            simd.run(Results { plan, chunk, first, range, panels, products, bias, to: &to });
        });
    }
}

/// A transformation of a line of `I` values to `O`.
trait Line<const I: usize, const O: usize> {
    /// Must be `#[inline(always)]`.
    fn apply<L: Lane>(line: [L; I]) -> [L; O];
}

/// Six pixels to six factors.
struct Spread;

impl Line<REACH, REACH> for Spread {
    #[inline(always)]
    fn apply<L: Lane>(d: [L; REACH]) -> [L; REACH] {
        let (half, two, five) = (L::splat(-0.5), L::splat(-2.0), L::splat(-2.5));
        let (a, b) = (L::splat(A), L::splat(B));
        let (near, near_odd) = (d[2].mul_add(two, d[4]), d[1].mul_add(two, d[3]) * a);
        let (far, far_odd) = (d[2].mul_add(half, d[4]), d[1].mul_add(half, d[3]) * b);
        [
            d[2].mul_add(five, d[0] + d[4]),
            near + near_odd,
            near - near_odd,
            far + far_odd,
            far - far_odd,
            d[3].mul_add(five, d[1] + d[5]),
        ]
    }
}

/// Three weights to six factors.
struct Stretch;

impl Line<3, REACH> for Stretch {
    #[inline(always)]
    fn apply<L: Lane>(g: [L; 3]) -> [L; REACH] {
        let near = g[2].mul_add(L::splat(0.5), g[0]) * L::splat(-1.0 / 1.5);
        let near_odd = g[1] * L::splat(-A / 1.5);
        let far = g[2].mul_add(L::splat(2.0), g[0]) * L::splat(1.0 / 6.0);
        let far_odd = g[1] * L::splat(B / 6.0);
        [g[0], near + near_odd, near - near_odd, far + far_odd, far - far_odd, g[2]]
    }
}

/// Six products to four pixels.
struct Collect;

impl Line<REACH, SIDE> for Collect {
    #[inline(always)]
    fn apply<L: Lane>(m: [L; REACH]) -> [L; SIDE] {
        let (near, near_odd) = (m[1] + m[2], m[1] - m[2]);
        let (far, far_odd) = (m[3] + m[4], m[3] - m[4]);
        [
            m[0] + (near + far),
            far_odd.mul_add(L::splat(B), near_odd * L::splat(A)),
            far.mul_add(L::splat(2.0), near * L::splat(0.5)),
            far_odd.mul_add(L::splat(2.0 * B), near_odd.mul_add(L::splat(0.5 * A), m[5])),
        ]
    }
}

/// Both axes of a block.
#[inline(always)]
fn both_ways<L: Lane, T: Line<I, O>, const I: usize, const O: usize>(
    block: &[[L; I]; I],
) -> [[L; O]; O] {
    let mut lines = [[L::zero(); I]; O];
    for j in 0..I {
        let mut column = [L::zero(); I];
        for i in 0..I {
            column[i] = block[i][j];
        }
        let column = T::apply(column);
        for i in 0..O {
            lines[i][j] = column[i];
        }
    }
    let mut result = [[L::zero(); O]; O];
    for i in 0..O {
        result[i] = T::apply(lines[i]);
    }
    result
}

/// \[place, panel, depth, width\] from the packed \[panel, tap, depth, width\].
fn transform_weights(
    simd: Simd,
    plan: &Plan,
    direction: Direction,
    panels: &[Panel],
    packed: &[f32],
    to: &mut [f32],
) {
    /// Rows of a panel that a task takes.
    const ROWS: usize = 64;
    let to = Disjoint::new(to);
    let blocks = plan.depth.div_ceil(ROWS);
    for_each(panels.len() * blocks, |index| {
        let (panel, first) = (panels[index / blocks], index % blocks * ROWS);
        let rows = ROWS.min(plan.depth - first);
        simd.run(Weights { plan, direction, panel, first, rows, packed, to: &to });
    });
}

struct Weights<'a> {
    plan: &'a Plan,
    direction: Direction,
    panel: Panel,
    first: usize,
    rows: usize,
    packed: &'a [f32],
    to: &'a Disjoint<'a, f32>,
}

impl Kernel for Weights<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(self) {
        let Self { plan, direction, panel, first, rows, packed, to } = self;
        let step = plan.depth * panel.width;
        let packed = &packed[9 * panel.first * plan.depth..][..9 * step];
        let start = panel.first * plan.depth + first * panel.width;
        for at in (0..rows * panel.width).step_by(L::WIDTH) {
            let mut block = [[L::zero(); 3]; 3];
            for tap in 0..9 {
                let from = if direction == Direction::Forward { tap } else { 8 - tap };
                let from = &packed[from * step + first * panel.width + at..];
                block[tap / 3][tap % 3] = L::read(from);
            }
            let block = both_ways::<L, Stretch, 3, REACH>(&block);
            for place in 0..PLACES {
                let to_place = place * plan.depth * plan.wide + start + at;
                // SAFETY: tasks own different rows of panels.
                let to = unsafe { to.part(to_place, L::WIDTH) };
                block[place / REACH][place % REACH].write(to);
            }
        }
    }
}

/// \[place, tile, depth\] of the tiles in `range` of a chunk.
struct Tiles<'a> {
    plan: &'a Plan,
    chunk: usize,
    first: usize,
    range: std::ops::Range<usize>,
    from: &'a [f32],
    to: &'a Disjoint<'a, f32>,
}

impl Kernel for Tiles<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(self) {
        let Self { plan, chunk, first, range, from, to } = self;
        let (depth, [height, width]) = (plan.depth, plan.from);
        for tile in range {
            let [frame, y, x] = plan.corner(first + tile);
            // Where each pixel's channels begin; beyond the end outside of the picture.
            let mut starts = [from.len(); PLACES];
            for (place, start) in starts.iter_mut().enumerate() {
                let y = (y + place / REACH).wrapping_sub(plan.before[0]);
                let x = (x + place % REACH).wrapping_sub(plan.before[1]);
                if y < height && x < width {
                    *start = ((frame * height + y) * width + x) * depth;
                }
            }
            for c in (0..depth).step_by(L::WIDTH) {
                let count = L::WIDTH.min(depth - c);
                let mut block = [[L::zero(); REACH]; REACH];
                for place in 0..PLACES {
                    if starts[place] < from.len() {
                        let from = &from[starts[place] + c..][..count];
                        block[place / REACH][place % REACH] = L::read_up_to(from);
                    }
                }
                let block = both_ways::<L, Spread, REACH, REACH>(&block);
                for place in 0..PLACES {
                    // SAFETY: tasks own different tiles.
                    let to = unsafe { to.part((place * chunk + tile) * depth + c, count) };
                    write_up_to(block[place / REACH][place % REACH], to);
                }
            }
        }
    }
}

/// Writes a whole vector, or the part of it that there is room for.
#[inline(always)]
fn write_up_to<L: Lane>(value: L, to: &mut [f32]) {
    if to.len() >= L::WIDTH { value.write(to) } else { value.write_part(to) }
}

/// \[place, panel, tile, width\] of one place and some rows of a chunk's tiles.
struct Product<'a> {
    plan: &'a Plan,
    chunk: usize,
    place: usize,
    panels: &'a [Panel],
    row: usize,
    count: usize,
    tiles: &'a [f32],
    weights: &'a [f32],
    sums: &'a Disjoint<'a, f32>,
}

impl Kernel for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(self) {
        let Self { plan, chunk, place, panels, row, count, tiles, weights, sums } = self;
        let depth = plan.depth;
        let mut starts = [0; BLOCK_ROWS];
        for (i, start) in starts.iter_mut().enumerate() {
            *start = (place * chunk + row + i) * depth;
        }
        for done in (0..depth).step_by(BLOCK_DEPTH) {
            let steps = BLOCK_DEPTH.min(depth - done);
            for panel in panels {
                let start = place * depth * plan.wide + (panel.first * depth + done * panel.width);
                let to = place * chunk * plan.wide + panel.first * chunk + row * panel.width;
                let strip = Strip {
                    starts: &starts[..count],
                    from: tiles,
                    zeros: &[],
                    done,
                    steps,
                    weights: &weights[start..][..steps * panel.width],
                    // SAFETY: tasks own different places, panels or rows.
                    sums: unsafe { sums.part(to, count * panel.width) },
                    adds: done > 0,
                };
                strip.add::<L>(panel.width);
            }
        }
    }
}

/// Pixels of the tiles in `range` of a chunk.
struct Results<'a> {
    plan: &'a Plan,
    chunk: usize,
    first: usize,
    range: std::ops::Range<usize>,
    panels: &'a [Panel],
    products: &'a [f32],
    bias: Option<&'a [f32]>,
    to: &'a Disjoint<'a, f32>,
}

impl Kernel for Results<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(self) {
        let Self { plan, chunk, first, range, panels, products, bias, to } = self;
        let [height, width] = plan.to;
        for tile in range {
            let [frame, y, x] = plan.corner(first + tile);
            for panel in panels {
                for v in (0..panel.cols).step_by(L::WIDTH) {
                    let cols = L::WIDTH.min(panel.cols - v);
                    let bias = bias
                        .map_or(L::zero(), |bias| L::read_up_to(&bias[panel.first + v..][..cols]));
                    let row = panel.first * chunk + tile * panel.width + v;
                    let mut block = [[L::zero(); REACH]; REACH];
                    for place in 0..PLACES {
                        let from = &products[place * chunk * plan.wide + row..];
                        block[place / REACH][place % REACH] = L::read(from);
                    }
                    let block = both_ways::<L, Collect, REACH, SIDE>(&block);
                    for (i, line) in block.into_iter().enumerate().take(height - y) {
                        for (j, value) in line.into_iter().enumerate().take(width - x) {
                            let pixel = (frame * height + y + i) * width + x + j;
                            // SAFETY: tasks own different tiles, whose pixels are different.
                            let to = unsafe { to.part(pixel * plan.cols + panel.first + v, cols) };
                            write_up_to(value + bias, to);
                        }
                    }
                }
            }
        }
    }
}
