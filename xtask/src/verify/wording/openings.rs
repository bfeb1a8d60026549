//! Share of doc comments that open with a question word.

use std::fmt;

use super::text::{Kind, Text};

const QUESTIONS: [&str; 6] = ["What", "Who", "Whether", "How", "Where", "Whose"];
const MOST_PERCENT: usize = 10;

#[derive(Default)]
pub(super) struct Openings {
    questions: usize,
    all: usize,
}

impl Openings {
    pub(super) fn count(&mut self, texts: &[Text]) {
        for text in texts.iter().filter(|text| text.kind == Kind::Documentation) {
            let first =
                text.words.split(|letter: char| !letter.is_alphanumeric()).find(|word| !word.is_empty());
            self.all += 1;
            self.questions += usize::from(first.is_some_and(|word| QUESTIONS.contains(&word)));
        }
    }

    pub(super) fn problem(&self) -> Option<String> {
        let too_many = self.questions * 100 > self.all * MOST_PERCENT;
        too_many.then(|| format!("{self}: start them with a noun or a third-person verb"))
    }
}

impl fmt::Display for Openings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { questions, all } = self;
        let percent = (questions * 1000 / (*all).max(1)) as f64 / 10.0;
        write!(
            f,
            "{questions} of {all} doc comments ({percent} %) open with {}; at most {MOST_PERCENT} % may",
            QUESTIONS.join("/")
        )
    }
}
