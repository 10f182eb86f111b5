//! The scene graph: everything that there is to know of a picture of this world.

/// Cells along each side of the grid that sprites stand in.
pub const CELLS: i32 = 3;

/// Most sprites of a scene.
pub const MAX_SPRITES: usize = 4;

/// Outline of a sprite, inscribed in a square of twice its radius.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// A disc.
    Circle,
    /// The whole square.
    Square,
    /// A triangle on its base.
    Triangle,
    /// Two bars that cross.
    Cross,
}

impl Shape {
    /// All shapes.
    pub const ALL: [Self; 4] = [Self::Circle, Self::Square, Self::Triangle, Self::Cross];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Circle => "circle",
            Self::Square => "square",
            Self::Triangle => "triangle",
            Self::Cross => "cross",
        }
    }
}

/// Colour of a sprite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Colour {
    /// Red.
    Red,
    /// Green.
    Green,
    /// Blue.
    Blue,
    /// Yellow.
    Yellow,
    /// Purple.
    Purple,
    /// White.
    White,
}

impl Colour {
    /// All colours.
    pub const ALL: [Self; 6] =
        [Self::Red, Self::Green, Self::Blue, Self::Yellow, Self::Purple, Self::White];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Red => "red",
            Self::Green => "green",
            Self::Blue => "blue",
            Self::Yellow => "yellow",
            Self::Purple => "purple",
            Self::White => "white",
        }
    }

    /// R G B in full light, 0 to 255.
    pub fn rgb(self) -> [f32; 3] {
        match self {
            Self::Red => [230.0, 40.0, 40.0],
            Self::Green => [40.0, 190.0, 70.0],
            Self::Blue => [50.0, 90.0, 240.0],
            Self::Yellow => [250.0, 220.0, 50.0],
            Self::Purple => [180.0, 60.0, 220.0],
            Self::White => [250.0, 250.0, 250.0],
        }
    }
}

/// Size of a sprite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Size {
    /// Two thirds of a cell.
    Small,
    /// Nearly a whole cell.
    Large,
}

impl Size {
    /// Both sizes.
    pub const ALL: [Self; 2] = [Self::Small, Self::Large];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Large => "large",
        }
    }

    /// Half of the side of its square, in sides of the unzoomed picture.
    pub fn radius(self) -> f32 {
        match self {
            Self::Small => 0.105,
            Self::Large => 0.153,
        }
    }
}

/// One sprite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sprite {
    /// Outline.
    pub shape: Shape,
    /// Colour.
    pub colour: Colour,
    /// Size.
    pub size: Size,
    /// Centre (x, y) in the world, whose unit is the side of the unzoomed picture: 0 to 1 is what
    /// the camera sees at the start.
    pub at: [f32; 2],
}

impl Sprite {
    /// The grid's cell that it stands in: column and row, 0 to 2 at the start of the camera.
    pub fn cell(&self) -> [i32; 2] {
        self.at.map(|x| (x * CELLS as f32).floor() as i32)
    }

    /// Whether the squares of both come closer than `gap`.
    pub fn is_near(&self, other: &Self, gap: f32) -> bool {
        let reach = self.size.radius() + other.size.radius() + gap;
        (self.at[0] - other.at[0]).abs() < reach && (self.at[1] - other.at[1]).abs() < reach
    }
}

/// Centre of a cell in the world.
pub fn cell_centre(cell: [i32; 2]) -> [f32; 2] {
    cell.map(|i| (i as f32 + 0.5) / CELLS as f32)
}

/// How the ground is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// One colour.
    Plain,
    /// From dark above to the full colour below.
    Gradient,
    /// Upright stripes.
    Striped,
    /// Squares.
    Checkered,
}

impl Pattern {
    /// All patterns.
    pub const ALL: [Self; 4] = [Self::Plain, Self::Gradient, Self::Striped, Self::Checkered];

    /// Its name, as it stands before the colour's.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Gradient => "gradient",
            Self::Striped => "striped",
            Self::Checkered => "checkered",
        }
    }
}

/// Colour of the ground. All of them differ visibly from every sprite's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ground {
    /// Almost black.
    Black,
    /// Middle grey.
    Grey,
    /// Brown.
    Brown,
    /// Dark blue.
    Navy,
    /// Dark blue-green.
    Teal,
    /// Pale red.
    Pink,
}

impl Ground {
    /// All colours.
    pub const ALL: [Self; 6] =
        [Self::Black, Self::Grey, Self::Brown, Self::Navy, Self::Teal, Self::Pink];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Black => "black",
            Self::Grey => "grey",
            Self::Brown => "brown",
            Self::Navy => "navy",
            Self::Teal => "teal",
            Self::Pink => "pink",
        }
    }

    /// R G B in full light, 0 to 255.
    pub fn rgb(self) -> [f32; 3] {
        match self {
            Self::Black => [36.0, 36.0, 36.0],
            Self::Grey => [110.0, 110.0, 110.0],
            Self::Brown => [120.0, 76.0, 36.0],
            Self::Navy => [24.0, 34.0, 110.0],
            Self::Teal => [16.0, 100.0, 110.0],
            Self::Pink => [240.0, 160.0, 170.0],
        }
    }
}

/// The ground behind all sprites.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Background {
    /// How it is drawn.
    pub pattern: Pattern,
    /// In which colour.
    pub ground: Ground,
}

/// How bright the scene is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Light {
    /// As the colours say.
    Full,
    /// All colours at [`Light::DIM`] of their brightness.
    Dim,
}

impl Light {
    /// Brightness of the dim scene.
    pub const DIM: f32 = 0.6;

    /// Factor of every colour.
    pub fn factor(self) -> f32 {
        match self {
            Self::Full => 1.0,
            Self::Dim => Self::DIM,
        }
    }
}

/// What of the world is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Camera {
    /// Cells by which it has moved to the right and down.
    pub pan: [i32; 2],
    /// Whether it stands back and sees more.
    pub is_wide: bool,
}

impl Camera {
    /// Where every scene starts.
    pub const START: Self = Self { pan: [0, 0], is_wide: false };

    /// Zoom of a camera that stands back.
    pub const WIDE: f32 = 0.8;

    /// Pictures' sides per unit of the world.
    pub fn zoom(self) -> f32 {
        if self.is_wide { Self::WIDE } else { 1.0 }
    }

    /// Point of the world that is seen in the middle of the picture.
    pub fn centre(self) -> [f32; 2] {
        self.pan.map(|cells| 0.5 + cells as f32 / CELLS as f32)
    }

    /// Where a point of the world is in the picture, 0 to 1.
    pub fn project(self, at: [f32; 2]) -> [f32; 2] {
        let centre = self.centre();
        [0, 1].map(|axis| (at[axis] - centre[axis]) * self.zoom() + 0.5)
    }

    /// The cell of the world that stands at a place of the picture, 0 to 2 each.
    pub fn cell_at(self, place: [i32; 2]) -> [i32; 2] {
        [place[0] + self.pan[0], place[1] + self.pan[1]]
    }

    /// The place of the picture where a cell of the world stands; outside of 0 to 2 it is not seen.
    pub fn place_of(self, cell: [i32; 2]) -> [i32; 2] {
        [cell[0] - self.pan[0], cell[1] - self.pan[1]]
    }
}

/// Whether a place is one of the picture's nine.
pub fn is_in_view(place: [i32; 2]) -> bool {
    place.iter().all(|i| (0..CELLS).contains(i))
}

/// A whole scene. Every sprite is in view, no two overlap, and no two have both shape and colour
/// alike, so that the two words always name one sprite.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// Behind everything.
    pub background: Background,
    /// Brightness.
    pub light: Light,
    /// Camera.
    pub camera: Camera,
    /// Sprites in no particular order.
    pub sprites: Vec<Sprite>,
}

/// Least distance of two sprites' squares, in sides of the picture.
pub const GAP: f32 = 0.02;

impl Scene {
    /// Whether the scene keeps its rules.
    pub fn is_valid(&self) -> bool {
        let count = self.sprites.len();
        let is_seen = |sprite: &Sprite| is_in_view(self.camera.place_of(sprite.cell()));
        let clash = |a: &Sprite, b: &Sprite| {
            a.is_near(b, GAP) || (a.shape, a.colour) == (b.shape, b.colour)
        };
        (1..=MAX_SPRITES).contains(&count)
            && self.sprites.iter().all(is_seen)
            && (0..count).all(|i| (0..i).all(|j| !clash(&self.sprites[i], &self.sprites[j])))
    }

    /// Place of a sprite in the picture: column and row, 0 to 2.
    pub fn place(&self, sprite: &Sprite) -> [i32; 2] {
        self.camera.place_of(sprite.cell())
    }
}
