//! The ledger: clients that write down what they sent, what was acknowledged and what they saw, and a check
//! of a broker against it.
//!
//! ```text
//! record      a record that says who sent it, and whose every byte follows from that
//! book        sent, acknowledged, seen: what must be there, what may be, and what contradicts it
//! producer    an idempotent producer: five requests in flight, repeats what was not answered
//! reader      reads to the end; a tailing one remembers what it saw
//! clients     all of them, held and let go
//! fill        much data, fast
//! proxy       drops responses
//! ```

mod book;
mod clients;
mod fill;
mod producer;
mod proxy;
mod reader;
mod record;

pub(crate) use book::Book;
pub(crate) use clients::{Clients, ClientsOptions};
pub(crate) use fill::{Filling, produce_once};
pub(crate) use proxy::Proxy;
pub(crate) use reader::{fetch_code, read_all};
