//! What a video of any container has to do, for the targets of the built-in readers.

use crate::shared::LIMITS;
use vincie_data::decode::Video;

/// Reads all frames: they have the stated size, and at most one error ends them.
pub(crate) fn read(bytes: &[u8]) {
    let video = match Video::from_bytes(bytes.to_vec(), "input", &LIMITS) {
        Ok(video) => video,
        Err(error) => return assert_eq!(error.to_string().lines().count(), 1),
    };
    let size = (video.info().width, video.info().height);
    let mut has_failed = false;
    for frame in video {
        assert!(!has_failed, "frames after an error");
        match frame {
            Ok(frame) => assert_eq!((frame.image.width, frame.image.height), size),
            Err(error) => {
                has_failed = true;
                assert_eq!(error.to_string().lines().count(), 1);
            }
        }
    }
}
