//! Thrift's compact protocol, as far as Parquet's headers need it.
//! Specification: <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>.

/// Deepest nesting that is followed when fields are passed over.
const MAX_DEPTH: usize = 32;

/// Result of reading; the error says what is wrong with the bytes.
pub(super) type Result<T> = std::result::Result<T, String>;

/// Kinds of values, as a field's header names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A boolean that the header itself holds.
    Bool(bool),
    Byte,
    /// Whole numbers of 16, 32 and 64 bits, which are written alike.
    Int,
    Double,
    Binary,
    List,
    Map,
    Struct,
}

impl Kind {
    fn of(code: u8) -> Result<Self> {
        Ok(match code {
            1 => Self::Bool(true),
            2 => Self::Bool(false),
            3 => Self::Byte,
            4..=6 => Self::Int,
            7 => Self::Double,
            8 => Self::Binary,
            9 | 10 => Self::List,
            11 => Self::Map,
            12 => Self::Struct,
            other => return Err(format!("header has a value of unknown kind {other}")),
        })
    }
}

/// Bytes and a place in them.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    fn byte(&mut self) -> Result<u8> {
        let byte = self.bytes.get(self.at).ok_or("header is cut short")?;
        self.at += 1;
        Ok(*byte)
    }

    /// An unsigned number of 7 bits a byte, lowest first.
    fn varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("header has a number of more than 64 bits".to_owned())
    }

    /// A signed number, its sign in the lowest bit.
    pub(super) fn int(&mut self) -> Result<i64> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A number that counts something.
    pub(super) fn count(&mut self) -> Result<u64> {
        let value = self.int()?;
        u64::try_from(value).map_err(|_| format!("header counts {value} of something"))
    }

    pub(super) fn binary(&mut self) -> Result<&'a [u8]> {
        let length = usize::try_from(self.varint()?).map_err(|error| error.to_string())?;
        let rest = &self.bytes[self.at..];
        let bytes = rest.get(..length).ok_or("header is cut short")?;
        self.at += length;
        Ok(bytes)
    }

    pub(super) fn text(&mut self) -> Result<String> {
        String::from_utf8(self.binary()?.to_vec())
            .map_err(|_| "header has a name that is not UTF-8".to_owned())
    }

    /// Calls `each` at every element of a list, which it must read.
    pub(super) fn list(&mut self, mut each: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        let (length, _) = self.list_header()?;
        for _ in 0..length {
            each(self)?;
        }
        Ok(())
    }

    /// Elements and their kind. Every element takes at least a byte, so a length beyond the bytes that
    /// are left is refused.
    fn list_header(&mut self) -> Result<(usize, Kind)> {
        let header = self.byte()?;
        let length = match header >> 4 {
            15 => self.varint()?,
            short => u64::from(short),
        };
        let left = self.bytes.len() - self.at;
        match usize::try_from(length) {
            Ok(length) if length <= left => Ok((length, Kind::of(header & 15)?)),
            _ => Err(format!("header has a list of {length} in {left} bytes")),
        }
    }

    /// Calls `each` with the number and kind of every field of a structure. It reads the field and says
    /// `true`, or leaves it alone and says `false`; such a field is passed over.
    pub(super) fn fields(
        &mut self,
        mut each: impl FnMut(i64, Kind, &mut Self) -> Result<bool>,
    ) -> Result<()> {
        let mut number = 0_i64;
        loop {
            let header = self.byte()?;
            if header & 15 == 0 {
                return Ok(());
            }
            number = match header >> 4 {
                0 => self.int()?,
                step => number.saturating_add(i64::from(step)),
            };
            let kind = Kind::of(header & 15)?;
            if !each(number, kind, self)? {
                self.skip(kind, 0)?;
            }
        }
    }

    fn skip(&mut self, kind: Kind, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(format!("header is nested deeper than {MAX_DEPTH}"));
        }
        match kind {
            Kind::Bool(_) => {}
            Kind::Byte => drop(self.byte()?),
            Kind::Int => drop(self.varint()?),
            Kind::Double => {
                for _ in 0..8 {
                    self.byte()?;
                }
            }
            Kind::Binary => drop(self.binary()?),
            Kind::List => {
                let (length, kind) = self.list_header()?;
                for _ in 0..length {
                    self.skip_element(kind, depth + 1)?;
                }
            }
            Kind::Map => {
                let length = self.varint()?;
                if length > 0 {
                    let kinds = self.byte()?;
                    let (key, value) = (Kind::of(kinds >> 4)?, Kind::of(kinds & 15)?);
                    for _ in 0..length {
                        self.skip_element(key, depth + 1)?;
                        self.skip_element(value, depth + 1)?;
                    }
                }
            }
            Kind::Struct => loop {
                let header = self.byte()?;
                if header & 15 == 0 {
                    break;
                }
                if header >> 4 == 0 {
                    self.int()?;
                }
                self.skip(Kind::of(header & 15)?, depth + 1)?;
            },
        }
        Ok(())
    }

    /// Passes over an element of a list or map, where a boolean takes a byte.
    fn skip_element(&mut self, kind: Kind, depth: usize) -> Result<()> {
        match kind {
            Kind::Bool(_) => self.byte().map(drop),
            kind => self.skip(kind, depth),
        }
    }
}
