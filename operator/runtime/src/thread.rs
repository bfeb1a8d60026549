//! Threads with an async runtime of their own.

use std::future::Future;
use std::io;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;
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
    let runtime = Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        if sender.send(runtime.block_on(future)).is_err() {
            error!("the result of a thread was not awaited");
        }
    })?;
    Ok(receiver)
}

/// A thread with a runtime for several tasks, which other work does not delay. It ends when this value is dropped.
pub struct OwnThread {
    runtime: Handle,
    _end: oneshot::Sender<()>,
}

impl OwnThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(name: &str) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel();
        std::thread::Builder::new().name(name.to_owned()).spawn(move || drop(runtime.block_on(ended)))?;
        Ok(Self { runtime: handle, _end: end })
    }

    /// Creates a value, such as a client, whose background tasks run on the thread.
    pub fn create<T>(&self, create: impl FnOnce() -> T) -> T {
        let _entered = self.runtime.enter();
        create()
    }

    /// Runs a task on the thread until its handle is dropped.
    pub fn spawn<F>(&self, task: F) -> AbortOnDropHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        AbortOnDropHandle::new(self.runtime.spawn(task))
    }
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

    #[tokio::test]
    #[allow(clippy::disallowed_methods)]
    async fn blocked_workers_do_not_delay_the_tasks_of_a_thread() {
        let thread = OwnThread::start("test").unwrap();
        let (sender, done) = std::sync::mpsc::channel();
        let of_value = sender.clone();
        let tasks = [1, 2].map(|millis| {
            let sender = sender.clone();
            thread.spawn(async move {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                sender.send(()).unwrap();
            })
        });
        let created = thread.create(|| tokio::spawn(async move { of_value.send(()).unwrap() }));
        // Blocks the only worker of this runtime.
        for _ in 0..3 {
            done.recv_timeout(Duration::from_secs(60)).unwrap();
        }
        created.await.unwrap();
        for task in tasks {
            task.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_task_ends_with_its_handle_and_the_tasks_of_a_thread_with_the_thread() {
        let thread = OwnThread::start("test").unwrap();
        let (held, mut ended) = tokio::sync::mpsc::channel::<()>(1);
        let task = thread.spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        drop(task);
        assert_eq!(ended.recv().await, None);
        let (held, mut ended) = tokio::sync::mpsc::channel::<()>(1);
        let task = thread.spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        drop(thread);
        assert_eq!(ended.recv().await, None);
        assert!(task.await.unwrap_err().is_cancelled());
    }
}
