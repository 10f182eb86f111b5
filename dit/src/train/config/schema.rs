//! What a derived `Deserialize` knows about a struct: its keys, and what each of them takes. Errors
//! can so name the known keys and the right kind of value without a second list of them.

use serde::de::value::{BorrowedStrDeserializer, Error};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use std::fmt;

/// The kind of value a key takes; displays as what a user should write.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Truth,
    Whole,
    Number,
    Text,
    Choice(&'static [&'static str]),
    List { of: Box<Kind>, length: Option<usize> },
    Other,
}

/// One key of a struct.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    pub(super) key: &'static str,
    pub(super) kind: Kind,
}

/// Keys of a struct with a derived `Deserialize`, in its order.
pub(super) fn fields<T: for<'de> Deserialize<'de>>() -> Vec<Field> {
    let mut keys: &'static [&'static str] = &[];
    // The answer is what the struct asks for; the value itself is an error by design.
    let _ = T::deserialize(Keys(&mut keys));
    let field = |&key| {
        let mut kind = Kind::Other;
        let _ = T::deserialize(OneKey { key, kind: &mut kind });
        Field { key, kind }
    };
    keys.iter().map(field).collect()
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truth => f.write_str("true or false"),
            Self::Whole => f.write_str("a whole number of 0 or more"),
            Self::Number => f.write_str("a number"),
            Self::Text => f.write_str("a text in quotes"),
            Self::Choice([all @ .., last]) if !all.is_empty() => {
                write!(f, "{} or {last}", all.join(", "))
            }
            Self::Choice(all) => f.write_str(&all.join(", ")),
            Self::List { of, length } => {
                let of = match **of {
                    Self::Whole => "whole numbers",
                    Self::Number => "numbers",
                    Self::Text => "texts in quotes",
                    _ => "values",
                };
                match length {
                    Some(length) => write!(f, "a list of {length} {of}"),
                    None => write!(f, "a list of {of}"),
                }
            }
            Self::Other => f.write_str("another kind of value"),
        }
    }
}

/// The error that ends every question.
fn answered() -> Error {
    Error::custom("answered")
}

/// Asked for a struct, it keeps the names of the fields.
struct Keys<'k>(&'k mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Keys<'_> {
    type Error = Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        Err(answered())
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(answered())
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// A struct's only entry: offers `key` and keeps what its value is asked to be.
struct OneKey<'k> {
    key: &'static str,
    kind: &'k mut Kind,
}

impl<'de> Deserializer<'de> for OneKey<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

impl<'de> MapAccess<'de> for OneKey<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        seed.deserialize(BorrowedStrDeserializer::new(self.key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(Probe(self.kind))
    }
}

/// A value that keeps what it is asked to be.
struct Probe<'k>(&'k mut Kind);

impl Probe<'_> {
    fn answer<T>(self, kind: Kind) -> Result<T, Error> {
        *self.0 = kind;
        Err(answered())
    }

    fn list<'de, V: Visitor<'de>>(
        self,
        visitor: V,
        length: Option<usize>,
    ) -> Result<V::Value, Error> {
        let mut of = Kind::Other;
        let _ = visitor.visit_seq(Element(&mut of));
        self.answer(Kind::List { of: Box::new(of), length })
    }
}

/// A list's only element.
struct Element<'k>(&'k mut Kind);

impl<'de> SeqAccess<'de> for Element<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        seed.deserialize(Probe(self.0)).map(Some)
    }
}

macro_rules! answers {
    ($($method:ident => $kind:expr;)*) => {
        $(fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
            self.answer($kind)
        })*
    };
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    answers! {
        deserialize_any => Kind::Other;
        deserialize_bool => Kind::Truth;
        deserialize_u8 => Kind::Whole;
        deserialize_u16 => Kind::Whole;
        deserialize_u32 => Kind::Whole;
        deserialize_u64 => Kind::Whole;
        deserialize_f32 => Kind::Number;
        deserialize_f64 => Kind::Number;
        deserialize_str => Kind::Text;
        deserialize_string => Kind::Text;
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.list(visitor, None)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.list(visitor, Some(length))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        self.answer(Kind::Choice(variants))
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u128 char bytes byte_buf unit unit_struct tuple_struct map struct
        identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[derive(serde::Deserialize)]
    #[allow(dead_code)]
    #[serde(rename_all = "kebab-case")]
    enum Colour {
        DarkRed,
        Blue,
        Green,
    }

    #[derive(serde::Deserialize)]
    #[allow(dead_code)]
    #[serde(default, deny_unknown_fields)]
    struct Everything {
        share: f64,
        count: usize,
        flag: bool,
        paths: Vec<PathBuf>,
        size: [u32; 2],
        colour: Colour,
        maybe: Option<f32>,
        table: std::collections::BTreeMap<String, u8>,
    }

    impl Default for Everything {
        fn default() -> Self {
            Self {
                share: 0.0,
                count: 0,
                flag: false,
                paths: Vec::new(),
                size: [0; 2],
                colour: Colour::Blue,
                maybe: None,
                table: Default::default(),
            }
        }
    }

    #[test]
    fn every_key_says_what_it_takes() {
        let found: Vec<String> = fields::<Everything>()
            .into_iter()
            .map(|field| format!("{}: {}", field.key, field.kind))
            .collect();
        assert_eq!(
            found,
            [
                "share: a number",
                "count: a whole number of 0 or more",
                "flag: true or false",
                "paths: a list of texts in quotes",
                "size: a list of 2 whole numbers",
                "colour: dark-red, blue or green",
                "maybe: a number",
                "table: another kind of value",
            ]
        );
        assert_eq!(fields::<u32>(), []);
    }
}
