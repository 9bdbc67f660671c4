//! Those who wait for a group: the ends of the channels that their answers go into.

use tokio::sync::oneshot;

use super::classic::{Answer, JoinAnswer, SyncAnswer};
use super::coordinators::RestsOn;
use crate::shard::Held;
use crate::wire::ErrorCode;

/// Where an answer of a coordinator goes. Dropping it says that this is not the coordinator any more.
pub(crate) type AnswerTo<T> = oneshot::Sender<Result<Held<T>, ErrorCode>>;

/// What somebody waits for.
#[derive(Debug)]
pub(crate) enum Expected {
    Join(AnswerTo<JoinAnswer>),
    Sync(AnswerTo<SyncAnswer>),
}

/// An answer that may go, once what it rests on is durable.
#[derive(Debug)]
pub(crate) enum Told {
    Join(AnswerTo<JoinAnswer>, JoinAnswer, RestsOn),
    Sync(AnswerTo<SyncAnswer>, SyncAnswer, RestsOn),
}

impl Expected {
    pub(super) fn told(self, answer: Answer, rests_on: RestsOn) -> Told {
        match (self, answer) {
            (Expected::Join(to), Answer::Join(answer)) => Told::Join(to, answer, rests_on),
            (Expected::Sync(to), Answer::Sync(answer)) => Told::Sync(to, answer, rests_on),
            (expected, answer) => panic!("{answer:?} for {expected:?}"),
        }
    }
}
