//! The unigram model: of all ways to cut a text into pieces, the one of greatest probability.

use std::collections::HashMap;

/// What a character that is no piece costs below the least probable piece.
const UNKNOWN_PENALTY: f64 = 10.0;

/// Most pieces, and most bytes of one.
const MAX_PIECES: usize = 1 << 20;
const MAX_PIECE: usize = 1 << 10;

/// A piece of the vocabulary.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) text: String,
    /// Logarithm of its probability.
    pub(super) score: f64,
    /// Whether texts are cut into it; control strings are not.
    pub(super) is_searched: bool,
    /// Whether it wins over all others.
    pub(super) is_user_defined: bool,
}

/// Pieces by their bytes.
#[derive(Clone, Debug)]
pub(super) struct Unigram {
    pieces: Vec<Piece>,
    /// Steps from a node, by a byte, to the next one. The root is 0.
    steps: HashMap<(u32, u8), u32>,
    /// The piece that ends at a node.
    ends: Vec<Option<u32>>,
    unknown: u32,
    least: f64,
    most: f64,
    /// Whether scores are added up in single precision.
    is_single: bool,
}

/// The best way to a place in the text.
#[derive(Clone, Copy)]
struct Best {
    score: f64,
    piece: u32,
    /// Where its last piece starts; the largest number where no way has been found.
    start: usize,
}

impl Unigram {
    /// A model of `pieces`, of which `unknown` stands for characters that are no piece.
    pub(super) fn new(
        pieces: Vec<Piece>,
        unknown: Option<usize>,
        is_single: bool,
    ) -> Result<Self, String> {
        let Some(unknown) = unknown.filter(|&unknown| unknown < pieces.len()) else {
            return Err(format!("unknown token {unknown:?} of {} pieces", pieces.len()));
        };
        if pieces.len() > MAX_PIECES {
            return Err(format!("{} pieces; expected at most {MAX_PIECES}", pieces.len()));
        }
        let mut model = Self {
            pieces,
            steps: HashMap::new(),
            ends: vec![None],
            unknown: unknown as u32,
            least: f64::INFINITY,
            most: f64::NEG_INFINITY,
            is_single,
        };
        for (number, piece) in model.pieces.iter().enumerate() {
            if !piece.score.is_finite() || piece.text.len() > MAX_PIECE {
                return Err(format!(
                    "piece {number} has {} bytes and score {}; expected at most {MAX_PIECE} and a number",
                    piece.text.len(),
                    piece.score
                ));
            }
            if !piece.is_searched {
                continue;
            }
            if !piece.is_user_defined {
                model.least = model.least.min(piece.score);
                model.most = model.most.max(piece.score);
            }
            let mut node = 0;
            for byte in piece.text.bytes() {
                let fresh = model.ends.len() as u32;
                node = *model.steps.entry((node, byte)).or_insert(fresh);
                if node == fresh {
                    model.ends.push(None);
                }
            }
            if node != 0 {
                model.ends[node as usize] = Some(number as u32);
            }
        }
        // A model without pieces cuts nothing; its unknown characters cost the penalty alone.
        model.least = if model.least.is_finite() { model.least } else { 0.0 };
        Ok(model)
    }

    /// Number of pieces.
    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// The text of a piece.
    pub(super) fn text(&self, piece: usize) -> &str {
        &self.pieces[piece].text
    }

    /// The number of a piece, the last one where several have this text.
    pub(super) fn piece(&self, text: &str) -> Option<u32> {
        self.pieces.iter().rposition(|piece| piece.text == text).map(|number| number as u32)
    }

    /// The longest user-defined piece that `text` begins with.
    pub(super) fn user_defined(&self, text: &str) -> Option<&str> {
        let found =
            self.from(text).filter(|&(_, piece)| self.pieces[piece as usize].is_user_defined);
        found.last().map(|(_, piece)| self.pieces[piece as usize].text.as_str())
    }

    /// The pieces that `text` begins with, by length.
    fn from(&self, text: &str) -> impl Iterator<Item = (usize, u32)> {
        let mut node = 0;
        let steps = text.bytes().map_while(move |byte| {
            node = *self.steps.get(&(node, byte))?;
            Some(self.ends[node as usize])
        });
        steps.enumerate().filter_map(|(at, end)| end.map(|piece| (at + 1, piece)))
    }

    fn add(&self, a: f64, b: f64) -> f64 {
        if self.is_single { f64::from(a as f32 + b as f32) } else { a + b }
    }

    /// Appends the tokens of `text`. Unknown characters in a row are one token.
    pub(super) fn encode(&self, text: &str, tokens: &mut Vec<u32>) {
        let nowhere = Best { score: 0.0, piece: self.unknown, start: usize::MAX };
        let mut best = vec![nowhere; text.len() + 1];
        for (start, c) in text.char_indices() {
            let so_far = best[start].score;
            let mut is_covered = false;
            for (length, piece) in self.from(&text[start..]) {
                let Piece { score, is_user_defined, .. } = self.pieces[piece as usize];
                let score = match is_user_defined {
                    true => length as f64 * self.most - 0.1,
                    false => score,
                };
                let score = self.add(score, so_far);
                best[start + length].improve(Best { score, piece, start });
                is_covered |= length == c.len_utf8();
            }
            if !is_covered {
                let score = self.add(self.add(self.least, -UNKNOWN_PENALTY), so_far);
                best[start + c.len_utf8()].improve(Best { score, piece: self.unknown, start });
            }
        }
        // Every place between characters is reached: a character that is no piece is unknown.
        let first = tokens.len();
        let mut end = text.len();
        while end > 0 {
            let Best { piece, start, .. } = best[end];
            if piece != self.unknown || tokens[first..].last() != Some(&piece) {
                tokens.push(piece);
            }
            end = start;
        }
        tokens[first..].reverse();
    }
}

impl Best {
    /// Takes the candidate where it is better, or the first.
    fn improve(&mut self, candidate: Self) {
        if self.start == usize::MAX || candidate.score > self.score {
            *self = candidate;
        }
    }
}
