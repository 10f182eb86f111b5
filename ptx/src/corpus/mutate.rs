//! Mutants of a kernel: its text with one safeguard removed.

/// A text with one line less, or one guard less.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// The mutated PTX.
    pub text: String,
    /// Line that changed, from 1.
    pub line: usize,
    /// What was removed.
    pub removed: String,
}

/// Instructions whose whole statement is a safeguard.
const SAFEGUARDS: [&str; 12] = [
    "bar.sync",
    "bar.warp.sync",
    "barrier.sync",
    "barrier.cluster",
    "fence.",
    "membar.",
    "cp.async.wait",
    "cp.async.bulk.wait",
    "wgmma.fence",
    "wgmma.wait",
    "mbarrier.try_wait",
    "mbarrier.test_wait",
];

/// Every text that lacks one barrier, fence, wait or bound check of the original. A wait in a
/// loop loses the branch back; a guarded access to device memory loses its guard; an early
/// branch around code loses the branch.
pub fn mutants(text: &str) -> Vec<Mutant> {
    let lines: Vec<&str> = text.lines().collect();
    let mut list = Vec::new();
    let mut push = |at: usize, replacement: String| {
        let mut changed: Vec<&str> = lines.clone();
        changed[at] = &replacement;
        list.push(Mutant {
            text: changed.join("\n"),
            line: at + 1,
            removed: lines[at].trim().to_string(),
        });
    };
    for (at, line) in lines.iter().enumerate() {
        let code = line.split("//").next().unwrap_or("").trim();
        let bare = match code.strip_prefix('@') {
            Some(rest) => rest.split_once(char::is_whitespace).map_or("", |r| r.1.trim()),
            None => code,
        };
        if code.starts_with('{')
            && SAFEGUARDS.iter().any(|s| code.contains(s))
            && code.ends_with('}')
        {
            // An inline wait loop on one line; other instructions on it must stay.
            if !code.contains("arrive") {
                push(at, String::new());
            }
        } else if bare.starts_with("mbarrier.try_wait") || bare.starts_with("mbarrier.test_wait") {
            let back = lines.iter().skip(at + 1).position(|l| l.contains("bra"));
            if let Some(offset) = back.filter(|o| *o < 3) {
                push(at + 1 + offset, String::new());
            }
        } else if SAFEGUARDS.iter().any(|s| bare.starts_with(s)) && code.matches(';').count() == 1 {
            push(at, String::new());
        } else if code.starts_with('@')
            && (bare.starts_with("ld.global") || bare.starts_with("st.global"))
        {
            push(at, line.replacen(code, bare, 1));
        }
    }
    list
}
