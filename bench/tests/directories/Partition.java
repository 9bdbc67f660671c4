import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Future;
import java.util.zip.CRC32C;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Writes to a partition of a broker as many kinds of producers do, or tells all that the broker answers of it. */
public final class Partition {
    private static final TopicPartition PARTITION = new TopicPartition("t", 0);
    private static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");
    /** Indexes hold so few entries that segments are small. */
    private static final Map<String, String> TOPIC =
        Map.of("segment.index.bytes", "96", "index.interval.bytes", "0");
    private static final int ROUNDS = 12;

    private final String bootstrap;
    private final long begin;
    private int made = 0;

    private Partition(String bootstrap, long begin) {
        this.bootstrap = bootstrap;
        this.begin = begin;
    }

    private KafkaProducer<byte[], byte[]> producer(String codec, String transactionalId) {
        Map<String, Object> settings = new TreeMap<>(Map.of(
            "bootstrap.servers", bootstrap, "compression.type", codec, "acks", "all", "linger.ms", "60000"));
        if (transactionalId != null) {
            settings.put("transactional.id", transactionalId);
            settings.put("transaction.timeout.ms", "900000");
        }
        return new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    /** Sends so many records, as one batch. */
    private void send(KafkaProducer<byte[], byte[]> producer, int count) throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (int record = 0; record < count; record++) {
            int number = made++;
            // Now and then a clock is behind.
            long timestamp = begin + number * 10L - (number % 7 == 3 ? 35 : 0);
            byte[] key = number % 5 == 1 ? null : bytes("key-" + number);
            byte[] value = number % 9 == 4 ? null : bytes(("value " + number + " ").repeat(1 + number % 40));
            List<Header> headers = number % 4 != 0 ? List.of()
                : List.of(new RecordHeader("trace", bytes("id")), new RecordHeader("empty", null));
            sent.add(producer.send(new ProducerRecord<>("t", 0, timestamp, key, value, headers)));
        }
        producer.flush();
        for (Future<RecordMetadata> one : sent) {
            one.get();
        }
    }

    private void write() throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            admin.createTopics(List.of(new NewTopic("t", 1, (short) 1).configs(TOPIC))).all().get();
        }
        List<KafkaProducer<byte[], byte[]>> idempotent = new ArrayList<>();
        List<KafkaProducer<byte[], byte[]>> transactional = new ArrayList<>();
        for (String codec : CODECS) {
            idempotent.add(producer(codec, null));
            KafkaProducer<byte[], byte[]> one = producer(codec, "transactional-" + codec);
            one.initTransactions();
            transactional.add(one);
        }
        KafkaProducer<byte[], byte[]> around = producer("zstd", "around");
        around.initTransactions();
        for (int round = 0; round < ROUNDS; round++) {
            KafkaProducer<byte[], byte[]> inner = transactional.get(round % CODECS.size());
            send(idempotent.get(round % CODECS.size()), 1 + round % 3);
            around.beginTransaction();
            send(around, 2);
            inner.beginTransaction();
            send(inner, 3);
            send(idempotent.get((round + 2) % CODECS.size()), 2);
            send(inner, 1);
            if (round % 2 == 0) {
                inner.commitTransaction();
            } else {
                inner.abortTransaction();
            }
            send(around, 1);
            if (round % 3 == 1) {
                around.commitTransaction();
            } else {
                around.abortTransaction();
            }
        }
        // One that stays open: the process ends without closing it.
        around.beginTransaction();
        send(around, 2);
        send(idempotent.get(0), 1);
    }

    private static String sum(byte[] bytes) {
        if (bytes == null) {
            return "-";
        }
        CRC32C crc = new CRC32C();
        crc.update(bytes);
        return String.format("%d:%08x", bytes.length, crc.getValue());
    }

    private void tellRecords(String name, String isolation) {
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap, "isolation.level", isolation);
        try (var consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.assign(List.of(PARTITION));
            consumer.seekToBeginning(List.of(PARTITION));
            long end = consumer.endOffsets(List.of(PARTITION)).get(PARTITION);
            while (consumer.position(PARTITION) < end) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
                    StringBuilder line = new StringBuilder(name + " " + record.offset() + " "
                        + record.timestamp() + " " + sum(record.key()) + " " + sum(record.value()));
                    for (Header header : record.headers()) {
                        line.append(" ").append(header.key()).append("=").append(sum(header.value()));
                    }
                    System.out.println(line);
                }
            }
        }
    }

    private static long offset(Admin admin, OffsetSpec spec, IsolationLevel isolation) throws Exception {
        var options = new org.apache.kafka.clients.admin.ListOffsetsOptions(isolation);
        return admin.listOffsets(Map.of(PARTITION, spec), options).partitionResult(PARTITION).get().offset();
    }

    private static void tellTime(Admin admin, long time) throws Exception {
        OffsetSpec spec = time == -3 ? OffsetSpec.maxTimestamp() : OffsetSpec.forTimestamp(time);
        var found = admin.listOffsets(Map.of(PARTITION, spec)).partitionResult(PARTITION).get();
        String answer = found.offset() < 0 ? "none" : found.offset() + " " + found.timestamp();
        System.out.println("time " + time + " " + answer);
    }

    private void tell() throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            System.out.println("offsets " + offset(admin, OffsetSpec.earliest(), IsolationLevel.READ_UNCOMMITTED)
                + " " + offset(admin, OffsetSpec.latest(), IsolationLevel.READ_UNCOMMITTED)
                + " " + offset(admin, OffsetSpec.latest(), IsolationLevel.READ_COMMITTED));
            tellRecords("all", "read_uncommitted");
            tellRecords("committed", "read_committed");
            for (long time = begin - 40; time < begin + 1500; time += 7) {
                tellTime(admin, time);
            }
            tellTime(admin, -3);
            var told = admin.describeProducers(List.of(PARTITION)).partitionResult(PARTITION).get();
            Map<Long, String> producers = new TreeMap<>();
            for (ProducerState state : told.activeProducers()) {
                producers.put(state.producerId(), "producer " + state.producerId() + " " + state.producerEpoch()
                    + " " + state.lastSequence() + " " + state.lastTimestamp()
                    + " " + state.coordinatorEpoch().orElse(-1)
                    + " " + state.currentTransactionStartOffset().orElse(-1));
            }
            producers.values().forEach(System.out::println);
        }
    }

    public static void main(String[] arguments) throws Exception {
        Partition partition = new Partition(arguments[1], Long.parseLong(arguments[2]));
        if (arguments[0].equals("write")) {
            partition.write();
        } else {
            partition.tell();
        }
        System.out.flush();
        // A client that is closed would end its transaction.
        Runtime.getRuntime().halt(0);
    }
}
