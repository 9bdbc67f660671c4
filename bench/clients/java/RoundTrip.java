import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
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

    public static void main(String[] arguments) throws Exception {
        int combinations = 0;
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            for (String acks : List.of("0", "1", "all")) {
                roundTrip(arguments[0], "java-" + codec + "-" + acks, codec, acks);
                combinations++;
            }
        }
        System.out.println("Java: " + combinations + " combinations");
    }
}
