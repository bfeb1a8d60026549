//! A connection of a reader. It occupies one of the places. Without an authorized request it ends after seconds, so that
//! connections of others do not keep the operator out.

use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::place::Place;

/// Longest duration of a connection with an authorized request.
const LONGEST: Duration = Duration::from_secs(300);

/// A stream with or without TLS.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Whether a request of a connection was authorized.
#[derive(Clone, Default)]
pub(crate) struct Authorized(Arc<AtomicBool>);

impl Authorized {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    end: Pin<Box<Sleep>>,
    /// End of a connection with an authorized request.
    longest: Instant,
    pub(crate) authorized: Authorized,
    place: Place,
}

impl Connection {
    /// A connection that ends at `end` unless a request is authorized until then.
    pub(crate) fn new(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        place: Place,
        end: Instant,
    ) -> Self {
        Self {
            stream: Box::new(stream),
            end: Box::pin(tokio::time::sleep_until(end)),
            longest: Instant::now() + LONGEST,
            authorized: Authorized::default(),
            place,
        }
    }

    /// Returns an error once the connection has ended.
    fn check(&mut self, cx: &mut Context<'_>) -> Result<()> {
        if self.authorized.is_set() {
            self.place.authorize();
        }
        if self.end.as_mut().poll(cx).is_pending() {
            return Ok(());
        }
        if self.authorized.is_set() && self.end.deadline() < self.longest {
            self.end.as_mut().reset(self.longest);
            if self.end.as_mut().poll(cx).is_pending() {
                return Ok(());
            }
        }
        Err(Error::from(ErrorKind::TimedOut))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        if let Err(error) = self.check(cx) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        // The answer to an authorized request is written completely.
        if !self.authorized.is_set()
            && let Err(error) = self.check(cx)
        {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::place::Places;

    /// Polls a read of a connection after its first end.
    async fn read(authorized: &Authorized) -> Poll<Result<()>> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (stream, _accepted) =
            tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        let place = Places::new().free().await.unwrap().occupy(Ipv4Addr::LOCALHOST.into()).unwrap();
        let mut connection = Connection::new(stream.unwrap(), place, Instant::now());
        connection.authorized = authorized.clone();
        connection.end.as_mut().await;
        let mut bytes = [0; 8];
        let mut buffer = ReadBuf::new(&mut bytes);
        std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut connection).poll_read(cx, &mut buffer))).await
    }

    #[tokio::test]
    async fn a_connection_without_an_authorized_request_ends() {
        let authorized = Authorized::default();
        let Poll::Ready(Err(error)) = read(&authorized).await else { panic!("the connection has not ended") };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        authorized.set();
        assert!(read(&authorized).await.is_pending());
    }
}
