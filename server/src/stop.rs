//! `StopSignal`: tells every shard, from anywhere, that the broker ends, and why.

use tokio::sync::watch;

/// Why the broker ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// Somebody asked for it.
    Asked,
    /// Somebody asked again: connections are not waited for.
    AskedTwice,
    /// It cannot go on.
    Failed(String),
}

/// Set for good; everybody sees it. A reason gives way only to a more urgent one.
#[derive(Debug)]
pub struct StopSignal(watch::Sender<Option<StopReason>>);

impl Default for StopSignal {
    fn default() -> StopSignal {
        StopSignal(watch::Sender::new(None))
    }
}

impl StopSignal {
    /// Asks for a clean end; for a quick one the second time.
    pub fn ask(&self) {
        self.0.send_if_modified(|current| {
            let next = match current {
                None => StopReason::Asked,
                Some(StopReason::Asked) => StopReason::AskedTwice,
                Some(StopReason::AskedTwice | StopReason::Failed(_)) => return false,
            };
            *current = Some(next);
            true
        });
    }

    /// Ends the broker for a reason that a human must look into.
    pub fn fail(&self, reason: impl Into<String>) {
        self.0.send_if_modified(|current| {
            let is_first = !matches!(current, Some(StopReason::Failed(_)));
            if is_first {
                *current = Some(StopReason::Failed(reason.into()));
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
        self.wait_for(|_| true).await
    }

    /// Waits until the end cannot wait for connections.
    pub async fn wait_for_haste(&self) -> StopReason {
        self.wait_for(|reason| *reason != StopReason::Asked).await
    }

    async fn wait_for(&self, is_awaited: impl Fn(&StopReason) -> bool) -> StopReason {
        let mut seen = self.0.subscribe();
        let reason = seen.wait_for(|reason| reason.as_ref().is_some_and(&is_awaited)).await;
        reason.expect("the sender is part of the signal").clone().expect("waited for it to be there")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_wish_hastens_the_end_and_a_failure_stands() {
        let stop = StopSignal::default();
        assert_eq!(stop.reason(), None);
        stop.ask();
        assert_eq!(stop.reason(), Some(StopReason::Asked));
        stop.ask();
        stop.ask();
        assert_eq!(stop.reason(), Some(StopReason::AskedTwice));
        stop.fail("a");
        stop.fail("b");
        stop.ask();
        assert_eq!(stop.reason(), Some(StopReason::Failed("a".to_owned())));
    }
}
