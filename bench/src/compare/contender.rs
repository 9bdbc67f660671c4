//! `Contender`: who runs a leg, and `Durability`: who is put beside whom.

/// Who runs a leg, and when it acknowledges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Contender {
    /// Apache Kafka with its defaults: acknowledges from the page cache.
    Kafka,
    /// The same with the threads and the heap that a sweep found best.
    KafkaTuned,
    /// `logmill.ack=page-cache`.
    PageCache,
    /// Acknowledges what `pwrite` has taken.
    Floor,
    /// Logmill's default.
    Durable,
    /// Acknowledges what `fdatasync` has made durable, in waves.
    FloorSync,
    /// Apache Kafka, the topic with `flush.messages=1`.
    KafkaFlush,
}

use Contender::{Durable, Floor, FloorSync, Kafka, KafkaFlush, KafkaTuned, PageCache};

impl Contender {
    /// In the order of a pair: those that are held against each other stand side by side.
    pub(super) const ALL: [Contender; 7] =
        [Kafka, KafkaTuned, PageCache, Floor, Durable, FloorSync, KafkaFlush];

    /// Its name in the state file and in the JSON report.
    pub(super) fn key(self) -> &'static str {
        match self {
            Kafka => "kafka",
            KafkaTuned => "kafka_tuned",
            KafkaFlush => "kafka_flush",
            PageCache => "logmill_page_cache",
            Durable => "logmill_durable",
            Floor => "floor",
            FloorSync => "floor_sync",
        }
    }

    pub(super) fn from_key(key: &str) -> Option<Contender> {
        Contender::ALL.into_iter().find(|contender| contender.key() == key)
    }

    /// Its name for people.
    pub(super) fn title(self) -> &'static str {
        match self {
            Kafka => "Apache Kafka",
            KafkaTuned => "Apache Kafka, tuned",
            KafkaFlush => "Apache Kafka, flush.messages=1",
            PageCache => "Logmill, page-cache",
            Durable => "Logmill, durable",
            Floor => "floor",
            FloorSync => "floor, fdatasync",
        }
    }

    pub(super) fn is_kafka(self) -> bool {
        matches!(self, Kafka | KafkaTuned | KafkaFlush)
    }

    pub(super) fn is_floor(self) -> bool {
        matches!(self, Floor | FloorSync)
    }

    /// Its colour in plots: one hue for each product.
    pub(super) fn color(self) -> &'static str {
        match self {
            Kafka => "#c0392b",
            KafkaTuned => "#e67e22",
            KafkaFlush => "#8e2a5b",
            PageCache => "#2471a3",
            Durable => "#148f77",
            Floor => "#7f8c8d",
            FloorSync => "#b2babb",
        }
    }
}

/// What an acknowledgement means in a row of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// (a) Each one as it comes: Apache Kafka from the page cache, Logmill when it is durable.
    Defaults,
    /// (b) Both when it is durable.
    BothDurable,
    /// (c) Both from the page cache.
    BothPageCache,
}

impl Durability {
    pub(super) fn title(self) -> &'static str {
        match self {
            Durability::Defaults => "(a) each one's default",
            Durability::BothDurable => "(b) both durable",
            Durability::BothPageCache => "(c) both page cache",
        }
    }

    /// Apache Kafka's part in the row.
    pub(super) fn kafka(self) -> Contender {
        if self == Durability::BothDurable { KafkaFlush } else { Kafka }
    }

    /// Logmill's.
    pub(super) fn logmill(self) -> Contender {
        if self == Durability::BothPageCache { PageCache } else { Durable }
    }

    /// The floor that promises as much as both; there is none where they promise different things.
    pub(super) fn floor(self) -> Option<Contender> {
        match self {
            Durability::Defaults => None,
            Durability::BothDurable => Some(FloorSync),
            Durability::BothPageCache => Some(Floor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_name_contenders_and_no_two_the_same() {
        for contender in Contender::ALL {
            assert_eq!(Contender::from_key(contender.key()), Some(contender));
        }
        assert_eq!(Contender::from_key("redpanda"), None);
    }
}
