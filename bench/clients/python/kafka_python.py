"""kafka-python."""

import sys

from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from members import share
from records import PARTITIONS, RECORDS, key, value

CODECS = [None, "gzip", "snappy", "lz4", "zstd"]


def round_trip(bootstrap, topic, codec, acks):
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    admin.close()

    # Without acknowledgements it must not be idempotent, which it is by default.
    settings = {} if acks == "all" else {"enable_idempotence": False}
    producer = KafkaProducer(bootstrap_servers=bootstrap, compression_type=codec, acks=acks, **settings)
    sent = [
        producer.send(topic, value(number), key(number), partition=number % PARTITIONS)
        for number in range(RECORDS)
    ]
    producer.flush(60)
    for future in sent:
        future.get(60)
    producer.close()

    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=None, consumer_timeout_ms=60_000)
    partitions = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    read = {partition: [] for partition in range(PARTITIONS)}
    for record in consumer:
        assert record.offset == len(read[record.partition]), record.offset
        read[record.partition].append((record.key, record.value))
        if sum(map(len, read.values())) == RECORDS:
            break
    consumer.close()
    for partition, records in read.items():
        expected = [(key(n), value(n)) for n in range(RECORDS) if n % PARTITIONS == partition]
        assert records == expected, f"{topic}-{partition}: {len(records)} of {len(expected)}"


class Member:
    def __init__(self, bootstrap, topic):
        self.topic = topic
        self.consumer = KafkaConsumer(
            topic,
            bootstrap_servers=bootstrap,
            group_id="kafka-python",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )

    def poll(self):
        polled = self.consumer.poll(100)
        return [(at.partition, record.offset) for at, records in polled.items() for record in records]

    def assignment(self):
        return {at.partition for at in self.consumer.assignment()}

    def commit(self, offsets):
        self.consumer.commit(
            {TopicPartition(self.topic, at): OffsetAndMetadata(offset, "", -1) for at, offset in offsets.items()}
        )

    def close(self):
        self.consumer.close()


def committed(bootstrap, topic):
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id="kafka-python")
    found = {at: consumer.committed(TopicPartition(topic, at)) for at in range(PARTITIONS)}
    consumer.close(autocommit=False)
    return found


def main():
    bootstrap = sys.argv[1]
    combinations = [(codec, acks) for codec in CODECS for acks in [0, 1, "all"]]
    for codec, acks in combinations:
        round_trip(bootstrap, f"kafka-python-{codec}-{acks}", codec, acks)
    topic = "kafka-python-zstd-all"
    share(lambda: Member(bootstrap, topic), lambda: committed(bootstrap, topic))
    print(f"kafka-python: {len(combinations)} combinations")


main()
