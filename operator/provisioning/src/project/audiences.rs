//! Audiences of the tokens of CI jobs.

use steamer_api::{JWTIssuer, OpenBaoCluster};
use steamer_core::error::Error;
use steamer_runtime::ObjectName;

/// Suffix of the default audience of ID tokens.
const ID_TOKENS: &str = "id-tokens";

/// Audiences of pipeline tokens.
///
/// # Errors
/// [`Error::Invalid`] without any, because a role without audiences accepts any token of the issuer.
pub(crate) fn pipeline_audiences(issuer: &JWTIssuer, cluster: &OpenBaoCluster) -> Result<Vec<String>, Error> {
    let stated = &issuer.spec.audiences;
    let audiences: Vec<String> = match &cluster.spec.jwt_audience {
        Some(audience) if stated.is_empty() => vec![audience.clone()],
        _ => stated.clone(),
    };
    if audiences.is_empty() {
        return Err(Error::Invalid(format!(
            "JWTIssuer {} has no audiences and OpenBaoCluster {} has no jwtAudience: set one of them; otherwise any token \
             of the issuer would be accepted",
            ObjectName::of(issuer),
            ObjectName::of(cluster)
        )));
    }
    Ok(audiences)
}

/// Audiences of ID tokens. Empty: ID tokens are not accepted.
///
/// # Errors
/// [`Error::Invalid`] for an audience of pipeline tokens.
pub(crate) fn id_token_audiences(
    stated: &[String],
    cluster: &OpenBaoCluster,
    pipelines: &[String],
) -> Result<Vec<String>, Error> {
    let audiences = match &cluster.spec.jwt_audience {
        Some(audience) if stated.is_empty() => {
            vec![format!("{}/{ID_TOKENS}", audience.trim_end_matches('/'))]
        }
        _ => stated.to_vec(),
    };
    match audiences.iter().find(|audience| pipelines.contains(audience)) {
        Some(audience) => Err(Error::Invalid(format!(
            "audience `{audience}` belongs to pipeline tokens, and any user can request an ID token with it: set another \
             audience in pipelineAuth.idTokens.audiences"
        ))),
        None => Ok(audiences),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn issuer(audiences: &[&str]) -> JWTIssuer {
        let spec = json!({"oidcDiscoveryUrl": "https://gitlab", "audiences": audiences});
        let mut issuer = JWTIssuer::new("gitlab", serde_json::from_value(spec).unwrap());
        issuer.metadata.namespace = Some("ns".to_owned());
        issuer
    }

    fn cluster(audience: Option<&str>) -> OpenBaoCluster {
        let external = json!({"address": "https://bao", "managementAuth": {"kubernetes": {"role": "steamer", "audience": "openbao"}}});
        let spec = json!({"external": external, "jwtAudience": audience});
        let mut cluster = OpenBaoCluster::new("main", serde_json::from_value(spec).unwrap());
        cluster.metadata.namespace = Some("ns".to_owned());
        cluster
    }

    const NONE: &str = "JWTIssuer ns/gitlab has no audiences and OpenBaoCluster ns/main has no jwtAudience: set one of \
                        them; otherwise any token of the issuer would be accepted";

    fn text(audiences: Result<Vec<String>, Error>) -> String {
        audiences.map_or_else(|error| error.to_string(), |audiences| audiences.join(" "))
    }

    #[rstest]
    #[case(&["a", "b"], Some("c"), "a b")]
    #[case(&["a"], None, "a")]
    #[case(&[], Some("c"), "c")]
    #[case(&[], None, NONE)]
    fn the_issuer_states_the_audiences_of_pipeline_tokens(
        #[case] stated: &[&str],
        #[case] cluster_audience: Option<&str>,
        #[case] expected: &str,
    ) {
        assert_eq!(text(pipeline_audiences(&issuer(stated), &cluster(cluster_audience))), expected);
    }

    const SHARED: &str = "audience `p` belongs to pipeline tokens, and any user can request an ID token with it: set \
                          another audience in pipelineAuth.idTokens.audiences";

    #[rstest]
    #[case(&[], None, "")]
    #[case(&[], Some("https://bao/"), "https://bao/id-tokens")]
    #[case(&["a"], Some("https://bao"), "a")]
    #[case(&["a", "p"], Some("https://bao"), SHARED)]
    fn id_tokens_have_their_own_audience(
        #[case] stated: &[&str],
        #[case] cluster_audience: Option<&str>,
        #[case] expected: &str,
    ) {
        let stated: Vec<String> = stated.iter().map(|audience| (*audience).to_owned()).collect();
        let audiences = id_token_audiences(&stated, &cluster(cluster_audience), &["p".to_owned()]);
        assert_eq!(text(audiences), expected);
    }
}
