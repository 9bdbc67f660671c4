//! `Crew`: the threads of a load, each with a runtime, some producers and some consumers of its own.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local};

use super::LoadError;
use super::consumer::{Consumer, ConsumerJob};
use super::figures::{Counter, Figures, Shared, Stage, lock};
use super::producer::{Producer, ProducerJob};
use super::template::Templates;

/// What a thread has to do.
pub(super) enum Job {
    Produce(Box<ProducerJob>),
    Consume(ConsumerJob),
}

/// Running threads. They end when the stage says so, or with this.
pub(super) struct Crew {
    members: Vec<Member>,
    shared: Arc<Shared>,
}

struct Member {
    thread: JoinHandle<()>,
    counter: Counter,
    /// Its id as the kernel knows it.
    id: i32,
}

impl Crew {
    /// Shares the jobs out among so many threads.
    pub(super) fn start(jobs: Vec<Job>, threads: usize, shared: &Arc<Shared>) -> Result<Crew, LoadError> {
        let threads = threads.min(jobs.len()).max(1);
        let mut shares: Vec<Vec<Job>> = (0..threads).map(|_| Vec::new()).collect();
        let (producers, consumers): (Vec<Job>, Vec<Job>) =
            jobs.into_iter().partition(|job| matches!(job, Job::Produce(_)));
        for (index, job) in producers.into_iter().enumerate() {
            shares[index % threads].push(job);
        }
        // From the other end: an odd producer and an odd consumer are not on the same thread.
        for (index, job) in consumers.into_iter().enumerate() {
            shares[threads - 1 - index % threads].push(job);
        }
        let members = shares.into_iter().map(|jobs| Member::start(jobs, shared));
        let members = members.collect::<io::Result<_>>().map_err(LoadError::io("starting a thread"))?;
        Ok(Crew { members, shared: Arc::clone(shared) })
    }

    /// How many threads.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Adds what was counted since the last time, and forgets it.
    pub(super) fn take(&self, into: &mut Figures) {
        for member in &self.members {
            let mut figures = lock(&member.counter);
            into.add(&figures);
            figures.clear();
        }
    }

    /// Messages that were acknowledged and read since they were taken.
    pub(super) fn untaken(&self) -> (u64, u64) {
        self.members.iter().fold((0, 0), |(acknowledged, consumed), member| {
            let totals = lock(&member.counter).totals;
            (acknowledged + totals.acknowledged, consumed + totals.consumed)
        })
    }

    /// CPU time of all threads so far; none where the kernel does not tell it.
    pub(super) fn cpu(&self) -> Option<Duration> {
        self.members.iter().map(|member| thread_cpu(member.id)).sum()
    }

    /// Ends the threads, waits for them, and takes what they counted in the end.
    pub(super) fn end(&mut self, into: &mut Figures) {
        self.shared.stage.send_replace(Stage::Stop);
        for member in self.members.drain(..) {
            if member.thread.join().is_err() && !thread::panicking() {
                // The thread has said why. Its figures are no longer to be trusted, nor are the others'.
                panic!("a thread of the load panicked");
            }
            into.add(&lock(&member.counter));
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.end(&mut Figures::default());
    }
}

impl Member {
    fn start(jobs: Vec<Job>, shared: &Arc<Shared>) -> io::Result<Member> {
        let counter: Counter = Arc::new(Mutex::new(Figures::default()));
        let (say_id, id) = sync_channel(1);
        let thread = {
            let (shared, counter) = (Arc::clone(shared), Arc::clone(&counter));
            thread::Builder::new().name("load".into()).spawn(move || {
                say_id
                    .send(rustix::thread::gettid().as_raw_nonzero().get())
                    .expect("the starter waits for it");
                if let Err(error) = work(jobs, &shared, &counter) {
                    shared.fail(error);
                }
            })?
        };
        let id = received(&id);
        Ok(Member { thread, counter, id })
    }
}

fn received(id: &Receiver<i32>) -> i32 {
    id.recv().expect("the thread says its id first")
}

/// Does the jobs of a thread.
fn work(jobs: Vec<Job>, shared: &Arc<Shared>, counter: &Counter) -> Result<(), LoadError> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(LoadError::io("starting a runtime"))?;
    let templates = Rc::new(RefCell::new(Templates::new(&shared.workload)?));
    LocalSet::new().block_on(&runtime, async {
        let mut producers = Vec::new();
        let mut stage = shared.stage.subscribe();
        for job in jobs {
            let (shared, counter) = (Arc::clone(shared), Arc::clone(counter));
            match job {
                Job::Produce(job) => {
                    let templates = Rc::clone(&templates);
                    producers.push(spawn_local(async move {
                        if let Err(error) = Producer::run(*job, Arc::clone(&shared), counter, templates).await
                        {
                            shared.fail(error);
                        }
                    }));
                }
                Job::Consume(job) => {
                    let mut stage = stage.clone();
                    spawn_local(async move {
                        // An error says that the load is over.
                        if stage.wait_for(|stage| *stage >= Stage::Go).await.is_ok() {
                            Consumer::start(job, shared, counter);
                        }
                    });
                }
            }
        }
        // The sender lives in `shared`, which this thread holds.
        drop(stage.wait_for(|stage| *stage == Stage::Stop).await);
        for producer in producers {
            // It only fails when the task panicked, which has been said.
            producer.await.map_err(|error| LoadError::Protocol { what: error.to_string() })?;
        }
        Ok(())
    })
}

fn thread_cpu(id: i32) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/self/task/{id}/schedstat")).ok()?;
    Some(Duration::from_nanos(text.split_ascii_whitespace().next()?.parse().ok()?))
}
