//! A thread with an async runtime of its own.

use std::future::Future;
use std::io;

use tokio::sync::oneshot;
use tracing::error;

/// Runs a future on a thread and a runtime of its own, which no other work delays. The future must create its own
/// clients: connections of another client belong to the runtime that opened them. The receiver fails if the future
/// panics.
///
/// # Errors
/// If the thread cannot be started.
pub fn on_own_thread<T, F>(name: &str, future: F) -> io::Result<oneshot::Receiver<T>>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let (sender, receiver) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        if sender.send(runtime.block_on(future)).is_err() {
            error!("the result of a thread was not awaited");
        }
    })?;
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    #[allow(clippy::disallowed_methods)]
    async fn blocked_workers_do_not_delay_the_thread() {
        let (sender, ended) = std::sync::mpsc::channel();
        let work = async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            sender.send(()).unwrap();
        };
        let result = on_own_thread("test", work).unwrap();
        // Blocks the only worker of this runtime until the thread has done its work.
        ended.recv_timeout(Duration::from_secs(60)).unwrap();
        result.await.unwrap();
    }
}
