//! The rig: starts Logmill and Apache Kafka alike, runs Kafka's tools against them, counts what they use,
//! and leaves neither process, port nor directory behind.
//!
//! ```text
//! jars       Kafka's class path, fetched once             tool       one run of a Java tool
//! jvm        java, its flags and class-data archives      usage      CPU time and memory of a process
//! broker     one running broker, whichever it is          probe      does it serve, and what
//! process    a child, waited for and killed by its id     directory  a broker's own directory
//! cleanup    what must be gone when this process ends     confine    what a child does before exec
//! ports      numbers that nobody else takes               prepared   a directory that is made once
//! kernel     what a child is granted of it                old_rings  io_uring as an older one has it
//! connection requests and responses over TCP              error      why something failed
//! accounts   what else a process uses, and its disk
//! ```
//!
//! A run that ends by itself, by a panic or by Ctrl-C cleans up; after a SIGKILL the kernel takes the
//! children along, and the next run removes the directories.

mod accounts;
mod broker;
mod cleanup;
mod confine;
mod connection;
pub(crate) mod directory;
mod error;
mod jars;
mod jvm;
mod kernel;
mod old_rings;
mod ports;
mod prepared;
mod probe;
pub(crate) mod process;
mod tool;
mod usage;

pub use accounts::{Accounts, DeviceUse, ProcessUse};
pub use broker::{ApacheOptions, Broker, LogmillOptions};
pub(crate) use confine::give_up_io_uring;
pub use connection::Connection;
pub use error::Error;
pub use jars::{Jars, KAFKA_VERSION};
pub use jvm::JvmProfile;
pub(crate) use jvm::{java, use_java};
pub use kernel::Kernel;
pub use probe::api_versions;
pub use tool::{Tool, ToolOutput};
pub use usage::Usage;
