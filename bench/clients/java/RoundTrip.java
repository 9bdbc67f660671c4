import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Future;
import java.util.function.BooleanSupplier;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Apache Kafka's own clients. */
public final class RoundTrip {
    private static final int RECORDS = 300;
    private static final int PARTITIONS = 2;

    private static String key(int number) {
        return "key " + number;
    }

    /** Of many lengths, the longest of several kilobytes, and worth compressing. */
    private static String value(int number) {
        return ("value " + number + " ").repeat(1 + number * number % 400);
    }

    private static void roundTrip(String bootstrap, String topic, String codec, String acks) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            admin.createTopics(List.of(new NewTopic(topic, PARTITIONS, (short) 1))).all().get();
        }
        Map<String, Object> settings =
            Map.of("bootstrap.servers", bootstrap, "compression.type", codec, "acks", acks);
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int number = 0; number < RECORDS; number++) {
                sent.add(producer.send(
                    new ProducerRecord<>(topic, number % PARTITIONS, key(number), value(number))));
            }
            for (Future<RecordMetadata> one : sent) {
                one.get();
            }
        }
        var partitions = IntStream.range(0, PARTITIONS).mapToObj(p -> new TopicPartition(topic, p)).toList();
        int[] next = new int[PARTITIONS];
        try (var consumer = new KafkaConsumer<>(
                Map.<String, Object>of("bootstrap.servers", bootstrap), new StringDeserializer(), new StringDeserializer())) {
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            int count = 0;
            while (count < RECORDS) {
                var records = consumer.poll(Duration.ofMinutes(1));
                if (records.isEmpty()) {
                    throw new AssertionError(topic + " ends after " + count + " records");
                }
                for (ConsumerRecord<String, String> record : records) {
                    int number = next[record.partition()] * PARTITIONS + record.partition();
                    if (record.offset() != next[record.partition()]
                            || !record.key().equals(key(number)) || !record.value().equals(value(number))) {
                        throw new AssertionError(record + " is not record " + number);
                    }
                    next[record.partition()]++;
                    count++;
                }
            }
        }
    }

    /** Reads in a thread of its own, commits and leaves when it is told to. */
    private static final class Member extends Thread {
        private final Map<String, Object> settings;
        private final String topic;
        private volatile Set<Integer> assigned = Set.of();
        private final Map<Integer, Long> last = new java.util.concurrent.ConcurrentHashMap<>();
        private volatile boolean ends;
        private volatile Exception failure;

        Member(String bootstrap, String topic, String assignor) {
            this.topic = topic;
            settings = Map.of("bootstrap.servers", bootstrap, "group.id", "java-" + assignor,
                "auto.offset.reset", "earliest", "enable.auto.commit", "false",
                "partition.assignment.strategy", "org.apache.kafka.clients.consumer." + assignor);
            setDaemon(true);
            start();
        }

        @Override
        public void run() {
            try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
                consumer.subscribe(List.of(topic));
                while (!ends) {
                    consumer.poll(Duration.ofMillis(100)).forEach(r -> last.put(r.partition(), r.offset()));
                    var partitions = new HashSet<Integer>();
                    consumer.assignment().forEach(at -> partitions.add(at.partition()));
                    assigned = partitions;
                }
                var offsets = new HashMap<TopicPartition, OffsetAndMetadata>();
                assigned.forEach(at ->
                    offsets.put(new TopicPartition(topic, at), new OffsetAndMetadata(last.get(at) + 1)));
                consumer.commitSync(offsets);
            } catch (Exception thrown) {
                failure = thrown;
            }
        }

        boolean hasRead(int partition) {
            return assigned.equals(Set.of(partition)) && last.getOrDefault(partition, -1L) == RECORDS / PARTITIONS - 1;
        }
    }

    private static void waitUntil(BooleanSupplier holds, String what, Member... members) throws Exception {
        long deadline = System.nanoTime() + Duration.ofMinutes(1).toNanos();
        while (!holds.getAsBoolean()) {
            for (Member member : members) {
                if (member.failure != null) {
                    throw member.failure;
                }
            }
            if (System.nanoTime() > deadline) {
                throw new AssertionError("not in time: " + what);
            }
            Thread.sleep(50);
        }
    }

    /** Two members share a topic; a third one goes on where they stopped. */
    private static void share(String bootstrap, String topic, String assignor) throws Exception {
        Member[] both = {new Member(bootstrap, topic, assignor), new Member(bootstrap, topic, assignor)};
        waitUntil(() -> both[0].hasRead(0) && both[1].hasRead(1) || both[0].hasRead(1) && both[1].hasRead(0),
            assignor + ": each member has read a partition of its own", both);
        for (Member member : both) {
            member.ends = true;
        }
        for (Member member : both) {
            member.join();
            if (member.failure != null) {
                throw member.failure;
            }
        }
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            var committed = admin.listConsumerGroupOffsets("java-" + assignor).partitionsToOffsetAndMetadata().get();
            for (int partition = 0; partition < PARTITIONS; partition++) {
                var found = committed.get(new TopicPartition(topic, partition));
                if (found == null || found.offset() != RECORDS / PARTITIONS) {
                    throw new AssertionError(assignor + " committed " + committed);
                }
            }
        }
        Member third = new Member(bootstrap, topic, assignor);
        waitUntil(() -> third.assigned.equals(Set.of(0, 1)), assignor + ": the third has both partitions", third);
        if (!third.last.isEmpty()) {
            throw new AssertionError(assignor + " reads again: " + third.last);
        }
    }

    public static void main(String[] arguments) throws Exception {
        int combinations = 0;
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            for (String acks : List.of("0", "1", "all")) {
                roundTrip(arguments[0], "java-" + codec + "-" + acks, codec, acks);
                combinations++;
            }
        }
        for (String assignor : List.of("RangeAssignor", "CooperativeStickyAssignor")) {
            share(arguments[0], "java-zstd-all", assignor);
        }
        System.out.println("Java: " + combinations + " combinations");
    }
}
