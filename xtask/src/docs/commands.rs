//! Reference of the kubectl plugin, generated from its arguments.

use std::fmt::Write;

use clap::{Arg, Command};

/// The page of a command line.
pub(super) fn page(root: &Command) -> String {
    let mut text = format!("# kubectl steamer\n\n{}\n", about(root));
    for command in
        root.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help")
    {
        let _ = write!(text, "\n## {}\n\n{}\n", command.get_name(), about(command));
        let _ = write!(text, "\n```text\n{}\n```\n", usage(command));
        let arguments: Vec<&Arg> = command.get_arguments().filter(|argument| is_shown(argument)).collect();
        if !arguments.is_empty() {
            text.push_str("\n| argument | description |\n|---|---|\n");
        }
        for argument in arguments {
            let _ = writeln!(text, "| {} | {} |", name(argument), description(argument));
        }
    }
    text
}

fn is_shown(argument: &Arg) -> bool {
    !argument.is_hide_set() && !["help", "version"].contains(&argument.get_id().as_str())
}

/// The description of a command, with each paragraph on one line.
fn about(command: &Command) -> String {
    let short = command.get_about().map(ToString::to_string).unwrap_or_default();
    let long = command.get_long_about().map(ToString::to_string).unwrap_or_default();
    let parts: Vec<String> = [short.clone()]
        .into_iter()
        .chain(long.split("\n\n").map(str::to_owned))
        .map(|part| sentence(part.split_whitespace().collect::<Vec<_>>().join(" ")))
        .filter(|part| !part.is_empty())
        .collect();
    let mut unique: Vec<String> = Vec::new();
    for part in parts {
        if !unique.contains(&part) {
            unique.push(part);
        }
    }
    unique.join("\n\n")
}

/// clap removes the last period of a first paragraph.
fn sentence(text: String) -> String {
    if text.is_empty() || text.ends_with(['.', ':']) { text } else { text + "." }
}

fn usage(command: &Command) -> String {
    let positional = command.get_positionals().filter(|argument| is_shown(argument)).map(|argument| {
        let name = value_name(argument);
        let dots =
            if argument.get_num_args().is_some_and(|range| range.max_values() > 1) { "..." } else { "" };
        if argument.is_required_set() { format!(" <{name}>{dots}") } else { format!(" [{name}]{dots}") }
    });
    format!("kubectl steamer {}{} [options]", command.get_name(), positional.collect::<String>())
}

fn value_name(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    names.first().map_or_else(|| argument.get_id().to_string().to_uppercase(), ToString::to_string)
}

fn name(argument: &Arg) -> String {
    let value = if argument.get_action().takes_values() {
        format!(" <{}>", value_name(argument))
    } else {
        String::new()
    };
    match (argument.get_long(), argument.get_short()) {
        (Some(long), Some(short)) => format!("`-{short}`, `--{long}{value}`"),
        (Some(long), None) => format!("`--{long}{value}`"),
        _ => format!("`{}`", value_name(argument)),
    }
}

fn description(argument: &Arg) -> String {
    let help = argument.get_long_help().or_else(|| argument.get_help()).map(ToString::to_string);
    let mut text = sentence(help.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" "));
    let values: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter(|_| argument.get_action().takes_values())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if !values.is_empty() {
        let _ = write!(text, " One of {}.", values.join(", "));
    }
    let defaults: Vec<String> =
        argument.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
    if !defaults.is_empty() && argument.get_action().takes_values() {
        let _ = write!(text, " Default: {}.", defaults.join(", "));
    }
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_and_argument_is_described() {
        let root = steamer_cli::command();
        let page = page(&root);
        for command in root.get_subcommands().filter(|command| !command.is_hide_set()) {
            assert!(page.contains(&format!("\n## {}\n\n", command.get_name())), "{}", command.get_name());
            for argument in command.get_arguments().filter(|argument| is_shown(argument)) {
                let text = description(argument);
                assert!(text.len() > 10, "{} {} has no description", command.get_name(), argument.get_id());
            }
        }
    }
}
