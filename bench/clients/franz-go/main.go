// franz-go.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	records    = 300
	partitions = 2
)

func key(number int) []byte { return fmt.Appendf(nil, "key %d", number) }

// Of many lengths, the longest of several kilobytes, and worth compressing.
func value(number int) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "value %d ", number), 1+number*number%400)
}

func roundTrip(ctx context.Context, bootstrap, topic string, options ...kgo.Opt) error {
	options = append(options, kgo.SeedBrokers(bootstrap), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	producer, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	defer producer.Close()
	if _, err := kadm.NewClient(producer).CreateTopic(ctx, partitions, 1, nil, topic); err != nil {
		return err
	}
	var batch []*kgo.Record
	for number := range records {
		partition := int32(number % partitions)
		batch = append(batch, &kgo.Record{Topic: topic, Partition: partition, Key: key(number), Value: value(number)})
	}
	if err := producer.ProduceSync(ctx, batch...).FirstErr(); err != nil {
		return err
	}

	from := map[int32]kgo.Offset{}
	for partition := range int32(partitions) {
		from[partition] = kgo.NewOffset().AtStart()
	}
	consumer, err := kgo.NewClient(kgo.SeedBrokers(bootstrap),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	if err != nil {
		return err
	}
	defer consumer.Close()
	var next [partitions]int
	for count := 0; count < records; {
		fetched := consumer.PollFetches(ctx)
		if err := fetched.Err(); err != nil {
			return fmt.Errorf("after %d records: %w", count, err)
		}
		for _, record := range fetched.Records() {
			number := next[record.Partition]*partitions + int(record.Partition)
			if record.Offset != int64(next[record.Partition]) ||
				!bytes.Equal(record.Key, key(number)) || !bytes.Equal(record.Value, value(number)) {
				return fmt.Errorf("partition %d, offset %d is not record %d", record.Partition, record.Offset, number)
			}
			next[record.Partition]++
			count++
		}
	}
	return nil
}

func main() {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	// Only with all acknowledgements may it be idempotent, which it is by default.
	acks := map[string][]kgo.Opt{
		"0":   {kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite()},
		"1":   {kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite()},
		"all": {},
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for codec, compression := range codecs {
		for acked, options := range acks {
			topic := fmt.Sprintf("franz-go-%s-%s", codec, acked)
			options := append([]kgo.Opt{kgo.ProducerBatchCompression(compression)}, options...)
			if err := roundTrip(ctx, os.Args[1], topic, options...); err != nil {
				fmt.Fprintf(os.Stderr, "%s: %v\n", topic, err)
				os.Exit(1)
			}
		}
	}
	fmt.Printf("franz-go: %d combinations\n", len(codecs)*len(acks))
}
