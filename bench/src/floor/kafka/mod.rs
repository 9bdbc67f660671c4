//! The floor for clients of Kafka's protocol: the very requests that brokers get, from the very client.
//!
//! Of a produce request each batch is checked, stamped with its offset where it lies and appended by `pwrite`;
//! a fetch is a head and a `sendfile` for each partition. What a client asks for once, topics and versions, goes
//! through kafka-protocol; nothing that it asks for all the time does. One thread, for partitions that all
//! connections see.
//!
//! ```text
//! serve -> conn -> produce (read as it arrives) -> topics -> store (pwrite) -> answer
//!               -> fetch (waits when there is too little) -> topics -> answer, sendfile
//!               -> control (all else)
//! ```

mod conn;
mod control;
mod cursor;
mod fetch;
mod produce;
mod serve;
mod topics;

pub(super) use serve::serve;
