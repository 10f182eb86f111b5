//! Plain f64 arrays for the reference implementation of every op: loops that can be read, no speed.

use crate::{DType, Result, Shape, Tensor};

/// A row-major array of f64.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Sizes of the axes.
    pub shape: Shape,
    /// Elements in row-major order.
    pub data: Vec<f64>,
}

impl Array {
    /// An array of zeros.
    pub fn zeros(shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        Self { shape, data: vec![0.0; shape.count()] }
    }

    /// An array over existing elements.
    pub fn new(shape: impl Into<Shape>, data: Vec<f64>) -> Self {
        let shape = shape.into();
        assert_eq!(data.len(), shape.count(), "array of shape {shape}");
        Self { shape, data }
    }

    /// The elements of a tensor of any type, widened.
    pub fn from_tensor(tensor: &Tensor) -> Result<Self> {
        let data = match tensor.dtype() {
            DType::I32 => tensor.to_slice::<i32>()?.iter().map(|&v| f64::from(v)).collect(),
            _ => tensor.to_f32()?.to_slice::<f32>()?.iter().map(|&v| f64::from(v)).collect(),
        };
        Ok(Self { shape: tensor.shape(), data })
    }

    /// The elements rounded to f32.
    pub fn to_tensor(&self) -> Result<Tensor> {
        let data: Vec<f32> = self.data.iter().map(|&v| v as f32).collect();
        Tensor::from_slice(&data, self.shape)
    }

    /// Row `r` of the array seen as `[rows, last]`.
    pub fn row(&self, r: usize) -> &[f64] {
        let width = self.shape.last_dim();
        &self.data[r * width..(r + 1) * width]
    }

    /// Row `r` of the array seen as `[rows, last]`, writable.
    pub fn row_mut(&mut self, r: usize) -> &mut [f64] {
        let width = self.shape.last_dim();
        &mut self.data[r * width..(r + 1) * width]
    }

    /// Element at broadcast position `at` of a result of rank `at.len()`.
    pub fn broadcast_at(&self, at: &[usize]) -> f64 {
        let skip = at.len() - self.shape.rank();
        let index = self
            .shape
            .iter()
            .zip(&at[skip..])
            .fold(0, |index, (&dim, &i)| index * dim + if dim == 1 { 0 } else { i });
        self.data[index]
    }

    /// Whole numbers, for index inputs.
    pub fn indices(&self) -> impl Iterator<Item = usize> + '_ {
        self.data.iter().map(|&v| v as usize)
    }
}
