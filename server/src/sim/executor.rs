//! `Executor`: the tasks of all simulated threads, run one at a time in an order that the caller picks.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

use crate::net::runtime::Task;

/// Tasks by thread. A thread runs its woken tasks in the order in which they were woken.
pub(super) struct Executor {
    /// By number, in the order in which they were spawned, until they end.
    tasks: RefCell<BTreeMap<usize, Slot>>,
    spawned: Cell<usize>,
    woken: Arc<Woken>,
}

struct Slot {
    thread: usize,
    /// Away while it runs.
    task: Option<Task>,
}

/// By thread, the tasks to run. Wakers must be `Send`, so this is behind a lock that nobody contends for.
struct Woken(Mutex<Vec<VecDeque<usize>>>);

struct TaskWaker {
    thread: usize,
    task: usize,
    woken: Arc<Woken>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.woken.push(self.thread, self.task);
    }
}

impl Woken {
    fn push(&self, thread: usize, task: usize) {
        let mut woken = self.0.lock().expect("no holder of the lock panics");
        if !woken[thread].contains(&task) {
            woken[thread].push_back(task);
        }
    }
}

impl Executor {
    pub(super) fn new(threads: usize) -> Executor {
        let woken = Arc::new(Woken(Mutex::new(vec![VecDeque::new(); threads])));
        Executor { tasks: RefCell::default(), spawned: Cell::new(0), woken }
    }

    pub(super) fn spawn(&self, thread: usize, task: Task) {
        let number = self.spawned.get();
        self.spawned.set(number + 1);
        self.tasks.borrow_mut().insert(number, Slot { thread, task: Some(task) });
        self.woken.push(thread, number);
    }

    /// The threads that have something to run.
    pub(super) fn ready_threads(&self) -> Vec<usize> {
        let woken = self.woken.0.lock().expect("no holder of the lock panics");
        (0..woken.len()).filter(|thread| !woken[*thread].is_empty()).collect()
    }

    /// Runs the next task of a thread until it waits, and says which one it was.
    pub(super) fn run_next(&self, thread: usize) -> usize {
        let next = self.woken.0.lock().expect("no holder of the lock panics")[thread].pop_front();
        let number = next.expect("the thread is ready");
        // A task spawns others while it runs: it is taken out of the list meanwhile.
        let task = self.tasks.borrow_mut().get_mut(&number).and_then(|slot| slot.task.take());
        let Some(mut task) = task else { return number };
        let waker = Waker::from(Arc::new(TaskWaker { thread, task: number, woken: self.woken.clone() }));
        let is_over = task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        let mut tasks = self.tasks.borrow_mut();
        if is_over {
            tasks.remove(&number);
        } else if let Some(slot) = tasks.get_mut(&number) {
            slot.task = Some(task);
        }
        number
    }

    /// Ends all tasks of a thread.
    pub(super) fn end_thread(&self, thread: usize) {
        let ended: BTreeMap<usize, Slot> =
            self.tasks.borrow_mut().extract_if(.., |_, slot| slot.thread == thread).collect();
        // What they drop may wake others.
        drop(ended);
    }
}
