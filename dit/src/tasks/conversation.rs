//! A small network and its sessions, for tests.

use super::{Picture, Piece, Slot, Task};
use crate::config::ModelConfig;
use crate::network::{AttentionKind, NetworkConfig, Prediction, TurnTokens};

/// Three blocks, of which one has separate weights; `has_options` turns on what the paper does not
/// have.
pub(crate) fn network_config(
    attention: AttentionKind,
    turn_tokens: TurnTokens,
    has_options: bool,
) -> NetworkConfig {
    let model = ModelConfig {
        dim: 48,
        layers: 3,
        separate_layers: 1,
        heads: 2,
        head_dim: 24,
        rotary_dim: 24,
        patch: 2,
        text_in: 48,
        turn_rows: 8,
        ..ModelConfig::preset("nano").unwrap()
    };
    NetworkConfig {
        turn_tokens,
        prediction: if has_options { Prediction::Data } else { Prediction::Velocity },
        copy_gate: has_options,
        pooled_text: has_options,
        previous_condition: has_options && attention == AttentionKind::BlockCausal,
        ..NetworkConfig::new(model, attention)
    }
}

fn slot(picture: Picture, text: Vec<Piece>) -> Slot {
    let is_target = picture != Picture::Frame(0);
    Slot { picture, text, is_context: true, is_target }
}

/// Frame 0, then turns with the (current, next) masks of `chains`, as a conversation says and shows them.
pub(crate) fn conversation(chains: &[[bool; 2]]) -> Vec<Slot> {
    let frame = |turn| Picture::Frame(turn);
    let mut slots = vec![slot(frame(0), vec![Piece::Announcement(Task::NextImage)])];
    for (turn, &[current, next]) in chains.iter().enumerate() {
        let text = ["make it red", "remove the left one", "brighter"][turn % 3].to_owned();
        let mut before = vec![Piece::Instruction { turn, text }];
        let masks = [(Picture::CurrentMask(turn), current), (Picture::NextMask(turn), next)];
        let wanted = masks.into_iter().filter(|(_, is_wanted)| *is_wanted).map(|(mask, _)| mask);
        for picture in wanted.chain([frame(turn + 1)]) {
            before.push(Piece::Announcement(picture.task()));
            slots.push(slot(picture, std::mem::take(&mut before)));
        }
    }
    slots
}
