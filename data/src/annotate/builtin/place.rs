//! Words for places and directions.

/// One of eight directions on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Right,
    LowerRight,
    Down,
    LowerLeft,
    Left,
    UpperLeft,
    Up,
    UpperRight,
}

/// Directions in the order of their angles, clockwise from the right.
const DIRECTIONS: [Direction; 8] = [
    Direction::Right,
    Direction::LowerRight,
    Direction::Down,
    Direction::LowerLeft,
    Direction::Left,
    Direction::UpperLeft,
    Direction::Up,
    Direction::UpperRight,
];

impl Direction {
    /// The direction of a shift; x to the right, y down.
    pub(crate) fn of(x: f32, y: f32) -> Self {
        let eighth = (y.atan2(x) / std::f32::consts::FRAC_PI_4).round() as i32;
        DIRECTIONS[eighth.rem_euclid(8) as usize]
    }

    /// Its words after a verb of motion.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Right => "to the right",
            Self::LowerRight => "to the lower right",
            Self::Down => "down",
            Self::LowerLeft => "to the lower left",
            Self::Left => "to the left",
            Self::UpperLeft => "to the upper left",
            Self::Up => "up",
            Self::UpperRight => "to the upper right",
        }
    }

    /// All directions, for the vocabulary.
    pub(crate) fn all() -> [Self; 8] {
        DIRECTIONS
    }
}

/// Words for the nine parts of a picture, rows top to bottom.
pub(crate) const PLACES: [&str; 9] = [
    "at the upper left",
    "at the top",
    "at the upper right",
    "on the left",
    "in the center",
    "on the right",
    "at the lower left",
    "at the bottom",
    "at the lower right",
];

/// The words for a point, given as shares of width and height.
pub(crate) fn place(x: f32, y: f32) -> &'static str {
    let third = |v: f32| ((v * 3.0) as usize).min(2);
    PLACES[3 * third(y) + third(x)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_directions() {
        assert_eq!(place(0.1, 0.1), "at the upper left");
        assert_eq!(place(0.5, 0.5), "in the center");
        assert_eq!(place(1.0, 1.0), "at the lower right");
        assert_eq!(place(0.9, 0.5), "on the right");
        assert_eq!(Direction::of(1.0, 0.1).words(), "to the right");
        assert_eq!(Direction::of(0.0, -1.0).words(), "up");
        assert_eq!(Direction::of(-1.0, 1.0).words(), "to the lower left");
        assert_eq!(Direction::of(-1.0, -0.1).words(), "to the left");
    }
}
