//! The cases: what is run, one list.

use super::contender::Durability::{BothDurable, BothPageCache, Defaults};
use super::contender::{Contender, Durability};

/// One row of figures for each durability.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Case {
    pub name: String,
    pub title: String,
    pub chapter: Chapter,
    pub work: Work,
    pub durabilities: &'static [Durability],
    pub has_floor: bool,
    /// Whether a tuned Apache Kafka runs too, when there is one.
    pub has_tuned: bool,
    /// Unless told otherwise.
    pub pairs: u32,
}

/// What a case is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chapter {
    Produce,
    Latency,
    Fetch,
    Start,
    Idle,
    Java,
}

impl Chapter {
    pub(super) const ALL: [Chapter; 6] =
        [Chapter::Produce, Chapter::Latency, Chapter::Fetch, Chapter::Start, Chapter::Idle, Chapter::Java];

    pub(super) fn title(self) -> &'static str {
        match self {
            Chapter::Produce => "Produce, as fast as it goes",
            Chapter::Latency => "Latency at a fixed rate",
            Chapter::Fetch => "Fetch",
            Chapter::Start => "Start",
            Chapter::Idle => "Idle",
            Chapter::Java => "Produce through kafka-producer-perf-test",
        }
    }
}

/// What a leg does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Sends as fast as it is acknowledged.
    Produce(Shape),
    /// The base's shape at so many percent of Apache Kafka's most.
    Latency { percent: u32 },
    /// The same at half of it, through small segments that are rolled and given up.
    Roll,
    /// So many consumers read what is being sent, 40 MB/s.
    Tail { fan_out: u32 },
    /// So many consumers read a backlog, cold and then warm.
    CatchUp { fan_out: u32 },
    /// One reads it while producers send 20 MB/s elsewhere.
    CatchUpBeside,
    /// From exec to an answer, on an empty directory.
    StartEmpty,
    /// The same with 1,000 partitions and 10 GiB.
    StartFull { is_killed: bool },
    /// Nobody asks for anything.
    Idle { partitions: u32 },
    /// kafka-producer-perf-test, in rounds of its own.
    JavaProducer,
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub partitions: u32,
    pub producers: u32,
    pub record_bytes: u32,
    pub batch_bytes: u32,
    pub has_keys: bool,
}

/// From here the axes are swept, one at a time.
pub(super) const BASE: Shape =
    Shape { partitions: 16, producers: 4, record_bytes: 1024, batch_bytes: 16 << 10, has_keys: false };

/// The case whose Apache Kafka legs say what half of its most is.
pub(super) const BASE_NAME: &str = "base";

const ALL: &[Durability] = &[Defaults, BothDurable, BothPageCache];
const A: &[Durability] = &[Defaults];
const A_C: &[Durability] = &[Defaults, BothPageCache];
const C: &[Durability] = &[BothPageCache];

/// Pairs of what has a wanted ratio, and of the axes: so a run takes two hours at most.
const WANTED: u32 = 5;
const AXIS: u32 = 2;

/// All that a run has by default, in its order, and `java-producer`, which is run when it is named.
pub(super) fn cases() -> Vec<Case> {
    let produce = |name, title, shape| case(name, title, Chapter::Produce, Work::Produce(shape), ALL, AXIS);
    vec![
        case(
            BASE_NAME,
            "1 KiB records, 16 KiB batches, 16 partitions, 4 producers",
            Chapter::Produce,
            Work::Produce(BASE),
            ALL,
            WANTED,
        )
        .beside_floor()
        .beside_tuned(),
        case(
            "batches-1m",
            "1 MiB batches",
            Chapter::Produce,
            Work::Produce(Shape { batch_bytes: 1 << 20, ..BASE }),
            A_C,
            WANTED,
        )
        .beside_floor(),
        produce("partitions-1", "1 partition", Shape { partitions: 1, ..BASE }),
        produce("partitions-100", "100 partitions", Shape { partitions: 100, ..BASE }),
        case(
            "partitions-1000",
            "1,000 partitions",
            Chapter::Produce,
            Work::Produce(Shape { partitions: 1_000, ..BASE }),
            ALL,
            WANTED,
        )
        .beside_tuned(),
        produce("producers-1", "1 producer", Shape { producers: 1, ..BASE }),
        produce("producers-16", "16 producers", Shape { producers: 16, ..BASE }),
        produce("producers-50", "50 producers", Shape { producers: 50, ..BASE }),
        produce("records-100", "100-byte records", Shape { record_bytes: 100, ..BASE }),
        produce("keys", "keys, 10,000 of them at random", Shape { has_keys: true, ..BASE }),
        latency(50).beside_tuned(),
        latency(10),
        case(
            "roll",
            "through retention and segment roll: 16 MiB segments, 32 MiB kept of each partition, 50% of Apache Kafka's most",
            Chapter::Latency,
            Work::Roll,
            A_C,
            AXIS,
        ),
        case(
            "tail",
            "tail, 40 MB/s: CPU of broker per GB read, the producing of it included",
            Chapter::Fetch,
            Work::Tail { fan_out: 1 },
            A_C,
            WANTED,
        )
        .beside_floor(),
        case("tail-5", "tail, 40 MB/s, read five times", Chapter::Fetch, Work::Tail { fan_out: 5 }, C, AXIS)
            .beside_floor(),
        case(
            "catch-up",
            "catch-up of a cold 4 GiB backlog, then of the same warm",
            Chapter::Fetch,
            Work::CatchUp { fan_out: 1 },
            C,
            WANTED,
        )
        .beside_floor(),
        case(
            "catch-up-5",
            "the same, read five times",
            Chapter::Fetch,
            Work::CatchUp { fan_out: 5 },
            C,
            AXIS,
        )
        .beside_floor(),
        case(
            "catch-up-beside",
            "catch-up of a cold 4 GiB backlog while others produce 20 MB/s; latency is theirs",
            Chapter::Fetch,
            Work::CatchUpBeside,
            C,
            AXIS,
        ),
        case("start-empty", "empty directory", Chapter::Start, Work::StartEmpty, A, WANTED),
        case(
            "start-clean",
            "1,000 partitions, 10 GiB, after a clean stop",
            Chapter::Start,
            Work::StartFull { is_killed: false },
            A,
            WANTED,
        ),
        case(
            "start-killed",
            "1,000 partitions, 10 GiB, after a kill under load",
            Chapter::Start,
            Work::StartFull { is_killed: true },
            A,
            WANTED,
        ),
        idle(0),
        idle(1_000),
        idle(5_000),
        case(
            "java-producer",
            "1 KiB records, 16 KiB batches, 16 partitions, by kafka-producer-perf-test",
            Chapter::Java,
            Work::JavaProducer,
            &[],
            WANTED,
        ),
    ]
}

/// Every combination of the axes of produce.
pub(super) fn grid() -> Vec<Case> {
    let mut grid = Vec::new();
    for batch_bytes in [16 << 10, 1 << 20] {
        for partitions in [1, 16, 100, 1_000] {
            for producers in [1, 4, 16, 50] {
                for record_bytes in [1024, 100] {
                    for has_keys in [false, true] {
                        let shape = Shape { partitions, producers, record_bytes, batch_bytes, has_keys };
                        grid.push(combination(shape));
                    }
                }
            }
        }
    }
    grid
}

fn combination(shape: Shape) -> Case {
    let Shape { partitions, producers, record_bytes, batch_bytes, has_keys } = shape;
    let keys = if has_keys { ("-keys", ", keys") } else { ("", "") };
    let batch_kib = batch_bytes >> 10;
    let name = format!("grid-{partitions}-{producers}-{record_bytes}-{batch_kib}k{}", keys.0);
    let title = format!(
        "{partitions} partitions, {producers} producers, {record_bytes}-byte records, {batch_kib} KiB batches{}",
        keys.1
    );
    case(&name, &title, Chapter::Produce, Work::Produce(shape), ALL, AXIS)
}

fn latency(percent: u32) -> Case {
    let name = format!("latency-{percent}");
    let title = format!("base at {percent}% of Apache Kafka's most, from when a record was due");
    case(&name, &title, Chapter::Latency, Work::Latency { percent }, A_C, WANTED)
}

fn idle(partitions: u32) -> Case {
    let title = match partitions {
        0 => "no partitions".to_owned(),
        partitions => format!("{},000 partitions", partitions / 1_000),
    };
    case(&format!("idle-{partitions}"), &title, Chapter::Idle, Work::Idle { partitions }, A, WANTED)
}

fn case(
    name: &str,
    title: &str,
    chapter: Chapter,
    work: Work,
    durabilities: &'static [Durability],
    pairs: u32,
) -> Case {
    Case {
        name: name.to_owned(),
        title: title.to_owned(),
        chapter,
        work,
        durabilities,
        has_floor: false,
        has_tuned: false,
        pairs,
    }
}

impl Case {
    fn beside_floor(mut self) -> Case {
        self.has_floor = true;
        self
    }

    fn beside_tuned(mut self) -> Case {
        self.has_tuned = true;
        self
    }

    /// Whether a run has it that names none.
    pub(super) fn is_default(&self) -> bool {
        self.work != Work::JavaProducer
    }

    /// Whether a broker that ran before can take part: nobody starts or stops it, or changes its settings.
    pub(super) fn is_of_given(&self) -> bool {
        match self.work {
            Work::Produce(_) | Work::Latency { .. } | Work::Tail { .. } => true,
            Work::CatchUp { .. } | Work::CatchUpBeside => true,
            Work::Roll
            | Work::StartEmpty
            | Work::StartFull { .. }
            | Work::Idle { .. }
            | Work::JavaProducer => false,
        }
    }

    /// Who has a leg in each pair, in the order of the pair.
    pub(super) fn contenders(&self, has_tuned: bool) -> Vec<Contender> {
        let is_in_a_row = |contender: Contender| {
            self.durabilities.iter().any(|durability| {
                contender == durability.kafka()
                    || contender == durability.logmill()
                    || (self.has_floor && durability.floor() == Some(contender))
            })
        };
        let takes_part = |contender: &Contender| match contender {
            Contender::KafkaTuned => self.has_tuned && has_tuned,
            contender => is_in_a_row(*contender),
        };
        Contender::ALL.into_iter().filter(takes_part).collect()
    }

    /// Seconds of a leg of `seconds`, all that is around it included, as measured on two cores.
    pub(super) fn leg_seconds(&self, seconds: f64) -> f64 {
        match self.work {
            Work::Produce(_) | Work::Latency { .. } | Work::Roll | Work::Tail { .. } => seconds + 5.0,
            Work::CatchUp { fan_out } => 12.0 + 6.0 * f64::from(fan_out),
            Work::CatchUpBeside => 20.0,
            Work::StartEmpty => 4.0,
            Work::StartFull { is_killed } => {
                if is_killed {
                    25.0
                } else {
                    10.0
                }
            }
            // Both at once.
            Work::Idle { .. } => seconds / 2.0,
            Work::JavaProducer => 25.0 * 7.0,
        }
    }

    /// Seconds for what is made once for each contender.
    pub(super) fn preparation_seconds(&self) -> f64 {
        match self.work {
            Work::CatchUp { .. } | Work::CatchUpBeside => 30.0,
            Work::StartFull { .. } => 90.0,
            Work::Idle { partitions } => 10.0 + f64::from(partitions) / 100.0,
            Work::Roll => 20.0,
            _ => 0.0,
        }
    }

    /// GiB that it needs on the disk at its worst.
    pub(super) fn disk_gib(&self) -> u64 {
        match self.work {
            Work::Produce(_) | Work::JavaProducer => 14,
            Work::Latency { .. } | Work::Roll | Work::Tail { .. } => 6,
            Work::CatchUp { .. } => 14,
            Work::CatchUpBeside => 16,
            Work::StartFull { .. } => 24,
            Work::StartEmpty | Work::Idle { .. } => 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_in_cases_and_grid() {
        let all: Vec<Case> = cases().into_iter().chain(grid()).collect();
        let names: BTreeSet<&str> = all.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names.len(), all.len());
        assert_eq!(grid().len(), 2 * 4 * 4 * 2 * 2);
    }

    #[test]
    fn the_default_run_takes_two_hours_at_most() {
        let seconds: f64 = cases()
            .iter()
            .filter(|case| case.is_default())
            .map(|case| {
                let contenders = case.contenders(false).len() as f64;
                contenders * (case.preparation_seconds() + f64::from(case.pairs) * case.leg_seconds(20.0))
            })
            .sum();
        assert!(seconds < 7_200.0, "{seconds} s");
    }

    #[test]
    fn a_pair_has_everybody_who_is_in_one_of_its_rows() {
        use Contender::*;
        let of = |name: &str, tuned| {
            cases().into_iter().find(|case| case.name == name).expect("it is there").contenders(tuned)
        };
        assert_eq!(of("base", false), [Kafka, PageCache, Floor, Durable, FloorSync, KafkaFlush]);
        assert_eq!(of("base", true), [Kafka, KafkaTuned, PageCache, Floor, Durable, FloorSync, KafkaFlush]);
        assert_eq!(of("partitions-1", true), [Kafka, PageCache, Durable, KafkaFlush]);
        assert_eq!(of("catch-up", false), [Kafka, PageCache, Floor]);
        assert_eq!(of("idle-0", false), [Kafka, Durable]);
    }
}
