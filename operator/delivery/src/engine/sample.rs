//! Logins and servers for unit tests.

use std::io::{Read as _, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use steamer_core::access::sessions::{CredentialOwner, LoginKey, LoginMethod, ServerKey};
use steamer_openbao::{Client, Identity, NamespacePath, Outgoing, Settings};
use steamer_runtime::ObjectName;

use super::readings::Reader;

/// A login with a role.
pub(crate) fn login(role: &str, inline: bool) -> Arc<LoginKey> {
    Arc::new(LoginKey {
        server: ServerKey::default(),
        namespace: NamespacePath::default(),
        mount: "kubernetes".to_owned(),
        method: LoginMethod::default(),
        role: role.to_owned(),
        inline,
        owner: CredentialOwner::Secret(ObjectName::default(), String::new()),
    })
}

/// Starts a server. `answer` returns the status and the body of a response to the request of a path.
pub(super) fn serve<S: Send + 'static>(
    state: S,
    answer: fn(&mut S, &str) -> (u16, String),
) -> (Arc<Mutex<S>>, Reader) {
    let state = Arc::new(Mutex::new(state));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addresses = vec![format!("http://{}", listener.local_addr().unwrap())];
    let served = state.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = respond(stream.unwrap(), |path| answer(&mut served.lock().unwrap(), path));
        }
    });
    let settings = Settings { addresses, outgoing: Outgoing::LOOPBACK, ..Settings::default() };
    let session = Client::new(&settings).unwrap().session(Identity::Token("t".to_owned().into()));
    (state, Reader { session: session.clone(), token: session })
}

fn respond(mut stream: TcpStream, answer: impl FnOnce(&str) -> (u16, String)) -> std::io::Result<()> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let (status, body) = answer(head.split(' ').nth(1).unwrap_or_default());
    let length = body.len();
    write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}
