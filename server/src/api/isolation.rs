//! What the isolation level in a reader's request asks for.

use logmill_engine::partition::Isolation;

const READ_COMMITTED: i8 = 1;

/// As Apache Kafka reads it: everything else is for readers of all records.
pub(crate) fn isolation_of(level: i8) -> Isolation {
    if level == READ_COMMITTED { Isolation::Committed } else { Isolation::Uncommitted }
}
