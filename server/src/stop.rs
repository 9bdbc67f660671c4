//! `StopSignal`: tells every shard, from anywhere, that the broker ends, and why.

use tokio::sync::watch;

/// Why the broker ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// Somebody asked for it.
    Asked,
    /// It cannot go on.
    Failed(String),
}

/// Set once; everybody sees it.
#[derive(Debug)]
pub struct StopSignal(watch::Sender<Option<StopReason>>);

impl Default for StopSignal {
    fn default() -> StopSignal {
        StopSignal(watch::Sender::new(None))
    }
}

impl StopSignal {
    /// Asks for a clean end.
    pub fn ask(&self) {
        self.set(StopReason::Asked);
    }

    /// Ends the broker for a reason that a human must look into.
    pub fn fail(&self, reason: impl Into<String>) {
        self.set(StopReason::Failed(reason.into()));
    }

    fn set(&self, reason: StopReason) {
        self.0.send_if_modified(|current| {
            let is_first = current.is_none();
            if is_first {
                *current = Some(reason);
            }
            is_first
        });
    }

    /// Why the broker ends, if it does.
    pub fn reason(&self) -> Option<StopReason> {
        self.0.borrow().clone()
    }

    /// Waits for the end and says why it came.
    pub async fn wait(&self) -> StopReason {
        let mut seen = self.0.subscribe();
        let reason = seen.wait_for(Option::is_some).await.expect("the sender is part of the signal");
        reason.clone().expect("waited for it to be there")
    }
}
