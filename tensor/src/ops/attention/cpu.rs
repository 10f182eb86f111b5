//! Tiled attention: scores live a tile at a time, hidden tiles are never computed.

use super::Attention;
use crate::kernels::Simd;
use crate::kernels::attention::{self, Backward, Forward, Rows, RowsMut, Shape};
use crate::ops::{dense, fresh, slice};
use crate::{DType, Result, Tensor};

impl Attention {
    fn shape(&self, q: &Tensor, k: &Tensor) -> Shape {
        Shape {
            heads: self.heads,
            head_dim: q.shape()[1] / self.heads,
            queries: q.shape()[0],
            keys: k.shape()[0],
            scale: self.scale,
        }
    }
}

fn rows<'t>(tensor: &'t Tensor, shape: &Shape) -> Rows<'t> {
    Rows::dense(slice(tensor), shape.heads, shape.head_dim)
}

fn rows_mut<'t>(tensor: &'t mut Tensor, shape: &Shape) -> RowsMut<'t> {
    RowsMut::dense(fresh(tensor), shape.heads, shape.head_dim)
}

pub(super) fn forward(op: &Attention, inputs: [&Tensor; 3]) -> Result<(Tensor, Tensor)> {
    let [q, k, v] = inputs.map(dense);
    let (q, k, v) = (q?, k?, v?);
    let shape = op.shape(&q, &k);
    let mut output = Tensor::uninit(q.shape(), DType::F32)?;
    let mut log_sum_exp = Tensor::uninit([shape.heads, shape.queries], DType::F32)?;
    let args = Forward {
        shape,
        blocks: op.mask.blocks(),
        q: rows(&q, &shape),
        k: rows(&k, &shape),
        v: rows(&v, &shape),
        o: rows_mut(&mut output, &shape),
        lse: fresh(&mut log_sum_exp),
    };
    attention::forward(Simd::detect(), args);
    Ok((output, log_sum_exp))
}

pub(super) fn backward(
    op: &Attention,
    inputs: [&Tensor; 3],
    output: &Tensor,
    log_sum_exp: &Tensor,
    grad: &Tensor,
) -> Result<[Tensor; 3]> {
    let [q, k, v] = inputs.map(dense);
    let (q, k, v, output, grad) = (q?, k?, v?, dense(output)?, dense(grad)?);
    let shape = op.shape(&q, &k);
    let blocks = op.mask.blocks();
    let like = |t: &Tensor| Tensor::uninit(t.shape(), DType::F32);
    let (mut dq, mut dk, mut dv) = (like(&q)?, like(&k)?, like(&v)?);
    let mut workspace =
        Tensor::uninit([attention::backward_workspace(&shape, blocks)], DType::F32)?;
    let args = Backward {
        shape,
        blocks,
        q: rows(&q, &shape),
        k: rows(&k, &shape),
        v: rows(&v, &shape),
        o: rows(&output, &shape),
        d_o: rows(&grad, &shape),
        lse: slice(log_sum_exp),
        dq: rows_mut(&mut dq, &shape),
        dk: rows_mut(&mut dk, &shape),
        dv: rows_mut(&mut dv, &shape),
        workspace: fresh(&mut workspace),
    };
    attention::backward(Simd::detect(), args);
    Ok([dq, dk, dv])
}
