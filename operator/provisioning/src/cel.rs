//! Parts of the CEL programs of logins.

use std::time::Duration;

use serde_json::json;
use steamer_openbao::{CelProgram, CelRole, CelVariable};

/// A reason to reject a login.
pub(crate) struct Check {
    /// CEL expression that is true for a rejected token.
    pub(crate) rejects: String,
    /// Message for the owner of the token.
    pub(crate) message: &'static str,
}

/// Lifetime of OpenBao tokens and tolerance for JWTs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetime {
    /// Longest lifetime of an OpenBao token.
    pub(crate) ttl: Duration,
    /// Allowed clock skew.
    pub(crate) leeway: Duration,
}

impl Lifetime {
    fn leeway_seconds(&self) -> i64 {
        i64::try_from(self.leeway.as_secs()).unwrap_or(60).max(1)
    }

    /// Variable `seconds`: the lifetime of the token. The token ends no later than OpenBao would accept its JWT.
    fn variables(&self) -> [CelVariable; 3] {
        let (ttl, leeway) = (self.ttl.as_secs().max(1), self.leeway_seconds());
        let exp = r#"claims[?"exp"].orValue(0)"#;
        let has_end = format!("(type({exp}) == double || type({exp}) == int) && int({exp}) > 0");
        [
            variable("has_end", has_end),
            variable("left", format!("has_end ? int({exp}) + {leeway} - int(now) : -1")),
            variable("seconds", format!("left < 1 ? 1 : (left < {ttl} ? left : {ttl})")),
        ]
    }

    /// Rejects a JWT that never ends.
    pub(crate) fn check() -> Check {
        Check { rejects: "!has_end".to_owned(), message: "the token has no exp" }
    }

    /// The role of a program.
    pub(crate) fn role(
        &self,
        audiences: &[String],
        variables: Vec<CelVariable>,
        expression: String,
    ) -> CelRole {
        let leeway = self.leeway_seconds();
        let variables = variables.into_iter().chain(self.variables()).collect();
        CelRole {
            cel_program: CelProgram { variables, expression },
            bound_audiences: audiences.to_vec(),
            clock_skew_leeway: leeway,
            expiration_leeway: leeway,
            not_before_leeway: leeway,
        }
    }
}

pub(crate) fn variable(name: &str, expression: String) -> CelVariable {
    CelVariable { name: name.to_owned(), expression }
}

/// A text as a CEL literal.
pub(crate) fn literal(text: &str) -> String {
    json!(text).to_string()
}

/// A claim as text. Empty if the claim is absent or has no text: `string` of a list, a map or null would end the login
/// with an error that contains the program.
pub(crate) fn text(claim: &str) -> String {
    scalar(&format!("claims[?{}].orValue(\"\")", literal(claim)))
}

/// The text of a claim that not every issuer has.
pub(crate) fn optional_text(claim: Option<&str>) -> String {
    claim.map_or_else(|| "\"\"".to_owned(), text)
}

/// A CEL expression: a value as text, or the empty text for a value without text. Numbers of a JWT are doubles, whose text
/// has an exponent from a million on, so that integers are converted first.
pub(crate) fn scalar(value: &str) -> String {
    let types = ["string", "double", "int", "uint", "bool"];
    let checks = types.map(|kind| format!("type({value}) == {kind}")).join(" || ");
    let most = "9007199254740992.0";
    let integer = format!(
        "type({value}) == double && {value} > -{most} && {value} < {most} && {value} == double(int({value}))"
    );
    format!(r#"({integer} ? string(int({value})) : {checks} ? string({value}) : "")"#)
}

/// The decision: the message of the first check that rejects the token, otherwise `granted`.
pub(crate) fn decision(checks: impl IntoIterator<Item = Check>, granted: &str) -> String {
    let checks =
        checks.into_iter().map(|Check { rejects, message }| format!("{rejects} ? {} : ", literal(message)));
    checks.collect::<String>() + granted
}

/// What a login grants.
pub(crate) struct Granted<'a> {
    /// CEL expression of the name that the audit log shows.
    pub(crate) display_name: &'a str,
    /// CEL expression of the alias of the identity.
    pub(crate) alias: &'a str,
    /// CEL expression of the names of the policies.
    pub(crate) policies: &'a str,
    /// Metadata of the token: name and CEL expression.
    pub(crate) metadata: Vec<(&'static str, String)>,
    /// Networks from which the token can be used. Empty: any.
    pub(crate) bound_cidrs: &'a [String],
}

impl Granted<'_> {
    /// The CEL expression. Batch tokens are not stored: only the first login of an identity writes to OpenBao.
    pub(crate) fn expression(&self) -> String {
        let Self { display_name, alias, policies, metadata, bound_cidrs } = self;
        let metadata = metadata.iter().map(|(name, expression)| format!("\"{name}\": {expression}"));
        let bound = match bound_cidrs {
            [] => String::new(),
            networks => format!("bound_cidrs: {}, ", json!(networks)),
        };
        format!(
            "pb.Auth{{display_name: {display_name}, policies: {policies}, no_default_policy: true, token_type: 2u, {bound}\
             alias: logical.Alias{{name: {alias}}}, \
             lease_options: pb.LeaseOptions{{TTL: seconds * 1000000000, MaxTTL: seconds * 1000000000, issue_time: now}}, \
             metadata: {{{}}}}}",
            metadata.collect::<Vec<_>>().join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_ends_with_its_jwt_and_no_later_than_its_ttl() {
        let lifetime = Lifetime { ttl: Duration::from_secs(300), leeway: Duration::from_secs(60) };
        let role = lifetime.role(&["a".to_owned()], Vec::new(), "false".to_owned());
        let variables: Vec<String> =
            role.cel_program.variables.iter().map(|it| format!("{} = {}", it.name, it.expression)).collect();
        insta::assert_snapshot!(variables.join("\n"));
    }

    #[test]
    fn a_literal_cannot_end_its_string() {
        assert_eq!(literal("a\"\\\n"), r#""a\"\\\n""#);
    }

    #[test]
    fn networks_are_part_of_the_token_only_if_there_are_any() {
        let granted = |bound_cidrs: &[String]| {
            let metadata = vec![("user_id", "user_id".to_owned())];
            let expressions = ("\"x\"", "[]");
            let (display_name, policies) = expressions;
            Granted { display_name, alias: display_name, policies, metadata, bound_cidrs }.expression()
        };
        assert!(!granted(&[]).contains("bound_cidrs"));
        assert!(granted(&["10.0.0.0/8".to_owned()]).contains(r#"bound_cidrs: ["10.0.0.0/8"], alias"#));
    }
}
