//! Policies that no login and no group may give.

use steamer_core::error::Error;
use steamer_core::layout::reserved_policies;

/// The policies that no login may give, in the root namespace or in another one.
pub(crate) fn reserved(is_root: bool) -> Vec<&'static str> {
    if is_root { reserved_policies().to_vec() } else { vec!["root"] }
}

/// Refuses a policy that gives the rights of the root token or of the operator. A name can contain templates, as `{{x}}`, whose
/// text the login decides. `granter` is the subject of the message, such as `the role`.
///
/// # Errors
/// [`Error::Invalid`]
pub(crate) fn refuse(policy: &str, is_root: bool, granter: &str) -> Result<(), Error> {
    // OpenBao changes names to lower case and removes blanks.
    let name = policy.trim().to_lowercase();
    let pattern = with_wildcards(&name);
    let Some(reserved) = reserved(is_root).into_iter().find(|reserved| matches(&pattern, reserved)) else {
        return Ok(());
    };
    let remedy = if pattern != name {
        format!("it can become {reserved}: start it with a fixed text, such as team-")
    } else if name == "root" {
        "no login may give the rights of the root token".to_owned()
    } else {
        "it belongs to the operator".to_owned()
    };
    Err(Error::Invalid(format!(
        "{granter} must not grant policy {name}: {remedy}; write a BaoPolicy with the paths that are needed"
    )))
}

/// The name with `*` instead of each template.
fn with_wildcards(name: &str) -> String {
    let mut pattern = String::new();
    let mut rest = name;
    while let Some((before, template)) = rest.split_once("{{") {
        let Some((_, after)) = template.split_once("}}") else {
            break;
        };
        pattern.push_str(before);
        pattern.push('*');
        rest = after;
    }
    pattern + rest
}

/// Returns true if `*` in a pattern can match so that the pattern is `name`.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let pattern = pattern.to_lowercase();
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut left) = name.strip_prefix(first) else {
        return false;
    };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        let Some(at) = left.find(part) else {
            return false;
        };
        left = &left[at + part.len()..];
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::root("root", true, true)]
    #[case::other_case(" Root ", true, true)]
    #[case::root_elsewhere("root", false, true)]
    #[case::operator("steamer", true, true)]
    #[case::operator_in_other_case("Steamer", true, true)]
    #[case::mark("steamer-mark", true, true)]
    #[case::same_name_elsewhere("steamer", false, false)]
    #[case::whole_template("{{claims.policy}}", false, true)]
    #[case::end_of_the_operator("{{x}}er", true, true)]
    #[case::start_of_root("ro{{x}}", false, true)]
    #[case::several_templates("{{x}}oo{{y}}", false, true)]
    #[case::template_that_is_not_closed("{{x", false, false)]
    #[case::fixed_start("team-{{claims.team}}", true, false)]
    #[case::fixed_end("{{claims.team}}-read", true, false)]
    #[case::own("web", true, false)]
    fn no_policy_gives_the_rights_of_root_or_the_operator(
        #[case] policy: &str,
        #[case] is_root: bool,
        #[case] refused: bool,
    ) {
        assert_eq!(refuse(policy, is_root, "the role").is_err(), refused);
    }

    #[rstest]
    #[case("*", true)]
    #[case("root", true)]
    #[case("r*t", true)]
    #[case("r**o*", true)]
    #[case("*oo*", true)]
    #[case("web-*", false)]
    #[case("*x*", false)]
    #[case("root-*", false)]
    fn a_pattern_matches_root(#[case] pattern: &str, #[case] expected: bool) {
        assert_eq!(matches(pattern, "root"), expected);
    }
}
