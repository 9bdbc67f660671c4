//! The environment variables of Kafka's container images, mapped to keys.

/// Variables that begin like keys and set up the Java process of the container images.
const NOT_KEYS: [&str; 5] = [
    "KAFKA_HEAP_OPTS",
    "KAFKA_OPTS",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_TOOLS_LOG4J_LOGLEVEL",
    "KAFKA_VERSION",
];
const NOT_KEYS_PREFIXES: [&str; 3] = ["KAFKA_JMX_", "KAFKA_LOG4J_", "KAFKA_GC_"];

/// The key that the variable `name` sets; `None` for a variable that is none of ours.
pub(super) fn key(name: &str) -> Option<String> {
    // Apache's own image takes the id for the first format from here.
    if name == "CLUSTER_ID" {
        return Some("cluster.id".to_owned());
    }
    let suffix = name.strip_prefix("KAFKA_").filter(|suffix| !suffix.is_empty())?;
    let sets_up_java =
        NOT_KEYS.contains(&name) || NOT_KEYS_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    (!sets_up_java).then(|| unmangle(suffix))
}

/// `_` stands for a dot, `__` for an underscore, `___` for a dash.
fn unmangle(suffix: &str) -> String {
    let mut key = String::with_capacity(suffix.len());
    let mut rest = suffix;
    while let Some(first) = rest.chars().next() {
        let (from, to) = match first {
            '_' if rest.starts_with("___") => ("___", '-'),
            '_' if rest.starts_with("__") => ("__", '_'),
            '_' => ("_", '.'),
            other => {
                key.extend(other.to_lowercase());
                rest = &rest[other.len_utf8()..];
                continue;
            }
        };
        key.push(to);
        rest = &rest[from.len()..];
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn underscores_become_dots_underscores_and_dashes() {
        for (name, expected) in [
            ("KAFKA_NODE_ID", "node.id"),
            ("KAFKA_LISTENER_NAME_A__B_X", "listener.name.a_b.x"),
            ("KAFKA_LISTENER_NAME_A___B_X", "listener.name.a-b.x"),
            ("KAFKA_A____B", "a-.b"),
            ("KAFKA_LOGMILL_ACK", "logmill.ack"),
            ("KAFKA_CLUSTER_ID", "cluster.id"),
            ("CLUSTER_ID", "cluster.id"),
            ("KAFKA_ZOOKEEPER_CONNECT", "zookeeper.connect"),
        ] {
            assert_eq!(key(name).as_deref(), Some(expected), "{name}");
        }
    }

    #[test]
    fn variables_of_the_java_process_are_no_keys() {
        for name in [
            "PATH",
            "KAFKA_",
            "KAFKA",
            "KAFKA_HEAP_OPTS",
            "KAFKA_OPTS",
            "KAFKA_JMX_PORT",
            "KAFKA_LOG4J_ROOT_LOGLEVEL",
            "KAFKA_GC_LOG_OPTS",
        ] {
            assert_eq!(key(name), None, "{name}");
        }
    }
}
