//! Walks along slices of one length, a vector at a time: element by element, or adding up.

use super::simd::{Kernel, Lane};

/// A function of `I` inputs with `O` outputs, applied to every element.
pub(crate) trait Function<const I: usize, const O: usize>: Sync {
    /// How many of the first outputs are read before they are written. `apply` finds zeros in place
    /// of the others.
    const READS: usize = 0;

    /// The new outputs. Must be `#[inline(always)]`.
    fn apply<L: Lane>(&self, inputs: [L; I], outputs: [L; O]) -> [L; O];
}

/// Sums of functions of `I` inputs; missing elements of the last vector are zeros and must add
/// nothing.
pub(crate) trait Sums<const I: usize, const S: usize> {
    /// The sums with one more vector. Must be `#[inline(always)]`.
    fn add<L: Lane>(&self, inputs: [L; I], sums: [L; S]) -> [L; S];
}

/// outputs = function(inputs, outputs) along slices of one length.
#[inline(always)]
pub(crate) fn sweep<L: Lane, F: Function<I, O>, const I: usize, const O: usize>(
    function: &F,
    inputs: [&[f32]; I],
    mut outputs: [&mut [f32]; O],
) {
    let len = outputs[0].len();
    for x in inputs {
        assert_eq!(x.len(), len, "inputs are as long as outputs");
    }
    for y in &outputs {
        assert_eq!(y.len(), len, "outputs are of one length");
    }
    let whole = len - len % L::WIDTH;
    let mut at = 0;
    while at < whole {
        let (mut from, mut to) = ([L::zero(); I], [L::zero(); O]);
        for (value, x) in from.iter_mut().zip(&inputs) {
            // SAFETY: at + WIDTH is at most the length of every slice.
            *value = unsafe { L::load(x.as_ptr().add(at)) };
        }
        for (value, y) in to.iter_mut().zip(&outputs).take(F::READS) {
            // SAFETY: as above.
            *value = unsafe { L::load(y.as_ptr().add(at)) };
        }
        for (value, y) in function.apply(from, to).into_iter().zip(&mut outputs) {
            // SAFETY: as above.
            unsafe { value.store(y.as_mut_ptr().add(at)) };
        }
        at += L::WIDTH;
    }
    if whole < len {
        let (mut from, mut to) = ([L::zero(); I], [L::zero(); O]);
        for (value, x) in from.iter_mut().zip(&inputs) {
            *value = L::read_part(&x[whole..]);
        }
        for (value, y) in to.iter_mut().zip(&outputs).take(F::READS) {
            *value = L::read_part(&y[whole..]);
        }
        for (value, y) in function.apply(from, to).into_iter().zip(&mut outputs) {
            value.write_part(&mut y[whole..]);
        }
    }
}

/// The sums along slices of one length, in an order that the length and the level fix.
#[inline(always)]
pub(crate) fn fold<L: Lane, F: Sums<I, S>, const I: usize, const S: usize>(
    function: &F,
    inputs: [&[f32]; I],
) -> [f32; S] {
    /// Independent partial sums of a sum, which hide the latency of addition.
    const PARTS: usize = 4;
    let len = inputs[0].len();
    for x in inputs {
        assert_eq!(x.len(), len, "inputs are of one length");
    }
    let mut parts = [[L::zero(); S]; PARTS];
    let step = PARTS * L::WIDTH;
    let mut at = 0;
    while at + step <= len {
        for (i, part) in parts.iter_mut().enumerate() {
            let mut from = [L::zero(); I];
            for (value, x) in from.iter_mut().zip(&inputs) {
                // SAFETY: at + step is at most the length of every slice.
                *value = unsafe { L::load(x.as_ptr().add(at + i * L::WIDTH)) };
            }
            *part = function.add(from, *part);
        }
        at += step;
    }
    for part in &mut parts {
        if at < len {
            let mut from = [L::zero(); I];
            let end = len.min(at + L::WIDTH);
            for (value, x) in from.iter_mut().zip(&inputs) {
                *value = L::read_up_to(&x[at..end]);
            }
            *part = function.add(from, *part);
            at = end;
        }
    }
    let mut sums = [0.0; S];
    for (s, sum) in sums.iter_mut().enumerate() {
        *sum = ((parts[0][s] + parts[1][s]) + (parts[2][s] + parts[3][s])).sum();
    }
    sums
}

/// [`sweep`] as a kernel of its own.
pub(crate) struct Sweep<'a, F, const I: usize, const O: usize> {
    pub(crate) function: &'a F,
    pub(crate) inputs: [&'a [f32]; I],
    pub(crate) outputs: [&'a mut [f32]; O],
}

impl<F: Function<I, O>, const I: usize, const O: usize> Kernel for Sweep<'_, F, I, O> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(self) {
        sweep::<L, F, I, O>(self.function, self.inputs, self.outputs);
    }
}

/// The sum of products of two slices.
pub(crate) struct Dot;

impl Sums<2, 1> for Dot {
    #[inline(always)]
    fn add<L: Lane>(&self, [a, b]: [L; 2], [sum]: [L; 1]) -> [L; 1] {
        [a.mul_add(b, sum)]
    }
}

/// The sum.
pub(crate) struct Sum;

impl Sums<1, 1> for Sum {
    #[inline(always)]
    fn add<L: Lane>(&self, [x]: [L; 1], [sum]: [L; 1]) -> [L; 1] {
        [sum + x]
    }
}

/// The sum of squares.
pub(crate) struct Squares;

impl Sums<1, 1> for Squares {
    #[inline(always)]
    fn add<L: Lane>(&self, [x]: [L; 1], [sum]: [L; 1]) -> [L; 1] {
        [x.mul_add(x, sum)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::simd::Simd;

    struct Fold<'a>([&'a [f32]; 2]);

    impl Kernel for Fold<'_> {
        type Output = (f32, f32);

        #[inline(always)]
        fn run<L: Lane>(self) -> (f32, f32) {
            (fold::<L, _, 2, 1>(&Dot, self.0)[0], fold::<L, _, 1, 1>(&Squares, [self.0[0]])[0])
        }
    }

    /// The first output is read, the second is not.
    struct Mixed;

    impl Function<1, 2> for Mixed {
        const READS: usize = 1;

        #[inline(always)]
        fn apply<L: Lane>(&self, [x]: [L; 1], [a, b]: [L; 2]) -> [L; 2] {
            [a + x, b + x]
        }
    }

    #[test]
    fn every_length_is_walked_once() {
        for simd in Simd::available() {
            for len in (0..150).chain([1000]) {
                let x: Vec<f32> = (0..len).map(|i| (i % 13) as f32 - 6.0).collect();
                let y: Vec<f32> = (0..len).map(|i| (i % 7) as f32).collect();
                let dot: f32 = x.iter().zip(&y).map(|(x, y)| x * y).sum();
                let squares: f32 = x.iter().map(|x| x * x).sum();
                assert_eq!(simd.run(Fold([&x, &y])), (dot, squares), "{simd:?} {len}");
                let (mut a, mut b) = (y.clone(), y.clone());
                simd.run(Sweep { function: &Mixed, inputs: [&x], outputs: [&mut a, &mut b] });
                assert!((0..len).all(|i| a[i] == x[i] + y[i] && b[i] == x[i]), "{simd:?} {len}");
            }
        }
    }
}
