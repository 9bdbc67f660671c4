//! A disk that loses power: a file of a FUSE file system of our own, under a loop device, under a real file
//! system.
//!
//! ```text
//! broker ─ ext4, xfs, btrfs ─ loop device ─ FUSE file ─ serve (a process of its own)
//!                                            READ, WRITE, FSYNC = a disk's read, write, flush
//!
//! image      what the disk holds, and what is left of it without power
//! order      what the disk is told: cut, fail, heal, and when
//! disk       the FUSE side: each request by the state of the power
//! serve      the process that is the disk
//! handle     the rig's end of it
//! attach     the loop device
//! volume     a file system on it: made, mounted, rebooted
//! tmpfs      a file system in memory, without a disk
//! private    mounts that nobody else sees, and that end with this process
//! ```
//!
//! The disk is a process of its own: a thread that waits for it in the kernel cannot be killed, and would
//! keep alive what it waits for.

mod attach;
mod disk;
mod handle;
mod image;
mod order;
pub(crate) mod private;
mod serve;
mod tmpfs;
mod volume;

pub(crate) use order::{Afterwards, Cut, Failure, Loss, When};
pub use serve::DiskArgs;
pub(crate) use tmpfs::Tmpfs;
pub(crate) use volume::{FileSystem, Volume, VolumeOptions};
