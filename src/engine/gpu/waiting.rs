//! Who waits for answers of the device. A future wakes only the last who polled it, even one that
//! has given up or never waited; so the futures here are polled with a waker that wakes all.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Those who wait for one of several answers.
#[derive(Default)]
pub(super) struct Waiting(Mutex<Vec<Waker>>);

impl Waiting {
    /// For the caller of a poll that has to wait.
    pub fn wait(&self, cx: &Context) -> Poll<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(cx.waker().clone());
        Poll::Pending
    }

    /// The waker to poll the answers with.
    pub fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(self.clone())
    }

    /// Number of those who wait.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        let waiting = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        waiting.into_iter().for_each(Waker::wake);
    }
}
