//! `Appends`: appends that are in the log and wait for their waves.

use logmill_engine::Error;
use logmill_engine::partition::Appended;
use logmill_engine::shard::{Progress, Ticket};

use super::command::{AppendResult, Held};
use super::reply::{self, Reply};
use crate::group::RestsOn;
use crate::wire::Few;

/// An append's outcome as the engine gave it, with the wave that it waits for.
pub(crate) type Enrolled = Result<(Appended, Option<Ticket>), Error>;

/// One request's appends on this shard.
#[derive(Debug)]
struct Waiting {
    results: Few<Enrolled>,
    reply: Reply<Few<AppendResult>>,
}

/// Requests that wait, by the wave they wait for.
#[derive(Debug)]
pub(crate) struct Appends {
    /// By log directory, with their waves: there are few at a time. One that waits for several directories
    /// stands in one of them at a time.
    waiting: Vec<Vec<(u64, Waiting)>>,
    /// Empty, but while waves are released.
    taken: Vec<(u64, Waiting)>,
    /// The newest released wave of each directory.
    released: Vec<u64>,
    log_dirs: Vec<std::path::PathBuf>,
}

impl Appends {
    pub(crate) fn new(log_dirs: Vec<std::path::PathBuf>) -> Appends {
        let dirs = log_dirs.len();
        let waiting = (0..dirs).map(|_| Vec::new()).collect();
        Appends { waiting, taken: Vec::new(), released: vec![0; dirs], log_dirs }
    }

    /// Answers now if nothing is to be waited for, otherwise when the last wave is released.
    pub(crate) fn enroll(&mut self, results: Few<Enrolled>, reply: Reply<Few<AppendResult>>) {
        self.place(Waiting { results, reply });
    }

    /// Holds an answer until the append that it rests on is durable.
    pub(crate) fn hold<T>(&mut self, answer: T, rests_on: RestsOn) -> Held<T> {
        let (reply, durable) = reply::channel();
        self.enroll(rests_on.map(Ok).into_iter().collect(), reply);
        Held { answer, durable }
    }

    fn place(&mut self, waiting: Waiting) {
        let tickets = waiting.results.iter().filter_map(|result| result.as_ref().ok()?.1);
        match tickets
            .filter(|ticket| ticket.wave > self.released[ticket.dir])
            .max_by_key(|ticket| ticket.wave)
        {
            Some(Ticket { dir, wave }) => self.waiting[dir].push((wave, waiting)),
            None => waiting.answer(),
        }
    }

    /// Answers what the released waves cover; what waits for a failed directory is refused.
    pub(crate) fn progress(&mut self, progress: &Progress) {
        for &Ticket { dir, wave } in &progress.released {
            self.released[dir] = wave;
            let mut taken = std::mem::take(&mut self.taken);
            taken.extend(self.waiting[dir].extract_if(.., |(waits_for, _)| *waits_for <= wave));
            // One may wait for a wave of another directory still.
            taken.drain(..).for_each(|(_, waiting)| self.place(waiting));
            self.taken = taken;
        }
        for (dir, _) in &progress.failed {
            self.fail(*dir);
        }
    }

    fn fail(&mut self, failed: usize) {
        for dir in 0..self.waiting.len() {
            for (_, waiting) in std::mem::take(&mut self.waiting[dir]) {
                let path = &self.log_dirs[failed];
                self.place(waiting.without(failed, path));
            }
        }
    }
}

impl Waiting {
    fn answer(self) {
        let results = self.results.into_iter().map(|result| result.map(|(appended, _)| appended)).collect();
        self.reply.send(results);
    }

    /// Refuses the appends that wait for a directory that has failed.
    fn without(mut self, dir: usize, path: &std::path::Path) -> Waiting {
        for result in &mut self.results {
            if let Ok((_, Some(ticket))) = result
                && ticket.dir == dir
            {
                *result = Err(Error::Offline(path.to_owned()));
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::Answer;
    use crate::wire::ErrorCode;

    fn appended(ticket: Option<(usize, u64)>) -> Enrolled {
        let appended = Appended { base_offset: 0, append_time_ms: None, start_offset: 0, end_offset: 1 };
        Ok((appended, ticket.map(|(dir, wave)| Ticket { dir, wave })))
    }

    fn released(dir: usize, wave: u64) -> Progress {
        Progress { released: vec![Ticket { dir, wave }], ..Progress::default() }
    }

    fn enroll(appends: &mut Appends, results: Vec<Enrolled>) -> Answer<Few<AppendResult>> {
        let (reply, answer) = reply::channel();
        appends.enroll(results.into(), reply);
        answer
    }

    /// The answer, if it is there.
    fn answered<T>(answer: &mut Answer<T>) -> Option<T> {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(answer).poll(&mut cx) {
            std::task::Poll::Ready(answer) => Some(answer.expect("a reply is given, not dropped")),
            std::task::Poll::Pending => None,
        }
    }

    fn two_dirs() -> Appends {
        Appends::new(vec!["a".into(), "b".into()])
    }

    #[test]
    fn what_waits_for_nothing_is_answered_at_once() {
        let mut answer = enroll(&mut two_dirs(), vec![appended(None), Err(Error::UnknownPartition)]);
        assert_eq!(answered(&mut answer).unwrap().len(), 2);
    }

    #[test]
    fn an_answer_waits_for_the_last_wave_of_every_directory() {
        for order in [[(0, 3), (1, 9)], [(1, 9), (0, 3)]] {
            let mut appends = two_dirs();
            let mut answer =
                enroll(&mut appends, vec![appended(Some((0, 3))), appended(Some((1, 9))), appended(None)]);
            appends.progress(&released(0, 2));
            appends.progress(&released(1, 8));
            let (dir, wave) = order[0];
            appends.progress(&released(dir, wave));
            assert!(answered(&mut answer).is_none(), "{order:?}");
            let (dir, wave) = order[1];
            appends.progress(&released(dir, wave));
            assert!(answered(&mut answer).unwrap().iter().all(Result::is_ok), "{order:?}");
        }
    }

    #[test]
    fn a_held_answer_waits_for_its_wave_and_is_never_given_when_that_fails() {
        let mut appends = two_dirs();
        let rests_on = appended(Some((0, 3))).ok();
        let mut held = [appends.hold("first", rests_on), appends.hold("second", rests_on)];
        let unwritten = appends.hold("unwritten", None);
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let mut poll = |held: Held<&'static str>| std::pin::pin!(held.release()).poll(&mut cx);
        assert_eq!(poll(unwritten), std::task::Poll::Ready(Ok("unwritten")));
        appends.progress(&released(0, 2));
        assert!(held.iter_mut().all(|held| answered(&mut held.durable).is_none()));
        appends.progress(&Progress { failed: vec![(0, "gone".to_owned())], ..Progress::default() });
        for held in held {
            assert_eq!(poll(held), std::task::Poll::Ready(Err(ErrorCode::NotCoordinator)));
        }
    }

    #[test]
    fn a_failed_directory_refuses_its_own_and_holds_up_nobody_else() {
        let mut appends = two_dirs();
        let mut both = enroll(&mut appends, vec![appended(Some((0, 1))), appended(Some((1, 1)))]);
        let mut other = enroll(&mut appends, vec![appended(Some((1, 1)))]);
        appends.progress(&Progress { failed: vec![(0, "gone".to_owned())], ..Progress::default() });
        assert!(answered(&mut both).is_none() && answered(&mut other).is_none());
        appends.progress(&released(1, 1));
        let results = answered(&mut both).unwrap();
        assert!(matches!(&results[0], Err(Error::Offline(path)) if path == std::path::Path::new("a")));
        assert!(results[1].is_ok() && answered(&mut other).unwrap()[0].is_ok());
    }
}
