//! Between the time embedding, whose kinds of modulation alternate within a channel, and one dense
//! table per kind, which the row kernels read (VINCIE 3B specification, section 1.7).

/// Takes `\[groups, cols, kinds\]` apart: `tables` becomes `\[kinds, groups, cols\]`.
///
/// # Panics
/// Where lengths do not fit.
pub fn split(embedding: &[f32], cols: usize, kinds: usize, tables: &mut [f32]) {
    let groups = groups(embedding.len(), cols, kinds, tables.len());
    for group in 0..groups {
        let from = &embedding[group * cols * kinds..][..cols * kinds];
        for kind in 0..kinds {
            let to = &mut tables[(kind * groups + group) * cols..][..cols];
            to.iter_mut().zip(from.chunks_exact(kinds)).for_each(|(to, from)| *to = from[kind]);
        }
    }
}

/// The way back, for gradients: `embedding` becomes `\[groups, cols, kinds\]`.
///
/// # Panics
/// Where lengths do not fit.
pub fn join(tables: &[f32], cols: usize, kinds: usize, embedding: &mut [f32]) {
    let groups = groups(embedding.len(), cols, kinds, tables.len());
    for group in 0..groups {
        let to = &mut embedding[group * cols * kinds..][..cols * kinds];
        for kind in 0..kinds {
            let from = &tables[(kind * groups + group) * cols..][..cols];
            to.chunks_exact_mut(kinds).zip(from).for_each(|(to, from)| to[kind] = *from);
        }
    }
}

fn groups(embedding: usize, cols: usize, kinds: usize, tables: usize) -> usize {
    let groups = embedding.checked_div(cols * kinds).unwrap_or(0);
    assert_eq!(embedding, groups * cols * kinds, "the embedding is [groups, {cols}, {kinds}]");
    assert_eq!(tables, embedding, "the tables are [{kinds}, {groups}, {cols}]");
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitting_finds_each_kind_and_joining_undoes_it() {
        for (groups, cols, kinds) in [(0, 3, 6), (1, 1, 1), (2, 5, 6)] {
            let embedding: Vec<f32> = (0..groups * cols * kinds).map(|i| i as f32).collect();
            let mut tables = vec![-1.0; embedding.len()];
            split(&embedding, cols, kinds, &mut tables);
            for (i, &value) in tables.iter().enumerate() {
                let (kind, group, col) = (i / cols / groups, i / cols % groups, i % cols);
                assert_eq!(value, embedding[(group * cols + col) * kinds + kind]);
            }
            let mut again = vec![-1.0; embedding.len()];
            join(&tables, cols, kinds, &mut again);
            assert_eq!(again, embedding);
        }
    }
}
