//! Video and pictures in: still pictures, resizing, and readers that deliver a video's frames one
//! at a time.
//!
//! Without anything installed, [`Video`] reads folders of PNG and JPEG, 8-bit Y4M, and motion JPEG
//! in AVI, QuickTime and MP4; everything else goes through the `ffmpeg` program. Whatever comes
//! from outside is checked against [`Limits`](crate::Limits) before memory is taken for it, and
//! every failure is one line that names the file, the place and what would be right.

mod avi;
mod ffmpeg;
mod folder;
mod hash;
mod input;
mod mjpeg;
mod mov;
mod names;
mod orientation;
mod prepare;
mod publish;
mod resize;
mod sniff;
mod still;
mod video;
mod y4m;

#[cfg(test)]
mod tests;

pub use ffmpeg::ffmpeg_version;
pub use hash::{sha256_file, sha256_hex};
pub use prepare::{
    Aspect, FloatImage, Preparation, Sizes, area_resize, divisible_crop, normalise, same_size,
};
pub use resize::{Filter, centre_crop, fit, fit_mask, resize, resize_mask};
pub use still::{
    decode_image, decode_mask, encode_jpeg, encode_mask_png, encode_png, read_image, read_mask,
    write_jpeg, write_mask_png, write_png,
};
pub use video::{DecodedFrame, DecoderChoice, Video, VideoInfo, VideoOptions};
