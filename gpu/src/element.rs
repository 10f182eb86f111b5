//! Types of numbers that buffers and kernel parameters hold.

use bytemuck::Pod;
use half::{bf16, f16};

/// A number as kernels know it.
pub trait Element: Pod + Send + Sync {
    /// Its name in PTX, as contracts write it.
    const NAME: &'static str;

    /// Its value where it is a whole number, by which sizes in a contract are named.
    fn as_integer(self) -> Option<i64>;
}

macro_rules! elements {
    ($($ty:ty = $name:literal, $value:ident => $integer:expr;)+) => {
        $(impl Element for $ty {
            const NAME: &'static str = $name;

            fn as_integer(self) -> Option<i64> {
                let $value = self;
                $integer
            }
        })+
    };
}

elements! {
    u8 = "u8", value => Some(i64::from(value));
    i8 = "s8", value => Some(i64::from(value));
    u16 = "u16", value => Some(i64::from(value));
    i16 = "s16", value => Some(i64::from(value));
    u32 = "u32", value => Some(i64::from(value));
    i32 = "s32", value => Some(i64::from(value));
    u64 = "u64", value => i64::try_from(value).ok();
    i64 = "s64", value => Some(value);
    f32 = "f32", _value => None;
    f64 = "f64", _value => None;
    f16 = "f16", _value => None;
    bf16 = "bf16", _value => None;
}
