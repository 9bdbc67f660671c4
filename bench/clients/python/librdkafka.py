"""librdkafka, through confluent-kafka."""

import sys

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from members import share
from records import PARTITIONS, RECORDS, key, value

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def round_trip(bootstrap, topic, codec, acks):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for created in admin.create_topics([NewTopic(topic, PARTITIONS, 1)]).values():
        created.result(60)

    failed = []
    producer = Producer({"bootstrap.servers": bootstrap, "compression.type": codec, "acks": acks})
    for number in range(RECORDS):
        producer.produce(
            topic,
            value(number),
            key(number),
            partition=number % PARTITIONS,
            on_delivery=lambda error, _: failed.append(error) if error else None,
        )
        producer.poll(0)
    assert producer.flush(60) == 0 and not failed, failed

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    read = {partition: [] for partition in range(PARTITIONS)}
    while sum(map(len, read.values())) < RECORDS:
        message = consumer.poll(60)
        assert message is not None, f"{topic}: only {read} came"
        if message.error():
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
            continue
        assert message.offset() == len(read[message.partition()]), message.offset()
        read[message.partition()].append((message.key(), message.value()))
    consumer.close()
    for partition, records in read.items():
        expected = [(key(n), value(n)) for n in range(RECORDS) if n % PARTITIONS == partition]
        assert records == expected, f"{topic}-{partition}"


class Member:
    def __init__(self, bootstrap, topic):
        self.topic = topic
        settings = {"group.id": "librdkafka", "auto.offset.reset": "earliest", "enable.auto.commit": False}
        self.consumer = Consumer({"bootstrap.servers": bootstrap, **settings})
        self.consumer.subscribe([topic])

    def poll(self):
        messages = self.consumer.consume(RECORDS, 0.1)
        for message in messages:
            assert not message.error(), message.error()
        return [(message.partition(), message.offset()) for message in messages]

    def assignment(self):
        return {at.partition for at in self.consumer.assignment()}

    def commit(self, offsets):
        offsets = [TopicPartition(self.topic, at, offset) for at, offset in offsets.items()]
        self.consumer.commit(offsets=offsets, asynchronous=False)

    def close(self):
        self.consumer.close()


def committed(bootstrap, topic):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "librdkafka"})
    found = consumer.committed([TopicPartition(topic, at) for at in range(PARTITIONS)], 60)
    consumer.close()
    return {at.partition: at.offset for at in found}


def main():
    bootstrap = sys.argv[1]
    combinations = [(codec, acks) for codec in CODECS for acks in ["0", "1", "all"]]
    for codec, acks in combinations:
        round_trip(bootstrap, f"librdkafka-{codec}-{acks}", codec, acks)
    topic = "librdkafka-zstd-all"
    share(lambda: Member(bootstrap, topic), lambda: committed(bootstrap, topic))
    print(f"librdkafka: {len(combinations)} combinations")


main()
