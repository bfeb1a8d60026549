//! Command `completion`.

use anyhow::Result;
use clap::{Args as Arguments, CommandFactory, ValueEnum};
use clap_complete::Shell;

use crate::outcome::Outcome;
use crate::output::print;

/// Arguments of `completion`.
#[derive(Arguments)]
pub(crate) struct Completion {
    /// Shell, or kubectl.
    #[arg(value_enum)]
    target: Target,
}

#[derive(Clone, Copy, ValueEnum)]
enum Target {
    Bash,
    Zsh,
    Fish,
    Kubectl,
}

/// Command that kubectl runs for the completion of a plugin. Its last line is the directive of cobra: no file names.
const KUBECTL: &str = "#!/bin/sh
# Completes `kubectl steamer`. kubectl runs this file with the words of the command line.
exec kubectl-steamer complete-words -- \"$@\"
";

pub(crate) fn run<C: CommandFactory>(arguments: Completion) -> Result<Outcome> {
    let shell = match arguments.target {
        Target::Bash => Shell::Bash,
        Target::Zsh => Shell::Zsh,
        Target::Fish => Shell::Fish,
        Target::Kubectl => return print(KUBECTL).map(|()| Outcome::Good),
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut C::command(), "kubectl-steamer", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(Outcome::Good)
}

/// Words of a command line. The last one is incomplete.
#[derive(Arguments)]
pub(crate) struct Words {
    #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
    words: Vec<String>,
}

/// Writes the candidates for the last word, and the directive of cobra that forbids file names.
pub(crate) fn complete<C: CommandFactory>(words: Words) -> Result<Outcome> {
    let candidates = candidates(&C::command(), &words.words);
    print(&candidates.iter().map(|it| format!("{it}\n")).chain([":4\n".to_owned()]).collect::<String>())?;
    Ok(Outcome::Good)
}

fn candidates(command: &clap::Command, words: &[String]) -> Vec<String> {
    let (last, before) = words.split_last().map_or(("", words), |(last, before)| (last.as_str(), before));
    let mut current = command;
    for word in before {
        current = current.find_subcommand(word).unwrap_or(current);
    }
    let mut all: Vec<String> = if last.starts_with('-') {
        current.get_arguments().filter_map(|it| it.get_long()).map(|long| format!("--{long}")).collect()
    } else {
        current.get_subcommands().filter(|it| !it.is_hide_set()).map(|it| it.get_name().to_owned()).collect()
    };
    all.retain(|candidate| candidate.starts_with(last));
    all
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(&[""], "status step-down")]
    #[case(&["sta"], "status")]
    #[case(&["status", "--"], "--limit")]
    #[case(&["status", "-n", "x", "--l"], "--limit")]
    #[case(&["status", "x"], "")]
    #[case(&[], "status step-down")]
    fn the_last_word_is_completed(#[case] words: &[&str], #[case] expected: &str) {
        let limit = Arg::new("limit").long("limit");
        let command = Command::new("c").subcommands([
            Command::new("status").arg(limit),
            Command::new("step-down"),
            Command::new("hidden").hide(true),
        ]);
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        assert_eq!(candidates(&command, &words).join(" "), expected);
    }
}
