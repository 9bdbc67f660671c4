//! Mailboxes: a bounded lane from every shard to every other.

use std::future::poll_fn;
use std::task::Poll;

use tokio::sync::mpsc;

use super::command::Command;
use crate::random::Random;

/// A shard's ends of the lanes to all others.
#[derive(Debug)]
pub struct Lanes {
    /// By receiving shard; none to itself.
    to: Vec<Option<mpsc::Sender<Command>>>,
    #[cfg(test)]
    is_overtaking: bool,
}

/// A shard's ends of the lanes from all others.
#[derive(Debug)]
pub struct Mailbox {
    from: Vec<mpsc::Receiver<Command>>,
}

/// Lanes between so many shards, each with room for so many messages.
pub fn connect(shards: usize, room: usize) -> Vec<(Lanes, Mailbox)> {
    let mut lanes: Vec<Lanes> = (0..shards).map(|_| Lanes::to_nobody(shards)).collect();
    let mut mailboxes = Vec::with_capacity(shards);
    for receiver in 0..shards {
        let mut from = Vec::with_capacity(shards - 1);
        for sender in (0..shards).filter(|sender| *sender != receiver) {
            let (tx, rx) = mpsc::channel(room);
            lanes[sender].to[receiver] = Some(tx);
            from.push(rx);
        }
        mailboxes.push(Mailbox { from });
    }
    lanes.into_iter().zip(mailboxes).collect()
}

impl Lanes {
    fn to_nobody(shards: usize) -> Lanes {
        Lanes {
            to: (0..shards).map(|_| None).collect(),
            #[cfg(test)]
            is_overtaking: super::planted::is_overtaking(),
        }
    }

    /// Waits for room and sends. Messages of one sender to one receiver arrive in the order in which their
    /// sends began to wait. A receiver that has ended drops them, and whoever waits for a reply learns it.
    pub(crate) async fn send(&self, to: usize, command: Command) {
        let lane = self.to[to].as_ref().expect("a shard calls itself directly");
        #[cfg(test)]
        if self.is_overtaking {
            if let Err(mpsc::error::TrySendError::Full(command)) = lane.try_send(command) {
                let lane = lane.clone();
                tokio::task::spawn_local(async move { lane.send(command).await });
            }
            return;
        }
        let _ = lane.send(command).await;
    }
}

impl Lanes {
    /// Like [`Lanes::send`], for who cannot wait: behind whatever waits already.
    pub(crate) fn send_later(&self, to: usize, command: Command) -> impl Future<Output = ()> + use<> {
        let lane = self.to[to].clone().expect("a shard calls itself directly");
        async move {
            let _ = lane.send(command).await;
        }
    }
}

impl Mailbox {
    /// The next message of any lane; `None` when all senders have ended. Which lane is looked at first is
    /// drawn each time, so that none starves and simulation meets every order.
    pub(crate) async fn receive(&mut self, random: &dyn Random) -> Option<Command> {
        poll_fn(|cx| {
            let lanes = self.from.len();
            if lanes == 0 {
                return Poll::Pending;
            }
            let first = random.below(lanes);
            let mut is_open = false;
            for lane in (0..lanes).map(|step| (first + step) % lanes) {
                match self.from[lane].poll_recv(cx) {
                    Poll::Ready(Some(command)) => return Poll::Ready(Some(command)),
                    Poll::Ready(None) => (),
                    Poll::Pending => is_open = true,
                }
            }
            if is_open { Poll::Pending } else { Poll::Ready(None) }
        })
        .await
    }
}
