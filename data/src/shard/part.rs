//! The names of a session's files in a shard: `{key}.json`, `{key}.{i:03}.jpg`,
//! `{key}.{i:03}.cur.png` and `{key}.{i:03}.next.png`.

use crate::session::check_key;

/// Which file of a session a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// The record.
    Record,
    /// The picture of frame `i`, JPEG or PNG.
    Frame(usize),
    /// What of frame `i` transition `i` changes.
    CurrentMask(usize),
    /// What of frame `i + 1` transition `i` has changed.
    NextMask(usize),
}

impl Part {
    /// The key and part of a member name, `None` for files that are no part of a session.
    /// The key ends at the first dot, so no key has one.
    pub(crate) fn of_name(name: &str) -> Option<(&str, Self)> {
        let (key, rest) = name.split_once('.')?;
        check_key(key).ok()?;
        if rest == "json" {
            return Some((key, Self::Record));
        }
        let (number, suffix) = rest.split_once('.')?;
        if number.len() != 3 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let index = number.parse().ok()?;
        match suffix {
            "jpg" | "jpeg" | "png" => Some((key, Self::Frame(index))),
            "cur.png" => Some((key, Self::CurrentMask(index))),
            "next.png" => Some((key, Self::NextMask(index))),
            _ => None,
        }
    }

    /// The member name; `extension` is that of frames.
    pub(crate) fn name(self, key: &str, extension: &str) -> String {
        match self {
            Self::Record => format!("{key}.json"),
            Self::Frame(index) => format!("{key}.{index:03}.{extension}"),
            Self::CurrentMask(index) => format!("{key}.{index:03}.cur.png"),
            Self::NextMask(index) => format!("{key}.{index:03}.next.png"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        let parts = [Part::Record, Part::Frame(0), Part::CurrentMask(7), Part::NextMask(19)];
        for part in parts {
            let name = part.name("shot-1_a", "jpg");
            assert_eq!(Part::of_name(&name), Some(("shot-1_a", part)), "{name}");
        }
    }

    #[test]
    fn other_files_are_no_parts() {
        let names = [
            "a.txt",
            "a",
            "a.b.json",
            "a.00.jpg",
            "a.0000.jpg",
            "a.000.webp",
            "a.000.cur.jpg",
            ".json",
            "b/a.json",
            "ä.json",
            "a.+01.jpg",
            "a..json",
            "a.json.bak",
        ];
        for name in names {
            assert_eq!(Part::of_name(name), None, "{name}");
        }
    }
}
