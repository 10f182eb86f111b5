//! Sets of pixels and what is done to them: opening, closing, filling holes, connected parts.

/// A set of pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bitmap {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// `[height, width]`.
    pub(crate) data: Vec<bool>,
}

/// One connected part of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Component {
    /// Indices of its pixels, rising.
    pub(crate) pixels: Vec<usize>,
    /// First column, first row, one past the last column, one past the last row.
    pub(crate) bounds: [usize; 4],
}

impl Bitmap {
    /// The empty set.
    pub(crate) fn empty(width: usize, height: usize) -> Self {
        Self { width, height, data: vec![false; width * height] }
    }

    /// The pixels for which `is_in` holds.
    pub(crate) fn of(width: usize, height: usize, is_in: impl Fn(usize) -> bool) -> Self {
        Self { width, height, data: (0..width * height).map(is_in).collect() }
    }

    /// Number of pixels in the set.
    pub(crate) fn count(&self) -> usize {
        self.data.iter().filter(|&&v| v).count()
    }

    /// Pixels of both sets.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self::of(self.width, self.height, |i| self.data[i] && other.data[i])
    }

    /// Pixels of either set.
    pub(crate) fn or(&self, other: &Self) -> Self {
        Self::of(self.width, self.height, |i| self.data[i] || other.data[i])
    }

    /// Adds the pixels at the given indices.
    pub(crate) fn insert(&mut self, pixels: &[usize]) {
        for &i in pixels {
            self.data[i] = true;
        }
    }

    /// Pixels with a member at most `radius` away, in an octagonal neighbourhood.
    pub(crate) fn dilated(&self, radius: usize) -> Self {
        if self.data.is_empty() {
            return self.clone();
        }
        let mut grown = self.clone();
        for step in 0..radius {
            grown = grown.grown_once(step % 2 == 1);
        }
        grown
    }

    /// Pixels whose whole neighbourhood of `radius` is in the set; outside of the picture counts
    /// as in, so that what touches the border is not eaten from there.
    pub(crate) fn eroded(&self, radius: usize) -> Self {
        self.inverted().dilated(radius).inverted()
    }

    /// Without what is thinner than twice the radius.
    pub(crate) fn opened(&self, radius: usize) -> Self {
        self.eroded(radius).dilated(radius).and(self)
    }

    /// With gaps up to twice the radius bridged.
    pub(crate) fn closed(&self, radius: usize) -> Self {
        self.dilated(radius).eroded(radius).or(self)
    }

    fn inverted(&self) -> Self {
        Self::of(self.width, self.height, |i| !self.data[i])
    }

    /// One step of growth, to four neighbours or to eight; alternating gives octagons. Rows are
    /// combined as slices without branches, which the compiler turns into vector instructions.
    fn grown_once(&self, is_diagonal: bool) -> Self {
        let width = self.width;
        let mut across = self.data.clone();
        for (target, line) in across.chunks_exact_mut(width).zip(self.data.chunks_exact(width)) {
            for (value, &left) in target[1..].iter_mut().zip(line) {
                *value |= left;
            }
            for (value, &right) in target.iter_mut().zip(&line[1..]) {
                *value |= right;
            }
        }
        let mut grown = across.clone();
        let source = if is_diagonal { &across } else { &self.data };
        for (value, &above) in grown[width..].iter_mut().zip(source) {
            *value |= above;
        }
        for (value, &below) in grown.iter_mut().zip(&source[width..]) {
            *value |= below;
        }
        Self { width, height: self.height, data: grown }
    }

    /// The connected parts (eight neighbours), in order of their first pixel.
    pub(crate) fn components(&self) -> Vec<Component> {
        let mut seen = vec![false; self.data.len()];
        let mut found = Vec::new();
        let mut stack = Vec::new();
        for start in 0..self.data.len() {
            if !self.data[start] || seen[start] {
                continue;
            }
            let mut pixels = Vec::new();
            let mut bounds = [usize::MAX, usize::MAX, 0, 0];
            seen[start] = true;
            stack.push(start);
            while let Some(at) = stack.pop() {
                pixels.push(at);
                let (x, y) = (at % self.width, at / self.width);
                bounds = [
                    bounds[0].min(x),
                    bounds[1].min(y),
                    bounds[2].max(x + 1),
                    bounds[3].max(y + 1),
                ];
                for ny in y.saturating_sub(1)..(y + 2).min(self.height) {
                    for nx in x.saturating_sub(1)..(x + 2).min(self.width) {
                        let next = ny * self.width + nx;
                        if self.data[next] && !seen[next] {
                            seen[next] = true;
                            stack.push(next);
                        }
                    }
                }
            }
            pixels.sort_unstable();
            found.push(Component { pixels, bounds });
        }
        found
    }

    /// Without parts of fewer than `least` pixels.
    pub(crate) fn without_small(&self, least: usize) -> Self {
        let mut kept = Self::empty(self.width, self.height);
        for part in self.components() {
            if part.pixels.len() >= least {
                kept.insert(&part.pixels);
            }
        }
        kept
    }

    /// With enclosed gaps of at most `most` pixels filled. A gap that touches the border of the
    /// picture is not enclosed.
    pub(crate) fn filled(&self, most: usize) -> Self {
        let mut full = self.clone();
        for gap in self.inverted().components() {
            let [left, top, right, bottom] = gap.bounds;
            let is_enclosed = left > 0 && top > 0 && right < self.width && bottom < self.height;
            if is_enclosed && gap.pixels.len() <= most {
                full.insert(&gap.pixels);
            }
        }
        full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(rows: &[&str]) -> Bitmap {
        let data = rows.iter().flat_map(|r| r.chars().map(|c| c == '#')).collect();
        Bitmap { width: rows[0].len(), height: rows.len(), data }
    }

    #[test]
    fn opening_drops_specks_and_closing_bridges_gaps() {
        let set = parse(&["#......", "...####", "...####", "...####", "......."]);
        // Corners are rounded, as the neighbourhood is.
        let kept = parse(&[".......", "....###", "...####", "....###", "......."]);
        assert_eq!(set.opened(1), kept);
        let split = parse(&["###.###", "###.###", "###.###", "###.###", "###.###"]);
        assert_eq!(split.closed(1), Bitmap::of(7, 5, |_| true));
    }

    #[test]
    fn holes_and_parts() {
        let ring = parse(&["####.", "#..#.", "####.", "....#"]);
        assert_eq!(ring.filled(2).count(), ring.count() + 2);
        assert_eq!(ring.filled(1), ring);
        let parts = ring.components();
        assert_eq!(parts.len(), 1, "corners touch");
        assert_eq!(parts[0].bounds, [0, 0, 5, 4]);
        let two = parse(&["##..#", "##..#"]);
        assert_eq!(two.components().len(), 2);
        assert_eq!(two.without_small(3).count(), 4);
    }

    #[test]
    fn degenerate_sizes() {
        for (width, height) in [(1, 1), (1, 9), (9, 1)] {
            let full = Bitmap::of(width, height, |_| true);
            assert_eq!(full.opened(2), full);
            assert_eq!(full.closed(2), full);
            assert_eq!(full.filled(10), full);
            assert_eq!(full.components().len(), 1);
            let none = Bitmap::empty(width, height);
            assert_eq!(none.dilated(3), none);
            assert_eq!(none.components().len(), 0);
        }
    }
}
