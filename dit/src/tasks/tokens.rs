//! Text pieces to token numbers.

use super::Piece;
use crate::network::{NetworkConfig, TurnTokens};
use crate::text::Vocabulary;

/// Tokens of the text before one slot.
pub(crate) struct Tokens {
    /// Word numbers, and behind the words the rows of the TURN table.
    pub(crate) ids: Vec<i32>,
    /// TURN row of every token.
    pub(crate) turns: Vec<i32>,
    /// TURN row after the text.
    pub(crate) turn: usize,
}

impl Tokens {
    /// Tokens of `pieces`, which start in turn `turn`. Without text, instructions keep their TURN
    /// token only. Turns beyond the table start again at its first row.
    pub(crate) fn of(
        pieces: &[Piece],
        network: &NetworkConfig,
        vocabulary: &Vocabulary,
        has_text: bool,
        turn: usize,
    ) -> Self {
        let rows = network.model.turn_rows.max(1);
        let mut all = Self { ids: Vec::new(), turns: Vec::new(), turn };
        for piece in pieces {
            let start = all.ids.len();
            match piece {
                Piece::Instruction { turn, text } => {
                    all.turn = turn % rows;
                    if network.turn_tokens == TurnTokens::Sequence {
                        all.ids.push((vocabulary.len() + all.turn) as i32);
                    }
                    if has_text {
                        all.ids
                            .extend(vocabulary.tokens(text).into_iter().map(|token| token as i32));
                    }
                }
                Piece::Announcement(task) => all.ids.push(task.announcement() as i32),
            }
            all.turns.extend(all.ids[start..].iter().map(|_| all.turn as i32));
        }
        all
    }
}
