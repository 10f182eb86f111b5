//! Prompts of a session: how they are worded, and which of them a turn sees (VINCIE 3B specification,
//! section 6).

use super::Settings;

/// Turns of a session that begins with `images` pictures and has `prompts` prompts in all. With
/// pictures, every picture but the last has a prompt of its own before the first turn's.
pub fn turns(images: usize, prompts: usize) -> usize {
    (prompts + 1).saturating_sub(images.max(1))
}

/// How many prompts turn `turn` sees.
pub fn prompts_seen(images: usize, turn: usize, settings: &Settings) -> usize {
    match settings.quirks.few_prompts && turn > 0 {
        true => turn + 1,
        false => images.max(1) + turn,
    }
}

/// Prompt number `index` as the text encoder gets it.
pub fn worded(index: usize, prompt: &str, settings: &Settings) -> String {
    let prompt = format!("{}{prompt}", settings.prefix);
    if !settings.placeholders {
        return prompt;
    }
    let words = stripped(&prompt);
    format!("Based on <IMG{index}>, {words}. Output <IMG{}>: ", index + 1)
}

/// What a step of a session makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Makes {
    /// The next picture.
    #[default]
    Picture,
    /// The region of the current picture that will change, white on black.
    CurrentMask,
    /// The region of the next picture that has changed, white on black.
    NextMask,
}

/// One step of a session: what it makes, after which words of the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// The user's words.
    pub text: String,
    /// What the step makes.
    pub makes: Makes,
}

impl Instruction {
    /// A step that makes a picture.
    pub fn picture(text: impl Into<String>) -> Self {
        Self { text: text.into(), makes: Makes::Picture }
    }

    /// The user's words without blanks and dots at their ends, for a mask behind words that ask for
    /// one. Those words are ours: the released code has no prompts for masks.
    fn words(&self, settings: &Settings) -> String {
        let text = format!("{}{}", settings.prefix, self.text);
        let text = stripped(&text);
        match self.makes {
            Makes::Picture => text.to_owned(),
            Makes::CurrentMask => format!("mask the region that will change: {text}"),
            Makes::NextMask => format!("mask the region that has changed after: {text}"),
        }
    }
}

/// The prompts of a whole session as the text encoder gets them. Pictures behind the first are
/// announced before the first instruction, which then names all of them; later ones name the latest
/// picture and the masks behind it. Without a source the first instruction makes a picture.
pub fn session(images: usize, instructions: &[Instruction], settings: &Settings) -> Vec<String> {
    if !settings.placeholders {
        let plain = |step: &Instruction| format!("{}{}", settings.prefix, step.text);
        return instructions.iter().map(plain).collect();
    }
    let mut all: Vec<String> = (1..images).map(|i| format!("<IMG{i}>: ")).collect();
    let mut based_on: Vec<usize> = (0..images).collect();
    for (next, step) in (images..).zip(instructions) {
        let words = step.words(settings);
        let names: Vec<String> = based_on.iter().map(|i| format!("<IMG{i}>")).collect();
        all.push(match names.is_empty() {
            true => format!("{words}. Output <IMG{next}>: "),
            false => format!("Based on {}, {words}. Output <IMG{next}>: ", listed(&names)),
        });
        if step.makes == Makes::Picture {
            based_on.clear();
        }
        based_on.push(next);
    }
    all
}

/// Without white space, then without dots, at both ends. White space before a last dot stays.
fn stripped(prompt: &str) -> &str {
    prompt.trim().trim_matches('.')
}

/// `a`, `a and b`, `a, b and c`.
fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Family, Quirks};
    use super::*;

    #[test]
    fn prompts_are_worded_as_in_training() {
        let settings = Settings::official(Family::ThreeB);
        assert_eq!(
            worded(0, " Remove the hat. ", &settings),
            "Based on <IMG0>, Remove the hat. Output <IMG1>: "
        );
        assert_eq!(worded(2, "..a b ..", &settings), "Based on <IMG2>, a b . Output <IMG3>: ");
        let prefix = Settings { prefix: "Zoom. ".into(), ..settings.clone() };
        assert_eq!(worded(0, "x", &prefix), "Based on <IMG0>, Zoom. x. Output <IMG1>: ");
        let plain = Settings { placeholders: false, ..settings };
        assert_eq!(worded(0, " x. ", &plain), " x. ");
    }

    #[test]
    fn sessions_name_their_pictures() {
        let settings = Settings::official(Family::ThreeB);
        let texts = |images, instructions: &[&str]| {
            let all: Vec<_> = instructions.iter().map(|&text| Instruction::picture(text)).collect();
            session(images, &all, &settings)
        };
        for (i, text) in texts(1, &["a", "b. "]).iter().enumerate() {
            assert_eq!(*text, worded(i, ["a", "b"][i], &settings));
        }
        let concepts = texts(3, &["both in a park", "add rain"]);
        let expected = [
            "<IMG1>: ",
            "<IMG2>: ",
            "Based on <IMG0>, <IMG1> and <IMG2>, both in a park. Output <IMG3>: ",
            "Based on <IMG3>, add rain. Output <IMG4>: ",
        ];
        assert_eq!(concepts, expected);
        let story = texts(0, &["a cat", "it sleeps"]);
        assert_eq!(
            story,
            ["a cat. Output <IMG0>: ", "Based on <IMG0>, it sleeps. Output <IMG1>: "]
        );
        for (images, instructions) in [(0, 2), (1, 2), (3, 2)] {
            let steps = vec![Instruction::picture("x"); instructions];
            let all = session(images, &steps, &settings);
            assert_eq!(turns(images, all.len()), instructions);
            let last = prompts_seen(images, instructions - 1, &settings);
            assert_eq!(last, all.len(), "the last turn sees all prompts");
        }
    }

    #[test]
    fn masks_are_made_before_the_picture_that_is_based_on_them() {
        let settings = Settings::official(Family::ThreeB);
        let step = |makes| Instruction { text: "add rain.".into(), makes };
        let steps = [Makes::CurrentMask, Makes::NextMask, Makes::Picture].map(step);
        let expected = [
            "Based on <IMG0>, mask the region that will change: add rain. Output <IMG1>: ",
            "Based on <IMG0> and <IMG1>, mask the region that has changed after: add rain. \
             Output <IMG2>: ",
            "Based on <IMG0>, <IMG1> and <IMG2>, add rain. Output <IMG3>: ",
        ];
        assert_eq!(session(1, &steps, &settings), expected);
    }

    #[test]
    fn the_official_code_forgets_prompts_of_several_pictures() {
        let settings = Settings::official(Family::ThreeB);
        let quirks = Quirks { few_prompts: true, ..Quirks::default() };
        let quirky = Settings { quirks, ..settings.clone() };
        assert_eq!([0, 1, 2].map(|turn| prompts_seen(3, turn, &settings)), [3, 4, 5]);
        assert_eq!([0, 1, 2].map(|turn| prompts_seen(3, turn, &quirky)), [3, 2, 3]);
        for turn in 0..4 {
            assert_eq!(prompts_seen(1, turn, &settings), prompts_seen(1, turn, &quirky));
        }
    }
}
