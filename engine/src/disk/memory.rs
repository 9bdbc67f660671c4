//! `MemoryDisk`: the simulated disk, files in memory. Its owner decides when each sync is done.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{AlignedBuf, DirEntry, Disk, File, IoDone, IoQueue, OpenFile, OpenMode, Space, SyncKind};

/// A tree of files and directories in memory. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk {
    tree: Arc<Mutex<BTreeMap<PathBuf, Node>>>,
    queues: Arc<Mutex<Vec<MemoryQueue>>>,
    changes: Arc<Mutex<Changes>>,
}

/// Changes of the tree that may still be made.
#[derive(Debug)]
struct Changes {
    left: usize,
    has_failed: bool,
}

impl Default for Changes {
    fn default() -> Changes {
        Changes { left: usize::MAX, has_failed: false }
    }
}

#[derive(Debug, Clone)]
enum Node {
    Dir,
    File(Arc<MemoryFile>),
}

#[derive(Debug, Default)]
struct MemoryFile(Mutex<Vec<u8>>);

impl MemoryDisk {
    /// The queues that shards have taken, in the order in which they took them.
    pub fn queues(&self) -> Vec<MemoryQueue> {
        lock(&self.queues).clone()
    }
}

impl MemoryDisk {
    /// The same files in a tree of their own.
    pub fn copy(&self) -> MemoryDisk {
        let tree = lock(&self.tree).clone().into_iter().map(|(path, node)| match node {
            Node::Dir => (path, Node::Dir),
            Node::File(file) => (path, Node::File(Arc::new(MemoryFile(Mutex::new(lock(&file.0).clone()))))),
        });
        MemoryDisk { tree: Arc::new(Mutex::new(tree.collect())), ..MemoryDisk::default() }
    }

    /// Lets so many changes of names happen; every one behind them fails, as if the process had ended.
    pub fn fail_changes_after(&self, changes: usize) {
        *lock(&self.changes) = Changes { left: changes, has_failed: false };
    }

    /// Whether a change has failed since.
    pub fn has_failed(&self) -> bool {
        lock(&self.changes).has_failed
    }

    fn change(&self) -> io::Result<()> {
        let mut changes = lock(&self.changes);
        match changes.left.checked_sub(1) {
            Some(left) => {
                changes.left = left;
                Ok(())
            }
            None => {
                changes.has_failed = true;
                Err(io::Error::other("the process has ended"))
            }
        }
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<OpenFile> {
        let mut tree = lock(&self.tree);
        match (tree.get(path), mode) {
            (Some(Node::File(file)), OpenMode::Existing | OpenMode::Direct) => Ok(file.clone()),
            (Some(Node::Dir), OpenMode::Directory) => Ok(Arc::new(MemoryFile::default())),
            (Some(_), OpenMode::CreateNew) => Err(io::ErrorKind::AlreadyExists.into()),
            (Some(Node::File(_)), OpenMode::Directory) => Err(io::ErrorKind::NotADirectory.into()),
            (Some(Node::Dir), _) => Err(io::ErrorKind::IsADirectory.into()),
            (None, OpenMode::Existing | OpenMode::Direct | OpenMode::Directory) => {
                Err(io::ErrorKind::NotFound.into())
            }
            (Some(Node::File(_)), OpenMode::Replace) | (None, OpenMode::CreateNew | OpenMode::Replace) => {
                let is_in_dir = path.parent().is_some_and(|dir| matches!(tree.get(dir), Some(Node::Dir)));
                if !is_in_dir {
                    return Err(io::ErrorKind::NotFound.into());
                }
                self.change()?;
                let file = Arc::new(MemoryFile::default());
                tree.insert(path.to_owned(), Node::File(file.clone()));
                Ok(file)
            }
        }
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match lock(&self.tree).get(path) {
            Some(Node::File(file)) => Ok(lock(&file.0).clone()),
            Some(Node::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let tree = lock(&self.tree);
        if !tree.contains_key(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let below = tree.iter().filter(|(path, _)| path.parent() == Some(dir));
        Ok(below
            .filter_map(|(path, node)| Some((path.file_name()?.to_str()?, node)))
            .map(|(name, node)| {
                let len = match node {
                    Node::Dir => 0,
                    Node::File(file) => lock(&file.0).len() as u64,
                };
                DirEntry { name: name.to_owned(), is_dir: matches!(node, Node::Dir), len }
            })
            .collect())
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut tree = lock(&self.tree);
        if !tree.contains_key(dir) {
            self.change()?;
        }
        for part in dir.ancestors() {
            if let Node::File(_) = tree.entry(part.to_owned()).or_insert(Node::Dir) {
                return Err(io::ErrorKind::NotADirectory.into());
            }
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut tree = lock(&self.tree);
        let moved: Vec<PathBuf> = tree.keys().filter(|path| path.starts_with(from)).cloned().collect();
        if moved.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.change()?;
        for old in moved {
            let node = tree.remove(&old).expect("the key was just listed");
            let below = old.strip_prefix(from).expect("the key begins with it");
            let new = if below.as_os_str().is_empty() { to.to_owned() } else { to.join(below) };
            tree.insert(new, node);
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut tree = lock(&self.tree);
        match tree.get(path) {
            Some(Node::File(_)) => {
                self.change()?;
                tree.remove(path)
            }
            Some(Node::Dir) => return Err(io::ErrorKind::IsADirectory.into()),
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(())
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut tree = lock(&self.tree);
        if !tree.contains_key(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.change()?;
        tree.retain(|path, _| !path.starts_with(dir));
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.open(dir, OpenMode::Directory).map(drop)
    }

    fn lock(&self, path: &Path) -> io::Result<OpenFile> {
        self.open(path, OpenMode::Replace)
    }

    fn space(&self, _dir: &Path) -> io::Result<Space> {
        Ok(Space { total: 1 << 40, free: 1 << 40 })
    }

    fn io_queue(&self) -> io::Result<Box<dyn IoQueue>> {
        let queue = MemoryQueue::default();
        lock(&self.queues).push(queue.clone());
        Ok(Box::new(queue))
    }
}

impl File for MemoryFile {
    fn write_all_at(&self, parts: [&[u8]; 2], position: u64) -> io::Result<()> {
        let mut content = lock(&self.0);
        let mut at = position as usize;
        for part in parts {
            let end = at + part.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[at..end].copy_from_slice(part);
            at = end;
        }
        Ok(())
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        let content = lock(&self.0);
        let from = content.len().min(position as usize);
        let len = buf.len().min(content.len() - from);
        buf[..len].copy_from_slice(&content[from..from + len]);
        Ok(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.0).len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        lock(&self.0).resize(len as usize, 0);
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let mut content = lock(&self.0);
        let len = content.len().max(len as usize);
        content.resize(len, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn drop_cached(&self) -> io::Result<()> {
        Ok(())
    }

    fn is_direct(&self) -> bool {
        false
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// Syncs that a shard has submitted. Clones share it: the shard submits and reaps, the owner finishes.
#[derive(Debug, Clone, Default)]
pub struct MemoryQueue(Arc<Mutex<Syncs>>);

#[derive(Debug, Default)]
struct Syncs {
    in_flight: Vec<(u64, Option<AlignedBuf>)>,
    done: Vec<IoDone>,
}

impl MemoryQueue {
    /// How many syncs are in flight.
    pub fn in_flight(&self) -> usize {
        lock(&self.0).in_flight.len()
    }

    /// Finishes one sync, in any order the owner likes: `index` below [`MemoryQueue::in_flight`].
    pub fn finish(&self, index: usize, result: io::Result<()>) {
        let mut syncs = lock(&self.0);
        let (token, buf) = syncs.in_flight.remove(index);
        syncs.done.push(IoDone { token, result, buf });
    }
}

impl IoQueue for MemoryQueue {
    fn sync(&mut self, _file: &OpenFile, _kind: SyncKind, token: u64) -> io::Result<()> {
        lock(&self.0).in_flight.push((token, None));
        Ok(())
    }

    fn write(&mut self, file: &OpenFile, buf: AlignedBuf, position: u64, token: u64) -> io::Result<()> {
        super::assert_whole_blocks(&buf, position);
        file.write_all_at([buf.as_slice(), &[]], position)?;
        lock(&self.0).in_flight.push((token, Some(buf)));
        Ok(())
    }

    fn reap(&mut self, done: &mut Vec<IoDone>) {
        done.append(&mut lock(&self.0).done);
    }

    fn completion_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder of the lock panics")
}
