//! The broker under simulation: all shards on one thread, over a network, a clock and a disk in memory.
//!
//! A seed decides everything that outside of simulation the machine decides: which shard runs next, how
//! many bytes of a connection arrive at a time, when a sync is done. The same seed gives the same run, event
//! for event ([`World::take_trace`]).

mod executor;
mod network;
mod world;

pub use network::SimSocket;
pub use world::{Event, World};
