//! Tests that an answer of a proxy in front of OpenBao is a fault, at every endpoint and at logins: nothing counts as absent
//! and nothing as done.

use rstest::rstest;

use crate::hostile::{Server, response};
use crate::leaks::{endpoints, login};
use crate::{Client, Error, Identity};

#[rstest]
#[case::default_backend(404, "text/html", "default backend - 404")]
#[case::page(404, "text/html", "<html>404</html>")]
#[case::gateway(404, "application/json", r#"{"message":"no Route matched with those values"}"#)]
#[case::empty_object(404, "application/json", "{}")]
#[case::other_errors(404, "application/json", r#"{"errors":[{"code":404}]}"#)]
#[case::nothing(404, "text/plain", "")]
#[case::login_page(200, "text/html", "<html>sign in</html>")]
#[case::status_page(200, "application/json", r#"{"status":"ok"}"#)]
#[case::list(200, "application/json", r#"["ok"]"#)]
#[case::text(200, "application/json", r#""ok""#)]
#[case::empty(200, "text/plain", "")]
#[case::accepted(202, "text/plain", "")]
#[case::firewall(403, "text/html", "<html>blocked</html>")]
#[case::gone(410, "text/html", "<html>")]
#[tokio::test]
async fn an_answer_of_a_proxy_is_a_fault_at_every_endpoint(
    #[case] status: u16,
    #[case] kind: &str,
    #[case] body: &str,
) {
    let server = Server::fixed(response(status, kind, body));
    let client = Client::new(&server.settings()).unwrap();
    let token = client.session(Identity::Token("t".to_owned().into()));
    for (index, call) in endpoints(&token).into_iter().enumerate() {
        let result = call.await;
        assert!(matches!(result, Err(Error::Foreign { .. })), "endpoint {index}: {result:?}");
    }
    let result = client.session(login()).mounts().await;
    assert!(matches!(result, Err(Error::Foreign { .. })), "login: {result:?}");
}
