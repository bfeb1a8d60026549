//! Endpoints of cloud providers, as the settings state them.

use steamer_openbao::Url;

use crate::error::Error;

/// An endpoint in its normal form, such as `https://host:8443`. The rules of the schema do not apply to served objects.
///
/// # Errors
/// [`Error::Invalid`] for a URL without encryption, or with more than host and port.
pub(super) fn endpoint((field, text): (&str, &str)) -> Result<String, Error> {
    let url = Url::parse(text).ok().filter(is_endpoint).ok_or_else(|| {
        Error::Invalid(format!("{field} does not result in a URL such as https://host: correct it"))
    })?;
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn is_endpoint(url: &Url) -> bool {
    url.scheme() == "https"
        && (url.username(), url.password(), url.path()) == ("", None, "/")
        && (url.query(), url.fragment()) == (None, None)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("https://sts.example.com", Some("https://sts.example.com"))]
    #[case("https://STS.example.com:443/", Some("https://sts.example.com"))]
    #[case("https://127.0.0.1:4566", Some("https://127.0.0.1:4566"))]
    #[case::http("http://sts.amazonaws.com", None)]
    #[case::path_of_another_host(r"https://evil.example\.amazonaws.com", None)]
    #[case::path("https://sts.example.com/a", None)]
    #[case::query("https://evil.example?.amazonaws.com", None)]
    #[case::fragment("https://sts.evil.example#.amazonaws.com", None)]
    #[case::userinfo("https://sts.amazonaws.com@evil.example", None)]
    #[case::relative("sts.amazonaws.com", None)]
    fn an_endpoint_is_a_host_with_encryption(#[case] text: &str, #[case] expected: Option<&str>) {
        assert_eq!(endpoint(("aws.stsEndpoint", text)).ok().as_deref(), expected);
    }
}
