//! Sentencepiece models (`spiece.model`): a message in protocol-buffer form.

use super::added::{Added, AddedTokens};
use super::charsmap::CharacterMap;
use super::unigram::{Piece, Unigram};
use super::{Pipeline, Tokenizer};

/// The strings `<extra_id_i>` that T5 tokenizers add behind the model's pieces, the last one first.
const EXTRAS: usize = 100;

/// Sign that stands for a blank in pieces.
const BLANK: char = '▁';

/// A field's value as it stands in the message.
#[derive(Clone, Copy, Debug)]
enum Value<'m> {
    Number(u64),
    Bytes(&'m [u8]),
    Single(f32),
}

impl<'m> Value<'m> {
    fn number(self) -> Result<u64, String> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Bytes(_) | Self::Single(_) => Err(wrong()),
        }
    }

    fn bytes(self) -> Result<&'m [u8], String> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Number(_) | Self::Single(_) => Err(wrong()),
        }
    }

    fn text(self) -> Result<&'m str, String> {
        std::str::from_utf8(self.bytes()?).map_err(|_| "a piece is no UTF-8".to_owned())
    }
}

fn wrong() -> String {
    "not a valid sentencepiece model: a field has another type".to_owned()
}

/// Calls `visit` with the number and value of every field of a message. Values of eight bytes are
/// passed over: the model has none.
fn fields<'m>(
    mut message: &'m [u8],
    mut visit: impl FnMut(u64, Value<'m>) -> Result<(), String>,
) -> Result<(), String> {
    let cut = || "not a valid sentencepiece model: the message is cut".to_owned();
    while !message.is_empty() {
        let key = varint(&mut message).ok_or_else(cut)?;
        let value = match key & 7 {
            0 => Value::Number(varint(&mut message).ok_or_else(cut)?),
            1 => {
                message = message.get(8..).ok_or_else(cut)?;
                continue;
            }
            2 => {
                let length = varint(&mut message).ok_or_else(cut)?;
                let length = usize::try_from(length).map_err(|_| cut())?;
                let (bytes, rest) = message.split_at_checked(length).ok_or_else(cut)?;
                message = rest;
                Value::Bytes(bytes)
            }
            5 => {
                let (bytes, rest) = message.split_first_chunk::<4>().ok_or_else(cut)?;
                message = rest;
                Value::Single(f32::from_le_bytes(*bytes))
            }
            form => return Err(format!("not a valid sentencepiece model: a field of form {form}")),
        };
        visit(key >> 3, value)?;
    }
    Ok(())
}

/// A number in groups of seven bits, the lowest first.
fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = message.split_first()?;
        *message = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Kinds of pieces.
const NORMAL: u64 = 1;
const UNKNOWN: u64 = 2;
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;
const UNUSED: u64 = 5;

/// Normalisation of a text as the model asks for it.
#[derive(Clone, Debug)]
pub(super) struct Normalization {
    map: CharacterMap,
    adds_blank: bool,
    joins_blanks: bool,
    shows_blanks: bool,
}

impl Normalization {
    fn parse(message: &[u8]) -> Result<Self, String> {
        let mut found = Self {
            map: CharacterMap::default(),
            adds_blank: true,
            joins_blanks: true,
            shows_blanks: true,
        };
        fields(message, |field, value| {
            match field {
                2 => found.map = CharacterMap::parse(value.bytes()?)?,
                3 => found.adds_blank = value.number()? != 0,
                4 => found.joins_blanks = value.number()? != 0,
                5 => found.shows_blanks = value.number()? != 0,
                _ => {}
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// The normal form of the start of `text`, and the length of that start.
    fn step<'t>(&'t self, model: &Unigram, text: &'t str) -> (&'t str, usize) {
        if let Some(piece) = model.user_defined(text) {
            return (&text[..piece.len()], piece.len());
        }
        if let Some((length, form)) = self.map.longest(text) {
            return (form, length);
        }
        let length = text.chars().next().map_or(0, char::len_utf8);
        (&text[..length], length)
    }

    pub(super) fn apply(&self, model: &Unigram, mut text: &str) -> String {
        let blank = if self.shows_blanks { BLANK } else { ' ' };
        let mut result = String::with_capacity(text.len() + blank.len_utf8());
        if self.joins_blanks {
            while !text.is_empty()
                && let (" ", length) = self.step(model, text)
            {
                text = &text[length..];
            }
        }
        if text.is_empty() {
            return result;
        }
        if self.adds_blank {
            result.push(blank);
        }
        let mut is_behind_blank = self.joins_blanks;
        while !text.is_empty() {
            let (form, length) = self.step(model, text);
            text = &text[length..];
            let form = if is_behind_blank { form.trim_start_matches(' ') } else { form };
            if !form.is_empty() {
                result.extend(form.chars().map(|c| if c == ' ' { blank } else { c }));
                is_behind_blank = self.joins_blanks && form.ends_with(' ');
            }
        }
        if self.joins_blanks {
            result.truncate(result.trim_end_matches(blank).len());
        }
        result
    }
}

/// Reads the model's bytes.
pub(super) fn parse(bytes: &[u8]) -> Result<Tokenizer, String> {
    let (mut pieces, mut kinds) = (Vec::new(), Vec::new());
    let (mut normalization, mut end) = (Normalization::parse(&[])?, "</s>".to_owned());
    fields(bytes, |field, value| {
        match field {
            1 => {
                let (piece, kind) = piece(value.bytes()?)?;
                pieces.push(piece);
                kinds.push(kind);
            }
            2 => fields(value.bytes()?, |field, value| {
                match (field, value) {
                    (3, Value::Number(1)) => {}
                    (3, other) => {
                        return Err(format!("model of kind {other:?}; expected a unigram model"));
                    }
                    (24, Value::Number(1)) => {
                        return Err("treat_whitespace_as_suffix is not known".to_owned());
                    }
                    (35, Value::Number(1)) => return Err("byte_fallback is not known".to_owned()),
                    (47, value) => end = value.text()?.to_owned(),
                    _ => {}
                }
                Ok(())
            })?,
            3 => normalization = Normalization::parse(value.bytes()?)?,
            _ => {}
        }
        Ok(())
    })?;
    let unknown = kinds.iter().position(|&kind| kind == UNKNOWN);
    let model = Unigram::new(pieces, unknown, true)?;
    let mut added = Vec::new();
    let mut add = |content: String, id: usize| {
        let id = id as u32;
        let (single_word, lstrip, rstrip, normalized) = Default::default();
        added.push(Added { id, content, single_word, lstrip, rstrip, normalized });
    };
    for (number, &kind) in kinds.iter().enumerate() {
        if matches!(kind, UNKNOWN | CONTROL) {
            add(model.text(number).to_owned(), number);
        }
    }
    if model.piece("<extra_id_0>").is_none() {
        (0..EXTRAS).for_each(|i| add(format!("<extra_id_{i}>"), model.len() + EXTRAS - 1 - i));
    }
    let end =
        model.piece(&end).ok_or_else(|| format!("holds no piece {end:?}, which ends texts"))?;
    Ok(Tokenizer {
        added: AddedTokens::new(added)?,
        pipeline: Pipeline::SentencePiece(normalization),
        model,
        before: Vec::new(),
        after: vec![end],
    })
}

/// A piece and its kind.
fn piece(message: &[u8]) -> Result<(Piece, u64), String> {
    let (mut text, mut score, mut kind) = (String::new(), 0.0, NORMAL);
    fields(message, |field, value| {
        match (field, value) {
            (1, value) => text = value.text()?.to_owned(),
            (2, Value::Single(found)) => score = f64::from(found),
            (3, value) => kind = value.number()?,
            (2, _) => return Err(wrong()),
            _ => {}
        }
        Ok(())
    })?;
    if !(NORMAL..=UNUSED).contains(&kind) {
        return Err(format!("piece {text:?} is of kind {kind}, which is not known"));
    }
    let is_user_defined = kind == USER_DEFINED;
    Ok((
        Piece { text, score, is_searched: kind == NORMAL || is_user_defined, is_user_defined },
        kind,
    ))
}
