//! Model arithmetic: what MFU divides by time.

use super::names::{branches, has_feed_forward};
use crate::config::{FeedForward, ModelConfig, TextProjection};
use crate::layout::Layout;

/// Floating point operations of one forward pass: two per matrix weight and token that passes it, and
/// four per head feature and visible query-key pair.
pub fn forward_flops(config: &ModelConfig, layout: &Layout) -> u64 {
    let (text, visual) = (layout.text_rows.value().count(), layout.visual_rows.value().count());
    let outputs = layout.output_rows.value().count();
    let (dim, width, hidden) = (config.dim, config.attention_dim(), config.hidden_dim());
    let mut sum = visual * config.patch_in() * dim + outputs * dim * config.patch_out();
    sum += match config.text_projection {
        TextProjection::Identity => 0,
        TextProjection::Linear => text * config.text_in * dim,
        TextProjection::Mlp => text * config.text_in * (config.text_in + dim),
    };
    sum += layout.group_count * dim * (super::embedding::FEATURES + dim + 6 * dim);
    let matrices = match config.feed_forward {
        FeedForward::Swiglu => 3,
        FeedForward::Gelu => 2,
    };
    let mut pairs = 0;
    for block in 0..config.layers {
        let is_last = block + 1 == config.layers;
        for branch in branches(config, block) {
            let tokens = match *branch {
                "txt" => text,
                "vid" => visual,
                _ => text + visual,
            };
            let behind = match (is_last, has_feed_forward(config, block, branch)) {
                (false, _) => tokens,
                (true, true) => outputs,
                (true, false) => 0,
            };
            sum += tokens * 3 * width * dim + behind * (width * dim + matrices * hidden * dim);
        }
        let mask = if is_last { &layout.output_mask } else { &layout.mask };
        pairs += mask.visible_pairs();
    }
    2 * sum as u64 + 4 * pairs * width as u64
}
