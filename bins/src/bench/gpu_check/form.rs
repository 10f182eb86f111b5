//! Which instruction of a microtest an element of its output comes from: every form has 32 rows
//! beside each other, stored at a fixed distance from the buffer's start.

/// The buffer that microtests write.
const BUFFER: &str = "out";

/// Statements that only bring operands in and results out.
const PLUMBING: [&str; 9] = [
    ".",
    "ld.",
    "st.",
    "mov.",
    "mul.wide.u32 %x",
    "mul.wide.u32 %lane",
    "add.s64 %in",
    "add.s64 %out",
    "add.s64 %x",
];

/// One form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// Byte in the output where its rows start.
    offset: usize,
    /// Line of its store, from 1.
    pub(super) line: usize,
    /// Its instruction.
    pub(super) text: String,
}

/// The forms of a microtest by offset; none for kernels that are no microtests.
#[derive(Debug, Default)]
pub(super) struct Forms(Vec<Form>);

impl Forms {
    /// Finds the forms in the text. A text whose stores do not go upwards from 0 has none.
    pub(super) fn read(ptx: &str) -> Self {
        let mut forms: Vec<Form> = Vec::new();
        let mut text = String::new();
        for (index, line) in ptx.lines().enumerate() {
            for statement in line.split(';').map(|part| part.trim().trim_matches(['{', '}', ' '])) {
                let Some(offset) = stored_at(statement) else {
                    if text.is_empty() && !statement.is_empty() && !is_plumbing(statement) {
                        statement.clone_into(&mut text);
                    }
                    continue;
                };
                let expected = forms.last().map_or(0, |form| form.offset + 1);
                if offset < expected || (forms.is_empty() && offset != 0) {
                    return Self::default();
                }
                // A second result of the same instruction has no statement of its own.
                if text.is_empty()
                    && let Some(last) = forms.last()
                {
                    text.clone_from(&last.text);
                }
                forms.push(Form { offset, line: index + 1, text: std::mem::take(&mut text) });
            }
        }
        Self(forms)
    }

    /// The form that a byte of a buffer belongs to.
    pub(super) fn at(&self, buffer: &str, byte: usize) -> Option<&Form> {
        let behind = self.0.partition_point(|form| form.offset <= byte);
        self.0[..behind].last().filter(|_| buffer == BUFFER)
    }
}

fn is_plumbing(statement: &str) -> bool {
    PLUMBING.iter().any(|start| statement.starts_with(start)) || statement.starts_with("//")
}

/// The offset of a store to device memory.
fn stored_at(statement: &str) -> Option<usize> {
    let place = statement.strip_prefix("st.global")?.split(['[', ']']).nth(1)?;
    place.split_once('+')?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use vincie_ptx::corpus::{CORPUS, MICROTESTS};

    #[test]
    fn elements_of_microtests_name_their_instruction() {
        let text = |name: &str| {
            let file = MICROTESTS.files.iter().find(|(file, _)| *file == format!("{name}.ptx"));
            String::from_utf8_lossy(file.expect("it is inside").1).into_owned()
        };
        for (name, byte, instruction) in [
            ("approx", 0, "ex2.approx.f32 %g, %f"),
            ("approx", 128 + 124, "ex2.approx.ftz.f32 %g, %f"),
            ("convert", 256, "cvt.u16.s8 %d, %a0"),
        ] {
            let forms = Forms::read(&text(name));
            let form = forms.at("out", byte).expect("every element has one");
            assert_eq!(form.text, instruction);
            assert!(forms.at("in", byte).is_none());
        }
        for name in ["integer", "float", "compare", "collective", "matrix", "memory"] {
            let forms = Forms::read(&text(name));
            assert!(forms.0.len() > 5, "{name}: {forms:?}");
            assert!(forms.0.iter().all(|form| !form.text.is_empty()), "{name}: {forms:?}");
        }
    }

    #[test]
    fn other_kernels_have_no_forms() {
        for (name, bytes) in CORPUS.files.iter().filter(|(name, _)| name.ends_with(".ptx")) {
            let forms = Forms::read(&String::from_utf8_lossy(bytes));
            assert!(forms.0.len() < 2, "{name}: {forms:?}");
        }
        assert!(Forms::read("").at("out", 0).is_none());
    }
}
