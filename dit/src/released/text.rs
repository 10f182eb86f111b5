//! The text of a turn: features of its prompts, each with its row of the TURN table (VINCIE 3B
//! specification, section 4).

use super::TurnRows;
use crate::{Error, Result};
use vincie_tensor::Tensor;

/// Features `[L, C]` of prompts `[n_i, C]`, one after another; prompt `i` has row `i` of `table`
/// `[rows, C]`. `Err` where there are more prompts than rows.
pub fn joined(prompts: &[&Tensor], table: Option<&Tensor>, place: TurnRows) -> Result<Tensor> {
    let table = match (place, table) {
        (TurnRows::Absent, _) => None,
        (_, Some(table)) if table.shape().rank() == 2 => Some(table),
        _ => return Err(Error::invalid("session: the model has no table of TURN rows")),
    };
    let channels = prompts.first().map_or(0, |prompt| prompt.shape().last_dim());
    if let Some(rows) = table.map(|table| table.shape()[0]).filter(|&rows| rows < prompts.len()) {
        return Err(Error::invalid(format!(
            "session: {} prompts; the model knows at most {rows}",
            prompts.len()
        )));
    }
    let mut all = Vec::new();
    for (i, prompt) in prompts.iter().enumerate() {
        let shape = prompt.shape();
        if shape.rank() != 2 || shape[1] != channels {
            return Err(Error::invalid(format!(
                "session: features of prompt {i} are {shape}; expected [tokens, {channels}]"
            )));
        }
        let row = match table {
            None => None,
            Some(table) if table.shape()[1] == channels => {
                Some(table.narrow(0, i, 1)?.to_host()?.to_f32()?.to_vec::<f32>()?)
            }
            Some(table) => {
                return Err(Error::invalid(format!(
                    "session: features have {channels} channels and the TURN table is {}",
                    table.shape()
                )));
            }
        };
        let mut features = prompt.to_host()?.to_f32()?.to_vec::<f32>()?;
        match (row, place) {
            (Some(row), TurnRows::InFront) => all.extend(row),
            (Some(row), _) => {
                for token in features.chunks_exact_mut(channels.max(1)) {
                    token.iter_mut().zip(&row).for_each(|(value, row)| *value += row);
                }
            }
            (None, _) => {}
        }
        all.extend(features);
    }
    Ok(Tensor::from_slice(&all, [all.len() / channels.max(1), channels])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_before_their_prompts_or_are_added() {
        let table = Tensor::from_slice(&[10f32, 20.0, 30.0, 40.0], [2, 2]).unwrap();
        let prompts: [Tensor; 2] = [
            Tensor::from_slice(&[1f32, 2.0, 3.0, 4.0], [2, 2]).unwrap(),
            Tensor::from_slice(&[5f32, 6.0], [1, 2]).unwrap(),
        ];
        let prompts: Vec<&Tensor> = prompts.iter().collect();
        let rows = |place| joined(&prompts, Some(&table), place).unwrap().to_vec::<f32>().unwrap();
        let in_front = [10.0, 20.0, 1.0, 2.0, 3.0, 4.0, 30.0, 40.0, 5.0, 6.0];
        assert_eq!(rows(TurnRows::InFront), in_front);
        assert_eq!(rows(TurnRows::Added), [11.0, 22.0, 13.0, 24.0, 35.0, 46.0]);
        assert_eq!(rows(TurnRows::Absent), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert!(joined(&prompts, None, TurnRows::InFront).is_err());
        let many = [prompts[0], prompts[0], prompts[0]];
        let line = joined(&many, Some(&table), TurnRows::InFront).unwrap_err().to_string();
        assert!(line.contains("3 prompts") && line.contains("at most 2"), "{line}");
    }
}
