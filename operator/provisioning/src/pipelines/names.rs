//! Names that branches and environments can have. A pattern that no name can match is a mistake, such as a regular
//! expression.

/// Advice of every message.
const ADVICE: &str = "only `*` has a special meaning in a pattern";

/// The mistake in a pattern for branches, by the rules of `git check-ref-format`. `|` and a leading `!` are allowed in
/// the name of a branch, but in a pattern they are mistakes; a `*` matches them.
pub(crate) fn branch_mistake(pattern: &str) -> Option<String> {
    let wrong = |character: &char| character.is_ascii_control() || " ~^:?[\\|".contains(*character);
    if let Some(character) = pattern.chars().find(wrong) {
        return Some(mistake("branches", pattern, &format!("contain {character:?}")));
    }
    let contained = ["..", "//", "@{", "/.", ".lock/"].into_iter().find(|part| pattern.contains(part));
    let first = ["/", ".", "-", "!"].into_iter().find(|part| pattern.starts_with(part));
    let last = ["/", ".", ".lock"].into_iter().find(|part| pattern.ends_with(part));
    let rule = contained
        .map(|part| format!("contain `{part}`"))
        .or_else(|| first.map(|part| format!("start with `{part}`")))
        .or_else(|| last.map(|part| format!("end with `{part}`")))
        .or_else(|| (pattern == "@").then(|| "be `@`".to_owned()))?;
    Some(mistake("branches", pattern, &rule))
}

/// The mistake in a pattern for environments, by the rules of GitLab.
pub(crate) fn environment_mistake(pattern: &str) -> Option<String> {
    let wrong = |character: &char| !character.is_ascii_alphanumeric() && !"_-/${}. *".contains(*character);
    let rule = match pattern.chars().find(wrong) {
        Some(character) => format!("contain {character:?}"),
        None if pattern.starts_with('/') => "start with `/`".to_owned(),
        None if pattern.ends_with('/') => "end with `/`".to_owned(),
        None => return None,
    };
    Some(mistake("environments", pattern, &rule))
}

fn mistake(field: &str, pattern: &str, rule: &str) -> String {
    let kind = if field == "branches" { "a branch" } else { "an environment" };
    format!("the pattern {pattern:?} in {field} cannot match: the name of {kind} cannot {rule}, and {ADVICE}",)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("release-[0-9]+", "contain '['")]
    #[case("^main$", "contain '^'")]
    #[case("hotfix-?", "contain '?'")]
    #[case("main|develop", "contain '|'")]
    #[case("!main", "start with `!`")]
    #[case("main~1", "contain '~'")]
    #[case("a..b", "contain `..`")]
    #[case("/main", "start with `/`")]
    #[case("main ", "contain ' '")]
    #[case("main\n", "contain '\\n'")]
    #[case("release/", "end with `/`")]
    #[case("a//b", "contain `//`")]
    #[case("a/.b", "contain `/.`")]
    #[case("*.lock", "end with `.lock`")]
    #[case("a.lock/*", "contain `.lock/`")]
    #[case("x@{1}", "contain `@{`")]
    #[case("@", "be `@`")]
    #[case("-x", "start with `-`")]
    fn a_pattern_that_no_branch_matches_is_a_mistake(#[case] pattern: &str, #[case] rule: &str) {
        let found = branch_mistake(pattern).unwrap_or_default();
        assert!(found.contains(&format!("the name of a branch cannot {rule}, and only `*`")), "{found}");
    }

    #[rstest]
    #[case("(prod|staging)", "contain '('")]
    #[case("prod|staging", "contain '|'")]
    #[case("^production$", "contain '^'")]
    #[case("review/[a-z]", "contain '['")]
    #[case("prod\n", "contain '\\n'")]
    #[case("/prod", "start with `/`")]
    #[case("prod/", "end with `/`")]
    #[case("ü", "contain 'ü'")]
    fn a_pattern_that_no_environment_matches_is_a_mistake(#[case] pattern: &str, #[case] rule: &str) {
        let found = environment_mistake(pattern).unwrap_or_default();
        assert!(
            found.contains(&format!("the name of an environment cannot {rule}, and only `*`")),
            "{found}"
        );
    }

    #[rstest]
    #[case("main")]
    #[case("*")]
    #[case("release/*")]
    #[case("*/x")]
    #[case("feature/a+b(c)#1")]
    #[case("fix!it")]
    #[case("v1.2")]
    #[case("ü")]
    #[case("a@b")]
    fn other_patterns_for_branches_are_accepted(#[case] pattern: &str) {
        assert_eq!(branch_mistake(pattern), None);
    }

    #[rstest]
    #[case("production")]
    #[case("review/*")]
    #[case("*/prod")]
    #[case("eu west 1.2_x-${A}")]
    fn other_patterns_for_environments_are_accepted(#[case] pattern: &str) {
        assert_eq!(environment_mistake(pattern), None);
    }
}
