//! `State`: the tree of a simulated disk, what happens to the operations on it, and what they leave.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::SimDisk;
use super::content::{Content, Stamp};
use super::fault::{Effect, Fault, Operation};
use super::lottery::Lottery;
use super::queue::InQueue;
use super::random::Random;
use super::step::Step;
use super::tree::{NodeId, Tree};

/// Everything behind the lock of a disk.
#[derive(Debug)]
pub(super) struct State {
    pub(super) tree: Tree,
    pub(super) random: Random,
    /// Rises with every sync that is submitted.
    pub(super) stamp: Stamp,
    /// What shards have submitted, by queue.
    pub(super) queues: Vec<InQueue>,
    /// How often each node is open.
    open: BTreeMap<NodeId, u32>,
    faults: Vec<Fault>,
    times: BTreeMap<Operation, u64>,
    waits: u64,
    /// Directories whose files may take so many bytes.
    limits: Vec<(PathBuf, u64)>,
    steps: u64,
    crash_at: Option<u64>,
    is_off: bool,
    trace: Option<Vec<Step>>,
    crash_points: Option<Vec<(Step, SimDisk)>>,
    /// Of which step alone a crash point is kept.
    kept_step: Option<u64>,
}

impl State {
    pub(super) fn new(tree: Tree, seed: u64) -> State {
        State {
            tree,
            random: Random::new(seed),
            stamp: 0,
            queues: Vec::new(),
            open: BTreeMap::new(),
            faults: Vec::new(),
            times: BTreeMap::new(),
            waits: 0,
            limits: Vec::new(),
            steps: 0,
            crash_at: None,
            is_off: false,
            trace: None,
            crash_points: None,
            kept_step: None,
        }
    }

    /// The same files and limits; no process has any of them open.
    pub(super) fn copy(&self, tree: Tree) -> State {
        let mut copy = State::new(tree, 0);
        copy.random = self.random.clone();
        copy.stamp = self.stamp;
        copy.limits = self.limits.clone();
        copy
    }

    pub(super) fn after_crash(&self, seed: u64) -> State {
        self.copy(self.tree.after_crash(&mut Lottery::new(seed)))
    }

    pub(super) fn heal(&mut self) {
        self.faults.clear();
    }

    pub(super) fn arm(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    pub(super) fn times(&self, operation: Operation) -> u64 {
        self.times.get(&operation).copied().unwrap_or(0)
    }

    pub(super) fn waits(&self) -> u64 {
        self.waits
    }

    pub(super) fn limit_space(&mut self, dir: &Path, bytes: u64) {
        self.limits.retain(|(limited, _)| limited != dir);
        self.limits.push((dir.to_owned(), bytes));
    }

    pub(super) fn crash_at(&mut self, step: u64) {
        self.crash_at = Some(step);
    }

    pub(super) fn is_off(&self) -> bool {
        self.is_off
    }

    pub(super) fn check_power(&self) -> io::Result<()> {
        if self.is_off { Err(io::Error::other("the power is gone")) } else { Ok(()) }
    }

    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    pub(super) fn keep_trace(&mut self) {
        self.trace.get_or_insert_default();
    }

    pub(super) fn take_trace(&mut self) -> Vec<Step> {
        self.trace.as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(super) fn keep_crash_points(&mut self) {
        self.crash_points.get_or_insert_default();
    }

    pub(super) fn keep_crash_point(&mut self, step: u64) {
        self.kept_step = Some(step);
        self.keep_crash_points();
    }

    pub(super) fn take_crash_points(&mut self) -> Vec<(Step, SimDisk)> {
        self.crash_points.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// An operation that only looks: what goes wrong with it.
    pub(super) fn look(&mut self, operation: Operation, path: &Path) -> io::Result<Option<Effect>> {
        debug_assert!(operation.is_look());
        self.check_power()?;
        let effect = self.strike(operation, path);
        match effect.and_then(Effect::error) {
            Some(error) => Err(error),
            None => Ok(effect),
        }
    }

    /// Counts an operation that changes something and says what goes wrong with it.
    pub(super) fn begin(
        &mut self,
        operation: Operation,
        path: &Path,
        (position, len): (u64, usize),
    ) -> io::Result<Begun> {
        debug_assert!(!operation.is_look());
        self.check_power()?;
        let number = self.steps;
        self.steps += 1;
        let is_kept = self.crash_points.is_some() && self.kept_step.is_none_or(|kept| kept == number);
        let step = (self.trace.is_some() || is_kept).then(|| Step {
            number,
            operation,
            path: path.to_owned(),
            position,
            len,
        });
        if let (Some(trace), Some(step)) = (&mut self.trace, &step) {
            trace.push(step.clone());
        }
        Ok(Begun { number, step, effect: self.strike(operation, path) })
    }

    /// As [`State::begin`], for operations that an effect can only have fail.
    pub(super) fn begin_plain(&mut self, operation: Operation, path: &Path, at: u64) -> io::Result<Begun> {
        let begun = self.begin(operation, path, (at, 0))?;
        match begun.effect.and_then(Effect::error) {
            Some(error) => {
                self.cut(begun)?;
                Err(error)
            }
            None => Ok(begun),
        }
    }

    /// The moment in which a power cut hits an operation: what it changes is pending, and not yet durable.
    pub(super) fn cut(&mut self, begun: Begun) -> io::Result<()> {
        if self.crash_points.is_some()
            && self.kept_step.is_none_or(|kept| kept == begun.number)
            && let Some(step) = begun.step
        {
            let disk = SimDisk::of(self.copy(self.tree.clone()));
            self.crash_points.get_or_insert_default().push((step, disk));
        }
        if self.crash_at == Some(begun.number) {
            self.is_off = true;
        }
        self.check_power()
    }

    fn strike(&mut self, operation: Operation, path: &Path) -> Option<Effect> {
        *self.times.entry(operation).or_default() += 1;
        let effect = self.faults.iter_mut().find_map(|fault| fault.strikes(operation, path));
        let is_waited_for = !matches!(operation, Operation::SubmitSync | Operation::SubmitWrite);
        if effect == Some(Effect::Late) && is_waited_for {
            self.waits += 1;
        }
        if effect.is_some() {
            self.faults.retain(|fault| !fault.is_over());
        }
        effect
    }

    /// The limit of the file system that a path is on, and what of it is free.
    pub(super) fn space(&self, path: &Path) -> Option<(u64, u64)> {
        let (dir, limit) = self.limits.iter().find(|(dir, _)| path.starts_with(dir))?;
        let used = self.tree.find(dir).map_or(0, |dir| self.tree.usage(dir));
        Some((*limit, limit.saturating_sub(used)))
    }

    /// How many of `len` bytes at `position` there is room for.
    pub(super) fn fitting(&self, path: &Path, id: NodeId, position: u64, len: usize) -> io::Result<usize> {
        let content: &Content = self.tree.content(id)?;
        Ok(self.space(path).map_or(len, |(_, free)| content.fitting(position, len, free)))
    }

    /// Makes durable what of a file or directory is as old as `stamp`.
    pub(super) fn sync(&mut self, id: NodeId, stamp: Stamp) -> io::Result<()> {
        if !self.tree.is_dir(id) {
            self.tree.content_mut(id)?.sync(stamp);
        } else if self.tree.sync_dir(id, stamp) {
            let State { tree, open, .. } = self;
            tree.collect(|id| open.contains_key(&id));
        }
        Ok(())
    }

    /// What a sync that failed was to make durable will be so never.
    pub(super) fn fail_sync(&mut self, id: NodeId, stamp: Stamp) {
        match self.tree.content_mut(id) {
            Ok(content) => content.fail_sync(stamp),
            Err(_) => self.tree.fail_sync_dir(id, stamp),
        }
    }

    pub(super) fn retain(&mut self, id: NodeId) {
        *self.open.entry(id).or_default() += 1;
    }

    pub(super) fn release(&mut self, id: NodeId) {
        let count = self.open.get_mut(&id).expect("what is open was opened");
        *count -= 1;
        if *count == 0 {
            self.open.remove(&id);
        }
    }
}

/// An operation under way.
#[derive(Debug)]
pub(super) struct Begun {
    number: u64,
    step: Option<Step>,
    pub(super) effect: Option<Effect>,
}
