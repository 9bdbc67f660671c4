//! `Tree`: the names of files and directories as the process sees them, as the device has them, and the
//! changes in between.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path};
use std::sync::Arc;

use rustix::io::Errno;

use super::content::{Content, Stamp};
use super::lottery::Lottery;

/// A file or directory, whatever its name. The numbers stay the same in copies of the tree.
pub(super) type NodeId = u32;

const ROOT: NodeId = 0;

type Names = BTreeMap<Arc<str>, NodeId>;

/// A name in a directory.
type Place = (NodeId, Arc<str>);

/// Files and directories. A copy shares what is not changed in it.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    nodes: BTreeMap<NodeId, Arc<Node>>,
    next: NodeId,
    /// Changes of names that no sync of a directory covers yet, in the order in which they were made.
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
struct Node {
    /// What it is called: by the process, and by the device. There are no hard links.
    seen: Option<Place>,
    durable: Option<Place>,
    body: Body,
}

#[derive(Debug, Clone)]
enum Body {
    File(Arc<Content>),
    Dir { seen: Names, durable: Names },
}

/// A node gets a name, another one or none: whole or not at all.
#[derive(Debug, Clone)]
struct Change {
    stamp: Stamp,
    node: NodeId,
    from: Option<Place>,
    to: Option<Place>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    Seen,
    Durable,
}

/// What a listing says of a name.
pub(super) struct Listed {
    pub(super) name: Arc<str>,
    pub(super) id: NodeId,
    /// `None` for a directory.
    pub(super) file_len: Option<u64>,
}

impl Tree {
    pub(super) fn new() -> Tree {
        let root = Node { seen: None, durable: None, body: Body::empty_dir() };
        Tree { nodes: [(ROOT, Arc::new(root))].into(), next: ROOT + 1, pending: Vec::new() }
    }

    /// How many files and directories it knows, with a name or without.
    #[cfg(test)]
    pub(super) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    fn node(&self, id: NodeId) -> &Node {
        self.nodes.get(&id).expect("a name leads to a node")
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node {
        Arc::make_mut(self.nodes.get_mut(&id).expect("a name leads to a node"))
    }

    /// The node at a path. `/`, `.` and the empty path are the root.
    pub(super) fn find(&self, path: &Path) -> io::Result<NodeId> {
        let mut id = ROOT;
        for part in parts(path)? {
            let Body::Dir { seen, .. } = &self.node(id).body else {
                return Err(Errno::NOTDIR.into());
            };
            id = *seen.get(part).ok_or(Errno::NOENT)?;
        }
        Ok(id)
    }

    /// The directory that a path's last name is in, and that name.
    pub(super) fn find_parent<'a>(&self, path: &'a Path) -> io::Result<(NodeId, &'a str)> {
        let name = parts(path)?.pop().ok_or(Errno::INVAL)?;
        let dir = self.find(path.parent().unwrap_or(Path::new("")))?;
        if self.is_dir(dir) { Ok((dir, name)) } else { Err(Errno::NOTDIR.into()) }
    }

    pub(super) fn is_dir(&self, id: NodeId) -> bool {
        matches!(self.node(id).body, Body::Dir { .. })
    }

    pub(super) fn content(&self, id: NodeId) -> io::Result<&Content> {
        match &self.node(id).body {
            Body::File(content) => Ok(content),
            Body::Dir { .. } => Err(Errno::ISDIR.into()),
        }
    }

    pub(super) fn content_mut(&mut self, id: NodeId) -> io::Result<&mut Content> {
        match &mut self.node_mut(id).body {
            Body::File(content) => Ok(Arc::make_mut(content)),
            Body::Dir { .. } => Err(Errno::ISDIR.into()),
        }
    }

    /// What a directory holds, by name.
    pub(super) fn list(&self, dir: NodeId) -> io::Result<Vec<Listed>> {
        let Body::Dir { seen, .. } = &self.node(dir).body else { return Err(Errno::NOTDIR.into()) };
        let listed = seen.iter().map(|(name, id)| {
            let file_len = match &self.node(*id).body {
                Body::File(content) => Some(content.len()),
                Body::Dir { .. } => None,
            };
            Listed { name: name.clone(), id: *id, file_len }
        });
        Ok(listed.collect())
    }

    /// Bytes that the files below a node take.
    pub(super) fn usage(&self, id: NodeId) -> u64 {
        match &self.node(id).body {
            Body::File(content) => content.usage(),
            Body::Dir { seen, .. } => seen.values().map(|id| self.usage(*id)).sum(),
        }
    }

    pub(super) fn create_file(&mut self, dir: NodeId, name: &str, stamp: Stamp) -> NodeId {
        self.create(dir, name, Body::File(Arc::default()), stamp)
    }

    pub(super) fn create_dir(&mut self, dir: NodeId, name: &str, stamp: Stamp) -> NodeId {
        self.create(dir, name, Body::empty_dir(), stamp)
    }

    fn create(&mut self, dir: NodeId, name: &str, body: Body, stamp: Stamp) -> NodeId {
        let id = self.next;
        self.next += 1;
        self.nodes.insert(id, Arc::new(Node { seen: None, durable: None, body }));
        self.change(id, Some((dir, name.into())), stamp);
        id
    }

    /// Takes a node's name away; who has it open goes on using it.
    pub(super) fn unlink(&mut self, id: NodeId, stamp: Stamp) {
        self.change(id, None, stamp);
    }

    /// Gives a node another name, in place of what had it.
    pub(super) fn rename(&mut self, id: NodeId, dir: NodeId, name: &str, stamp: Stamp) {
        self.change(id, Some((dir, name.into())), stamp);
    }

    fn change(&mut self, node: NodeId, to: Option<Place>, stamp: Stamp) {
        let from = self.node(node).seen.clone();
        self.place(View::Seen, node, to.clone());
        self.pending.push(Change { stamp, node, from, to });
    }

    fn names_mut(&mut self, view: View, dir: NodeId) -> &mut Names {
        match (&mut self.node_mut(dir).body, view) {
            (Body::Dir { seen, .. }, View::Seen) => seen,
            (Body::Dir { durable, .. }, View::Durable) => durable,
            (Body::File(_), _) => unreachable!("a place is in a directory"),
        }
    }

    fn place_mut(&mut self, view: View, id: NodeId) -> &mut Option<Place> {
        let node = self.node_mut(id);
        match view {
            View::Seen => &mut node.seen,
            View::Durable => &mut node.durable,
        }
    }

    /// Puts a node where it belongs in one view, and nowhere else.
    fn place(&mut self, view: View, id: NodeId, to: Option<Place>) {
        // A directory that is durably gone may be forgotten before what was moved out of it.
        if let Some((dir, name)) = std::mem::replace(self.place_mut(view, id), to.clone())
            && self.nodes.contains_key(&dir)
        {
            self.names_mut(view, dir).remove(&name);
        }
        if let Some((dir, name)) = to
            && let Some(replaced) = self.names_mut(view, dir).insert(name, id)
        {
            *self.place_mut(view, replaced) = None;
        }
    }

    /// Makes durable the changes of a directory that are as old as `stamp`, and what came before them for the
    /// same nodes. Says whether names have gone.
    pub(super) fn sync_dir(&mut self, dir: NodeId, stamp: Stamp) -> bool {
        let synced = self.take_covered(dir, stamp);
        let has_removed = synced.iter().any(|change| change.from.is_some());
        for Change { node, to, .. } in synced {
            self.place(View::Durable, node, to);
        }
        has_removed
    }

    /// A sync of a directory has failed: the process goes on seeing its changes, and no later sync makes them
    /// durable.
    pub(super) fn fail_sync_dir(&mut self, dir: NodeId, stamp: Stamp) {
        self.take_covered(dir, stamp);
    }

    fn take_covered(&mut self, dir: NodeId, stamp: Stamp) -> Vec<Change> {
        let mut nodes = BTreeSet::new();
        let mut covered = vec![false; self.pending.len()];
        for (covered, change) in covered.iter_mut().zip(&self.pending).rev() {
            *covered = (change.stamp <= stamp && change.touches(dir)) || nodes.contains(&change.node);
            if *covered {
                nodes.insert(change.node);
            }
        }
        let mut covered = covered.into_iter();
        self.pending.extract_if(.., |_| covered.next().expect("one for each change")).collect()
    }

    /// Makes everything durable.
    pub(super) fn settle(&mut self) {
        for Change { node, to, .. } in std::mem::take(&mut self.pending) {
            self.place(View::Durable, node, to);
        }
        self.each_file(|content| content.sync(Stamp::MAX));
    }

    /// Forgets what is clean in the page cache.
    pub(super) fn drop_caches(&mut self) {
        self.each_file(Content::drop_cached);
    }

    fn each_file(&mut self, mut visit: impl FnMut(&mut Content)) {
        for node in self.nodes.values_mut() {
            if matches!(&node.body, Body::File(content) if !content.is_settled())
                && let Body::File(content) = &mut Arc::make_mut(node).body
            {
                visit(Arc::make_mut(content));
            }
        }
    }

    /// Forgets the nodes that neither a name nor a pending change nor an open file leads to.
    pub(super) fn collect(&mut self, is_open: impl Fn(NodeId) -> bool) {
        let mut reached = BTreeSet::new();
        let open = self.nodes.keys().copied().filter(|id| is_open(*id));
        let mut todo: Vec<NodeId> = open.chain([ROOT]).collect();
        loop {
            while let Some(id) = todo.pop() {
                if reached.insert(id)
                    && let Body::Dir { seen, durable } = &self.node(id).body
                {
                    todo.extend(seen.values().chain(durable.values()));
                }
            }
            let is_reached = |change: &&Change| change.is_in(&reached) && !reached.contains(&change.node);
            todo.extend(self.pending.iter().filter(is_reached).map(|change| change.node));
            if todo.is_empty() {
                break;
            }
        }
        self.nodes.retain(|id, _| reached.contains(id));
        self.pending.retain(|change| change.is_in(&reached));
    }

    /// What a power cut leaves.
    pub(super) fn after_crash(&self, lottery: &mut Lottery) -> Tree {
        let mut left = self.clone();
        let pending = std::mem::take(&mut left.pending);
        let leaves = lottery.draw(pending.len());
        for (number, Change { node, to, .. }) in pending.into_iter().enumerate() {
            if lottery.pick(leaves, number, 1) == 1 {
                left.place(View::Durable, node, to);
            }
        }
        let mut nodes = BTreeMap::new();
        let mut todo = vec![ROOT];
        while let Some(id) = todo.pop() {
            let node = &left.nodes[&id];
            if let Body::Dir { durable, .. } = &node.body {
                todo.extend(durable.values());
            }
            nodes.insert(id, node.after_crash(lottery));
        }
        Tree { nodes, ..left }
    }
}

impl Body {
    fn empty_dir() -> Body {
        Body::Dir { seen: Names::new(), durable: Names::new() }
    }
}

impl Node {
    fn after_crash(self: &Arc<Node>, lottery: &mut Lottery) -> Arc<Node> {
        let is_settled = self.seen == self.durable
            && match &self.body {
                Body::File(content) => content.is_settled(),
                Body::Dir { seen, durable } => seen == durable,
            };
        if is_settled {
            return self.clone();
        }
        let body = match &self.body {
            Body::File(content) if content.is_settled() => Body::File(content.clone()),
            Body::File(content) => Body::File(Arc::new(content.after_crash(lottery))),
            Body::Dir { durable, .. } => Body::Dir { seen: durable.clone(), durable: durable.clone() },
        };
        Arc::new(Node { seen: self.durable.clone(), durable: self.durable.clone(), body })
    }
}

impl Change {
    fn touches(&self, dir: NodeId) -> bool {
        self.from.iter().chain(&self.to).any(|(changed, _)| *changed == dir)
    }

    /// Whether it is one of a directory among these, which the node is in after it, or was in before.
    fn is_in(&self, dirs: &BTreeSet<NodeId>) -> bool {
        self.to.as_ref().or(self.from.as_ref()).is_some_and(|(dir, _)| dirs.contains(dir))
    }
}

/// The names along a path.
fn parts(path: &Path) -> io::Result<Vec<&str>> {
    let parts = path.components().filter_map(|part| match part {
        Component::RootDir | Component::CurDir => None,
        Component::Normal(name) => Some(name.to_str().ok_or(Errno::INVAL.into())),
        Component::Prefix(_) | Component::ParentDir => Some(Err(Errno::INVAL.into())),
    });
    parts.collect()
}
