//! Credentials that several logins reuse.

use std::future::Future;

use tokio::sync::Mutex;

/// A value that is reused while it is current, and the number of its uses.
pub(super) struct Reused<T>(Mutex<Option<(T, u32)>>);

impl<T> Default for Reused<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Reused<T> {
    /// Returns the value if it is current, and otherwise the value that `issued` returns.
    ///
    /// # Errors
    /// Any error of `issued`.
    pub(super) async fn get<E>(
        &self,
        is_current: impl FnOnce(&T) -> bool,
        issued: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let mut held = self.0.lock().await;
        if let Some((value, uses)) = held.as_mut().filter(|(value, _)| is_current(value)) {
            *uses += 1;
            return Ok(value.clone());
        }
        let value = issued.await?;
        *held = Some((value.clone(), 1));
        Ok(value)
    }

    /// Removes the value. Returns whether more than one login used it.
    pub(super) async fn discard(&self) -> bool {
        self.0.lock().await.take().is_some_and(|(_, uses)| uses > 1)
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    async fn got(
        reused: &Reused<u32>,
        is_current: fn(&u32) -> bool,
        issued: Result<u32, ()>,
    ) -> Result<u32, ()> {
        reused.get(is_current, ready(issued)).await
    }

    #[tokio::test]
    async fn a_value_is_issued_again_when_it_is_not_current_or_discarded() {
        let reused = Reused::<u32>::default();
        assert!(!reused.discard().await, "there is no value");
        assert_eq!(got(&reused, |_| true, Ok(1)).await, Ok(1));
        assert_eq!(got(&reused, |value| *value == 1, Ok(2)).await, Ok(1));
        assert_eq!(got(&reused, |_| false, Err(())).await, Err(()));
        assert_eq!(got(&reused, |_| false, Ok(3)).await, Ok(3));
        assert!(!reused.discard().await, "one login used the value");
        assert_eq!(got(&reused, |_| true, Ok(4)).await, Ok(4));
        assert_eq!(got(&reused, |_| true, Ok(5)).await, Ok(4));
        assert!(reused.discard().await, "two logins used the value");
    }
}
