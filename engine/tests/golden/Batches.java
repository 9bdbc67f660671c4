// Writes the batches of this directory with Apache Kafka 4.3.1's own classes:
//   java -cp 'LIBS/*' Batches.java DIRECTORY
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;

public class Batches {
    static final long TIME = 1_700_000_000_000L;

    public static void main(String[] arguments) throws Exception {
        Path directory = Path.of(arguments[0]);
        for (CompressionType codec : CompressionType.values()) {
            Compression compression = Compression.of(codec).build();
            for (byte magic = 0; magic <= 2; magic++) {
                if (codec == CompressionType.ZSTD && magic < 2)
                    continue;
                write(directory, codec.name + "-" + magic, records(magic, compression, TimestampType.CREATE_TIME));
            }
            write(directory, codec.name + "-append-time", records((byte) 2, compression, TimestampType.LOG_APPEND_TIME));
        }
        for (ControlRecordType type : new ControlRecordType[] {ControlRecordType.ABORT, ControlRecordType.COMMIT})
            write(directory, type.name().toLowerCase(), MemoryRecords.withEndTransactionMarker(
                50, TIME, 3, 7000, (short) 2, new EndTransactionMarker(type, 11)));
    }

    static MemoryRecords records(byte magic, Compression compression, TimestampType type) {
        boolean isNew = magic == 2;
        MemoryRecordsBuilder builder = MemoryRecords.builder(ByteBuffer.allocate(1 << 20), magic, compression, type,
            40, TIME + 9, isNew ? 7000 : -1, (short) (isNew ? 2 : -1), isNew ? 5 : -1, isNew, isNew ? 3 : -1);
        builder.append(TIME, bytes("a"), bytes("first"), isNew ? headers() : new Header[0]);
        builder.append(TIME + 2, null, bytes("second"), new Header[0]);
        builder.append(TIME + 1, bytes(""), null, new Header[0]);
        // Several blocks of snappy and of lz4.
        if (compression.type() != CompressionType.NONE)
            builder.append(TIME, bytes("long"), bytes("all work and no play ".repeat(7000)), new Header[0]);
        return builder.build();
    }

    static Header[] headers() {
        return new Header[] {new RecordHeader("trace", bytes("id")), new RecordHeader("empty", null)};
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static void write(Path directory, String name, MemoryRecords records) throws Exception {
        byte[] bytes = new byte[records.sizeInBytes()];
        records.buffer().duplicate().get(bytes);
        Files.write(directory.resolve(name + ".bin"), bytes);
    }
}
