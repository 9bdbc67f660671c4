//! What a client may do, as bit fields: everything, because nothing is authorized.

/// Codes of the operations in Kafka's access control lists; each one's bit is the one of its code.
mod code {
    pub(super) const READ: u32 = 3;
    pub(super) const WRITE: u32 = 4;
    pub(super) const CREATE: u32 = 5;
    pub(super) const DELETE: u32 = 6;
    pub(super) const ALTER: u32 = 7;
    pub(super) const DESCRIBE: u32 = 8;
    pub(super) const CLUSTER_ACTION: u32 = 9;
    pub(super) const DESCRIBE_CONFIGS: u32 = 10;
    pub(super) const ALTER_CONFIGS: u32 = 11;
    pub(super) const IDEMPOTENT_WRITE: u32 = 12;
}

/// What can be done with a topic.
pub(crate) const ON_TOPIC: i32 = bits(&[
    code::READ,
    code::WRITE,
    code::CREATE,
    code::DELETE,
    code::ALTER,
    code::DESCRIBE,
    code::DESCRIBE_CONFIGS,
    code::ALTER_CONFIGS,
]);

/// What can be done with the cluster.
pub(crate) const ON_CLUSTER: i32 = bits(&[
    code::CREATE,
    code::ALTER,
    code::DESCRIBE,
    code::CLUSTER_ACTION,
    code::DESCRIBE_CONFIGS,
    code::ALTER_CONFIGS,
    code::IDEMPOTENT_WRITE,
]);

/// What can be done with a group.
pub(crate) const ON_GROUP: i32 =
    bits(&[code::READ, code::DELETE, code::DESCRIBE, code::DESCRIBE_CONFIGS, code::ALTER_CONFIGS]);

/// Stands for a bit field that nobody asked for.
pub(crate) const NOT_ASKED: i32 = i32::MIN;

const fn bits(codes: &[u32]) -> i32 {
    let mut bits = 0;
    let mut at = 0;
    while at < codes.len() {
        bits |= 1 << codes[at];
        at += 1;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bit_fields_are_those_that_apache_kafka_answers() {
        assert_eq!((ON_TOPIC, ON_CLUSTER, ON_GROUP), (3576, 8096, 3400));
    }
}
