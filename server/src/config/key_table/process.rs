//! What the process is: its name in the cluster, its listeners, its directories, and our own settings.

use super::{ALONE, key, unset};
use crate::config::keys::Effect::{Honoured, Ignored, Refused};
use crate::config::keys::Key;
use crate::config::value::Range::{Any, AtLeast, Between, ListOf, NotEmpty, OneOf, Text};
use crate::config::value::ValueType::{Boolean, Int, List, Long, String};

const SECURITY_PROTOCOLS: &[&str] = &["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];
const OPENED: &str = "every listener opens when the broker can serve";

pub(super) const KEYS: &[Key] = &[
    unset("node.id", Int, AtLeast(0), Honoured("The broker's id in its cluster; 1 without a file.")),
    key(
        "broker.id",
        Int,
        "-1",
        Any,
        Honoured("The older name of `node.id`; the same value where both are set."),
    ),
    unset(
        "process.roles",
        List,
        ListOf(&["broker", "controller"]),
        Honoured("Which parts run: both, in one process; a broker or a controller alone is refused."),
    ),
    unset(
        "cluster.id",
        String,
        Text,
        Honoured("The id that the first start gives to the data; a random one when unset."),
    ),
    unset("broker.rack", String, Any, Ignored(ALONE)),
    key(
        "listeners",
        List,
        "PLAINTEXT://:9092",
        Any,
        Honoured(
            "Where clients connect, `NAME://host:port`; without a host on every interface, port 0 takes a free one.",
        ),
    ),
    unset(
        "advertised.listeners",
        List,
        Any,
        Honoured("The addresses that clients are told, by listener; those of `listeners` when unset."),
    ),
    key(
        "listener.security.protocol.map",
        String,
        "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT",
        Any,
        Honoured("The protocol of each listener; clients are served over PLAINTEXT."),
    ),
    unset("inter.broker.listener.name", String, Any, Honoured("The listener that other brokers would use.")),
    key(
        "security.inter.broker.protocol",
        String,
        "PLAINTEXT",
        OneOf(SECURITY_PROTOCOLS),
        Refused("neither TLS nor SASL is served"),
    ),
    unset(
        "controller.listener.names",
        List,
        Any,
        Honoured("The listeners among `listeners` that are the controller's; they are not opened."),
    ),
    unset("early.start.listeners", List, Any, Ignored(OPENED)),
    unset("log.dirs", List, NotEmpty, Honoured("The directories of the logs; `log.dir` when unset.")),
    key(
        "log.dir",
        List,
        "/tmp/kafka-logs",
        NotEmpty,
        Honoured("The directory of the logs; `./data` without a file."),
    ),
    unset(
        "metadata.log.dir",
        String,
        Any,
        Honoured("The directory of the metadata log; the first of the log directories when unset."),
    ),
    key("cordoned.log.dirs", List, "", Any, Refused("every log directory takes new partitions")),
    key(
        "logmill.ack",
        String,
        "durable",
        OneOf(&["durable", "page-cache"]),
        Honoured(
            "What an acknowledgement means: the records are on the device, or in the page cache as in Apache Kafka.",
        ),
    ),
    key(
        "logmill.journal.bytes",
        Long,
        "536870912",
        AtLeast(1_048_576),
        Honoured(
            "Bytes of the journals of each log directory, divided among the shards; at most a hundredth of the disk.",
        ),
    ),
    unset(
        "logmill.shards",
        Int,
        Between(1, 1024),
        Honoured("Threads that own the partitions; one for each core when unset."),
    ),
    key(
        "logmill.shards.pin",
        Boolean,
        "false",
        Any,
        Honoured("Whether each of these threads stays on a core of its own."),
    ),
    key(
        "logmill.io",
        String,
        "auto",
        OneOf(&["auto", "uring", "syscalls"]),
        Honoured("How the disk is driven; `auto` takes io_uring where the kernel grants it."),
    ),
    key(
        "logmill.mailbox.messages",
        Int,
        "1024",
        AtLeast(1),
        Honoured("The most messages that wait from one shard to another."),
    ),
    unset(
        "logmill.metrics.listener",
        String,
        Any,
        Honoured(
            "`host:port` where metrics are served at /metrics, in the text format of Prometheus; nowhere when unset.",
        ),
    ),
];
