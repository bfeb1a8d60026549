//! Objects that are not written because they lack what they need. A role without a binding would admit more clients.

use steamer_convert::Mistake;

use crate::masking::is_binding;
use crate::resource::Class;
use crate::schema::folded;
use crate::spec::Omitted;

/// What an object needs, and does not contain.
pub(crate) fn lost(class: Class, omitted: &Omitted, mistakes: &[Mistake]) -> Option<String> {
    let Omitted { secrets, passwords, unknown } = omitted;
    let parameters = secrets.iter().chain(passwords).chain(unknown);
    let fields = mistakes.iter().map(|mistake| &mistake.path);
    let needed = |name: &&String| match class {
        Class::Role => is_binding(name),
        Class::DynamicRole => folded(name).ends_with("creationstatements"),
        _ => false,
    };
    parameters.chain(fields).find(needed).cloned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Class::Role, "bound_claims.token", true)]
    #[case(Class::Role, "secret_id_bound_cidrs", true)]
    #[case(Class::Role, "allowed_common_names", true)]
    #[case(Class::Role, "kubernetes.serviceAccounts", true)]
    #[case(Class::Role, "token_ttl", false)]
    #[case(Class::DynamicRole, "creation_statements", true)]
    #[case(Class::DynamicRole, "rollback_statements", false)]
    #[case(Class::Method, "config_of_method.bound_issuer", false)]
    fn an_object_without_a_binding_is_not_written(
        #[case] class: Class,
        #[case] parameter: &str,
        #[case] expected: bool,
    ) {
        for place in 0..3 {
            let mut omitted = Omitted::default();
            let lists = [&mut omitted.secrets, &mut omitted.passwords, &mut omitted.unknown];
            lists.into_iter().nth(place).unwrap().push(parameter.to_owned());
            assert_eq!(lost(class, &omitted, &[]).is_some(), expected, "{place}");
        }
    }
}
