//! Tests of logins against a small HTTP server with the rules of OpenBao.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::Mutex as Locked;

use rstest::rstest;
use serde_json::Value;

use super::*;
use crate::CredentialError;
use crate::{Identity, Outgoing, Session, Settings};

/// State of the server: tokens that it accepts, JWTs that it accepts, and the requests that it received.
#[derive(Default)]
struct Server {
    /// A login requires this JWT. Its token is `token of <jwt>`.
    jwt: String,
    /// The policy of new tokens denies reads.
    denies: bool,
    revoked: Vec<String>,
    asked: Vec<String>,
}

impl Server {
    fn answer(&mut self, path: &str, headers: &[String], body: &str) -> (u16, &'static str, String) {
        let header = |name: &str| {
            let found = headers.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            found.unwrap_or_default().trim().to_owned()
        };
        let kind = path.rsplit('/').next().unwrap_or_default().to_owned();
        self.asked.push(kind.clone());
        let token = header("x-vault-token");
        let inline = header("x-vault-inline-auth-parameter-jwt");
        let expected = URL_SAFE_NO_PAD.encode(json!({"key": "jwt", "value": self.jwt}).to_string());
        match kind.as_str() {
            "lookup-self" if token == format!("token of {}", self.jwt) => {
                (200, "", json!({"data": {"ttl": 3600, "renewable": false}}).to_string())
            }
            "login" if body.contains(&format!("\"{}\"", self.jwt)) => {
                let auth = json!({"client_token": format!("token of {}", self.jwt), "lease_duration": 3600});
                (200, "", json!({"auth": auth}).to_string())
            }
            "app" | "login" if body.contains("wrong horse") => {
                (400, "", r#"{"errors":["wrong horse is refused"]}"#.to_owned())
            }
            "revoke-self" => {
                self.revoked.push(token);
                (204, "", String::new())
            }
            "read" if !inline.is_empty() && inline != expected => (
                403,
                "x-vault-inline-auth-failed: true\r\n",
                r#"{"errors":["permission denied"]}"#.to_owned(),
            ),
            "read" if !self.denies && (inline == expected || token == format!("token of {}", self.jwt)) => {
                (200, "", r#"{"data":{}}"#.to_owned())
            }
            "capabilities-self" if token == format!("token of {}", self.jwt) => {
                (200, "", json!({"data": {"kv/read": ["read"]}}).to_string())
            }
            // OpenBao answers so if the token is revoked after its check.
            "capabilities-self" => {
                (400, "", r#"{"errors":["1 error occurred: * invalid token"]}"#.to_owned())
            }
            _ => (403, "", r#"{"errors":["permission denied"]}"#.to_owned()),
        }
    }

    fn count(&self, kind: &str) -> usize {
        self.asked.iter().filter(|asked| *asked == kind).count()
    }
}

fn serve(stream: TcpStream, server: &Locked<Server>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
            if line.trim().is_empty() {
                break;
            }
            lines.push(line.trim().to_owned());
        }
        let length = lines.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body).ok()?;
        let path = lines[0].split(' ').nth(1)?.to_owned();
        let (status, header, text) =
            server.lock().unwrap().answer(&path, &lines, &String::from_utf8_lossy(&body));
        let head = format!("HTTP/1.1 {status} X\r\n{header}content-length: {}\r\n\r\n", text.len());
        (&stream).write_all((head + &text).as_bytes()).ok()?;
    }
}

fn start(jwt: &str) -> (Arc<Locked<Server>>, Client) {
    let server = Arc::new(Locked::new(Server { jwt: jwt.to_owned(), ..Server::default() }));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let shared = server.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let server = shared.clone();
            std::thread::spawn(move || serve(stream, &server));
        }
    });
    let settings = Settings {
        addresses: vec![address],
        patience: Some(Duration::ZERO),
        outgoing: Outgoing::LOOPBACK,
        ..Settings::default()
    };
    (server, Client::new(&settings).unwrap())
}

/// JWTs `jwt-0`, `jwt-1`, ...: a cached one is discarded on request.
#[derive(Default)]
struct Jwts(Locked<State>);

#[derive(Default)]
struct State {
    requested: usize,
    held: Option<(String, usize)>,
}

impl Credential for Jwts {
    fn secret(&self) -> Pin<Box<dyn Future<Output = Result<SecretString, CredentialError>> + Send + '_>> {
        let mut state = self.0.lock().unwrap();
        let (jwt, uses) = state.held.take().unwrap_or_else(|| {
            state.requested += 1;
            (format!("jwt-{}", state.requested - 1), 0)
        });
        state.held = Some((jwt.clone(), uses + 1));
        Box::pin(std::future::ready(Ok(jwt.into())))
    }

    fn discard(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        let uses = self.0.lock().unwrap().held.take().map_or(0, |(_, uses)| uses);
        Box::pin(std::future::ready(uses > 1))
    }
}

fn session(client: &Client, presentation: Presentation) -> (Arc<Jwts>, Session) {
    let credential = Arc::new(Jwts::default());
    let login = Login {
        namespace: NamespacePath::root(),
        mount: "kubernetes".to_owned(),
        role: "app".to_owned(),
        kind: LoginKind::Role,
        params: BTreeMap::new(),
        presentation,
        credential: credential.clone(),
    };
    (credential, client.session(Identity::login(login)))
}

async fn read(session: &Session) -> Result<Value, Error> {
    session.request_any(reqwest::Method::GET, "kv/read", None).await
}

#[rstest]
#[case::token(Presentation::Token)]
#[case::inline(Presentation::Inline)]
#[tokio::test]
async fn a_denied_request_is_repeated_once_with_a_new_jwt_whatever_the_age_of_the_old_one(
    #[case] presentation: Presentation,
) {
    let (server, client) = start("jwt-0");
    let (jwts, session) = session(&client, presentation);
    read(&session).await.unwrap();
    // The ServiceAccount was recreated: tokens and JWTs of the old one are worthless.
    server.lock().unwrap().jwt = "jwt-1".to_owned();
    read(&session).await.unwrap();
    assert_eq!(jwts.0.lock().unwrap().requested, 2);
}

#[tokio::test]
async fn capabilities_are_read_with_the_token_that_replaces_a_revoked_one() {
    let (server, client) = start("jwt-0");
    let session = session(&client, Presentation::Token).1;
    read(&session).await.unwrap();
    server.lock().unwrap().jwt = "jwt-1".to_owned();
    let held = session.capabilities(&["kv/read".to_owned()]).await.unwrap();
    assert_eq!(held["kv/read"], ["read"]);
}

#[rstest]
#[case::token(Presentation::Token)]
#[case::inline(Presentation::Inline)]
#[tokio::test]
async fn concurrent_requests_survive_the_replacement_of_token_and_jwt(#[case] presentation: Presentation) {
    let (server, client) = start("jwt-0");
    let (jwts, session) = session(&client, presentation);
    read(&session).await.unwrap();
    server.lock().unwrap().jwt = "jwt-1".to_owned();
    let (a, b, c, d) = tokio::join!(read(&session), read(&session), read(&session), read(&session));
    for result in [a, b, c, d] {
        result.unwrap();
    }
    assert_eq!(jwts.0.lock().unwrap().requested, 2);
}

#[tokio::test]
async fn logins_that_denied_requests_cause_are_limited() {
    let (server, client) = start("jwt-0");
    let (jwts, session) = session(&client, Presentation::Token);
    read(&session).await.unwrap();
    server.lock().unwrap().denies = true;
    server.lock().unwrap().jwt = "jwt-1".to_owned();
    for _ in 0..50 {
        assert!(matches!(read(&session).await, Err(Error::Denied { .. })));
    }
    let server = server.lock().unwrap();
    assert_eq!((server.count("login"), jwts.0.lock().unwrap().requested), (2, 2));
    // The replaced token does not stay valid until it expires.
    assert_eq!(server.revoked, ["token of jwt-0"]);
}

#[tokio::test]
async fn a_rejected_login_is_tried_with_a_new_jwt_and_then_shared_for_a_while() {
    let (server, client) = start("jwt-1");
    let (jwts, session) = session(&client, Presentation::Token);
    // A JWT that another login obtained earlier.
    drop(jwts.secret().await);
    read(&session).await.unwrap();
    assert_eq!(server.lock().unwrap().count("login"), 2);
    server.lock().unwrap().jwt = "another".to_owned();
    for _ in 0..50 {
        assert!(read(&session).await.is_err());
    }
    assert!(server.lock().unwrap().count("login") <= 4, "{:?}", server.lock().unwrap().asked);
    // It recovers within the pause.
    let next = format!("jwt-{}", jwts.0.lock().unwrap().requested);
    server.lock().unwrap().jwt = next;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    read(&session).await.unwrap();
}

/// A secret that is never replaced.
struct Fixed(&'static str);

impl Credential for Fixed {
    fn secret(&self) -> Pin<Box<dyn Future<Output = Result<SecretString, CredentialError>> + Send + '_>> {
        Box::pin(std::future::ready(Ok(self.0.to_owned().into())))
    }

    fn discard(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(std::future::ready(false))
    }
}

fn fixed(client: &Client, kind: LoginKind, secret: &'static str) -> Session {
    let login = Login {
        namespace: NamespacePath::root(),
        mount: "m".to_owned(),
        role: "app".to_owned(),
        kind,
        params: BTreeMap::from([
            ("zone".to_owned(), "a".to_owned()),
            ("password".to_owned(), "b".to_owned()),
        ]),
        presentation: Presentation::Token,
        credential: Arc::new(Fixed(secret)),
    };
    client.session(Identity::login(login))
}

#[rstest]
#[case::password(LoginKind::Password)]
#[case::app_role(LoginKind::AppRole)]
#[tokio::test]
async fn a_refused_credential_is_tried_once(#[case] kind: LoginKind) {
    let (server, client) = start("correct horse");
    let session = fixed(&client, kind, "wrong horse");
    for _ in 0..20 {
        let error = read(&session).await.unwrap_err().to_string();
        assert!(
            error.contains("*** is refused; Steamer tries this credential again after 30 minutes"),
            "{error}"
        );
    }
    let logins = server.lock().unwrap().asked.iter().filter(|asked| *asked != "read").count();
    assert_eq!(logins, 1);
}

#[tokio::test]
async fn an_existing_token_is_looked_up_once_and_never_revoked() {
    let (server, client) = start("x");
    let session = fixed(&client, LoginKind::Token, "token of x");
    read(&session).await.unwrap();
    read(&session).await.unwrap();
    server.lock().unwrap().denies = true;
    assert!(matches!(read(&session).await, Err(Error::Denied { .. })));
    session.revoke().await;
    let other = fixed(&client, LoginKind::Token, "token of y");
    let refused = read(&other).await.unwrap_err().to_string();
    assert!(refused.contains("auth/token/lookup-self: the token is not valid"), "{refused}");
    let server = server.lock().unwrap();
    assert_eq!((server.count("lookup-self"), server.count("login"), server.revoked.len()), (3, 0, 0));
}

#[test]
fn parameters_of_the_method_come_first_and_inline_headers_have_unique_names() {
    let (_, client) = start("x");
    let session = fixed(&client, LoginKind::Password, "p");
    let Identity::Login(state) = session.identity() else { panic!("no login") };
    let parameters = state.login.parameters(&"p".to_owned().into());
    let expected = [("password", "p"), ("zone", "a")];
    assert!(parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(expected));
    assert_eq!(header_part("jwt"), "jwt");
    assert_ne!(header_part("a_b"), header_part("a-b"));
}

#[test]
fn a_message_does_not_repeat_the_secret() {
    assert_eq!(without("hunter22", "hunter22 is wrong"), "*** is wrong");
    assert_eq!(without("", "wrong"), "wrong");
}
