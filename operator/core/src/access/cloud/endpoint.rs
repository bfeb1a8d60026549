//! Hosts of the services that exchange tokens, and no hosts that customers of the cloud providers can rent.

use steamer_openbao::Url;

/// Service that exchanges tokens.
#[derive(Clone, Copy, Debug)]
pub(super) enum Service {
    /// STS of AWS.
    AwsSts,
    /// Security Token Service of Google.
    GoogleSts,
    /// IAM Service Account Credentials API of Google.
    GoogleIam,
}

impl Service {
    /// Whether a URL is an endpoint of the service.
    pub(super) fn is_at(self, url: &str) -> bool {
        let Ok(url) = Url::parse(url) else { return false };
        let labels: Vec<&str> = url.host_str().unwrap_or_default().split('.').collect();
        let is_host = match self {
            Self::AwsSts => is_aws(&labels),
            Self::GoogleSts => is_google(&labels, "sts"),
            Self::GoogleIam => is_google(&labels, "iamcredentials"),
        };
        is_host && url.scheme() == "https" && url.port().is_none()
    }
}

fn is_aws(labels: &[&str]) -> bool {
    match labels {
        ["sts", "amazonaws", "com"] => true,
        ["sts" | "sts-fips", region, "amazonaws", "com"]
        | ["sts" | "sts-fips", region, "amazonaws", "com", "cn"]
        | ["sts" | "sts-fips", region, "api", "aws"]
        | [_, "sts", region, "vpce", "amazonaws", "com"]
        | [_, "sts", region, "vpce", "amazonaws", "com", "cn"] => is_region(region),
        _ => false,
    }
}

/// Whether a label is the name of a region, such as `us-gov-west-1`. A bucket of S3 can have the name `sts.s3.amazonaws.com`.
fn is_region(label: &str) -> bool {
    let Some((area, number)) = label.rsplit_once('-') else { return false };
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number && area.contains('-') && area.split('-').all(is_word)
}

fn is_google(labels: &[&str], service: &str) -> bool {
    match labels {
        [first, "googleapis", "com"] | [first, _, "rep", "googleapis", "com"] => *first == service,
        _ => false,
    }
}

/// Host and port of an endpoint, as the header `Host` states them: in lower case, and without the default port of the scheme.
pub(super) fn authority(url: &str) -> String {
    Url::parse(url).map(|url| url.authority().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("https://sts.amazonaws.com", true)]
    #[case("https://sts.amazonaws.com:443/", true)]
    #[case("https://sts.us-east-1.amazonaws.com", true)]
    #[case("https://sts-fips.us-gov-west-1.amazonaws.com", true)]
    #[case("https://sts.cn-north-1.amazonaws.com.cn", true)]
    #[case("https://sts.eu-west-1.api.aws", true)]
    #[case("https://vpce-1-a.sts.eu-west-1.vpce.amazonaws.com", true)]
    #[case::http("http://sts.amazonaws.com", false)]
    #[case::port("https://sts.amazonaws.com:8443", false)]
    #[case::api_of_another_customer("https://x.execute-api.eu-west-1.amazonaws.com", false)]
    #[case::api_with_the_name_of_the_service("https://sts.execute-api.eu-west-1.amazonaws.com", false)]
    #[case::endpoint_of_another_service("https://vpce-1.vpce-svc-1.eu-west-1.vpce.amazonaws.com", false)]
    #[case::endpoint("https://x.vpce.amazonaws.com", false)]
    #[case::bucket("https://sts.s3.amazonaws.com", false)]
    #[case::bucket_of_a_region("https://sts.s3-us-west-2.amazonaws.com", false)]
    #[case::domain("https://amazonaws.com", false)]
    #[case::suffix("https://evilamazonaws.com", false)]
    #[case::subdomain("https://sts.amazonaws.com.example.com", false)]
    #[case::path(r"https://evil.example\.amazonaws.com", false)]
    #[case::path_with_a_slash("https://example.com/.amazonaws.com", false)]
    #[case::query("https://example.com?.amazonaws.com", false)]
    #[case::userinfo("https://sts.amazonaws.com@example.com", false)]
    #[case::no_port("https://example.com:80.amazonaws.com", false)]
    #[case::address("https://127.0.0.1:4566", false)]
    #[case::google("https://sts.googleapis.com", false)]
    fn only_hosts_of_sts_are_endpoints_of_aws(#[case] url: &str, #[case] expected: bool) {
        assert_eq!(Service::AwsSts.is_at(url), expected);
    }

    #[rstest]
    #[case("https://sts.googleapis.com", true, false)]
    #[case("https://sts.europe-west1.rep.googleapis.com", true, false)]
    #[case("https://iamcredentials.googleapis.com", false, true)]
    #[case("https://iamcredentials.europe-west1.rep.googleapis.com", false, true)]
    #[case::private_endpoint("https://sts-evil.p.googleapis.com", false, false)]
    #[case::bucket("https://sts.storage.googleapis.com", false, false)]
    #[case::another_service("https://storage.googleapis.com", false, false)]
    fn only_hosts_of_its_services_are_endpoints_of_google(
        #[case] url: &str,
        #[case] sts: bool,
        #[case] iam: bool,
    ) {
        assert_eq!((Service::GoogleSts.is_at(url), Service::GoogleIam.is_at(url)), (sts, iam));
    }

    #[rstest]
    #[case("https://sts.amazonaws.com", "sts.amazonaws.com")]
    #[case("https://sts.amazonaws.com:443/", "sts.amazonaws.com")]
    #[case("https://localhost:4566/a", "localhost:4566")]
    #[case::port_of_http("http://localhost:80", "localhost")]
    #[case::port_of_the_other_scheme("http://localhost:443/", "localhost:443")]
    #[case::upper_case("HTTPS://STS.Amazonaws.COM/", "sts.amazonaws.com")]
    fn the_authority_is_the_host_header(#[case] url: &str, #[case] expected: &str) {
        assert_eq!(authority(url), expected);
    }
}
