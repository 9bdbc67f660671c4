//! What one leg came to.

use std::time::Duration;

use super::producer::Shape;

/// Who ran a leg, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Contender {
    /// Apache Kafka as it comes: started for the leg. Acknowledges from the page cache, as it always does
    /// unless told to flush.
    ApacheFresh,
    /// Apache Kafka with its code compiled: one that has run for long.
    ApacheWarm,
    /// `logmill.ack=page-cache`.
    LogmillPageCache,
    /// `logmill.ack=durable`, the default.
    LogmillDurable,
    /// Acknowledges from the page cache, at the rate of the Logmill leg of its round and beside a client as
    /// busy as that one's.
    Floor,
    /// The same, as fast as it answers, beside a client that does next to nothing.
    FloorUnpaced,
    /// Acknowledges what is synced; else as `Floor`.
    FloorGroupCommit,
}

impl Contender {
    /// In the order of a round: those that are held against each other stand side by side.
    pub(super) const ALL: [Contender; 7] = [
        Contender::ApacheFresh,
        Contender::ApacheWarm,
        Contender::LogmillPageCache,
        Contender::Floor,
        Contender::LogmillDurable,
        Contender::FloorGroupCommit,
        Contender::FloorUnpaced,
    ];

    /// Its row's name, which says when it acknowledges.
    pub(super) fn title(self) -> &'static str {
        match self {
            Contender::ApacheFresh => "Apache Kafka as it comes, no fsync",
            Contender::ApacheWarm => "Apache Kafka warmed, no fsync",
            Contender::LogmillPageCache => "Logmill, no fsync (page-cache)",
            Contender::LogmillDurable => "Logmill, durable (default)",
            Contender::Floor => "floor, no fsync, at Logmill's rate",
            Contender::FloorUnpaced => "floor, no fsync, light client, unpaced",
            Contender::FloorGroupCommit => "floor, fdatasync, at Logmill's rate",
        }
    }

    /// Its name in the JSON report.
    pub(super) fn key(self) -> &'static str {
        match self {
            Contender::ApacheFresh => "apache_kafka_as_it_comes",
            Contender::ApacheWarm => "apache_kafka_warmed",
            Contender::LogmillPageCache => "logmill_page_cache",
            Contender::LogmillDurable => "logmill_durable",
            Contender::Floor => "floor",
            Contender::FloorUnpaced => "floor_unpaced",
            Contender::FloorGroupCommit => "floor_group_commit",
        }
    }
}

/// One leg's figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Leg {
    pub contender: Contender,
    pub records_per_s: f64,
    /// Millions of bytes of record values per second.
    pub mb_per_s: f64,
    /// CPU seconds of the server's process per 10^9 bytes of record values.
    pub cpu_s_per_gb: f64,
    /// The same of its client: legs whose clients differ were not run on the same machine, so to speak.
    pub client_cpu_s_per_gb: f64,
    /// What the requests looked like: a quicker broker is sent smaller ones.
    pub shape: Shape,
}

impl Leg {
    /// From the load of a leg, how long it took and the CPU time it cost.
    pub(super) fn new(
        contender: Contender,
        load: LegLoad,
        shape: Shape,
        elapsed: Duration,
        cpu: LegCpu,
    ) -> Leg {
        let bytes = load.records as f64 * f64::from(load.record_bytes);
        let s_per_gb = |cpu: Duration| cpu.as_secs_f64() / (bytes / 1e9);
        Leg {
            contender,
            records_per_s: load.records as f64 / elapsed.as_secs_f64(),
            mb_per_s: bytes / 1e6 / elapsed.as_secs_f64(),
            cpu_s_per_gb: s_per_gb(cpu.server),
            client_cpu_s_per_gb: s_per_gb(cpu.client),
            shape,
        }
    }
}

/// CPU time of a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LegCpu {
    pub server: Duration,
    pub client: Duration,
}

/// How much a leg sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LegLoad {
    pub records: u64,
    /// Bytes of a record's value.
    pub record_bytes: u32,
}
