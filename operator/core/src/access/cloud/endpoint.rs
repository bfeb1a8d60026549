//! Endpoints of cloud providers.

/// Domains of AWS.
pub(super) const AWS: &[&str] = &["amazonaws.com", "amazonaws.com.cn", "api.aws"];
/// Domains of Google Cloud.
pub(super) const GOOGLE: &[&str] = &["googleapis.com"];

/// Whether the host of a URL is in one of the domains.
pub(super) fn is_within(url: &str, domains: &[&str]) -> bool {
    domains.iter().any(|domain| host(url).strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')))
}

/// Host and port of a URL, as the header `Host` states them: without the port of https.
pub(super) fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.strip_suffix(":443").unwrap_or(authority)
}

fn host(url: &str) -> &str {
    let authority = authority(url);
    authority.split_once(':').map_or(authority, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("https://sts.us-east-1.amazonaws.com", true)]
    #[case("https://sts.amazonaws.com:443/", true)]
    #[case("https://sts.cn-north-1.amazonaws.com.cn", true)]
    #[case("https://x.vpce.amazonaws.com", true)]
    #[case("https://amazonaws.com", false)]
    #[case("https://evilamazonaws.com", false)]
    #[case("https://sts.amazonaws.com.example.com", false)]
    #[case("https://example.com/.amazonaws.com", false)]
    #[case("https://example.com?.amazonaws.com", false)]
    #[case("https://example.com:80.amazonaws.com", false)]
    #[case("https://127.0.0.1:4566", false)]
    fn only_hosts_of_the_provider_are_within_its_domains(#[case] url: &str, #[case] expected: bool) {
        assert_eq!(is_within(url, AWS), expected);
    }

    #[rstest]
    #[case("https://sts.amazonaws.com", "sts.amazonaws.com")]
    #[case("https://sts.amazonaws.com:443/", "sts.amazonaws.com")]
    #[case("https://localhost:4566/a", "localhost:4566")]
    fn the_authority_is_the_host_header(#[case] url: &str, #[case] expected: &str) {
        assert_eq!(authority(url), expected);
    }
}
