//! The broker: the Kafka protocol in front of the storage engine.
