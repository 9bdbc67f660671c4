// franz-go.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"sync"
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

// A member of a group, that reads in a goroutine of its own.
type member struct {
	client   *kgo.Client
	lock     sync.Mutex
	assigned map[int32]bool
	last     map[int32]int64
}

func join(ctx context.Context, bootstrap, topic string) (*member, error) {
	joined := &member{assigned: map[int32]bool{}, last: map[int32]int64{}}
	note := func(is bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
			joined.lock.Lock()
			defer joined.lock.Unlock()
			for _, partition := range topics[topic] {
				if is {
					joined.assigned[partition] = true
				} else {
					delete(joined.assigned, partition)
				}
			}
		}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ConsumerGroup("franz-go"), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(note(true)), kgo.OnPartitionsRevoked(note(false)), kgo.OnPartitionsLost(note(false)))
	if err != nil {
		return nil, err
	}
	joined.client = client
	go func() {
		for {
			fetched := client.PollFetches(ctx)
			if fetched.IsClientClosed() || ctx.Err() != nil {
				return
			}
			joined.lock.Lock()
			for _, record := range fetched.Records() {
				joined.last[record.Partition] = record.Offset
			}
			joined.lock.Unlock()
		}
	}()
	return joined, nil
}

func (m *member) has(of ...int32) bool {
	m.lock.Lock()
	defer m.lock.Unlock()
	for _, partition := range of {
		if !m.assigned[partition] {
			return false
		}
	}
	return len(m.assigned) == len(of)
}

func (m *member) hasRead(partition int32) bool {
	if !m.has(partition) {
		return false
	}
	m.lock.Lock()
	defer m.lock.Unlock()
	return m.last[partition] == records/partitions-1
}

func waitUntil(ctx context.Context, what string, holds func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for !holds() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("not in time: %s", what)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

// Two members share a topic; a third one goes on where they stopped.
func share(ctx context.Context, bootstrap, topic string) error {
	var both [2]*member
	for index := range both {
		var err error
		if both[index], err = join(ctx, bootstrap, topic); err != nil {
			return err
		}
	}
	each := func() bool {
		return both[0].hasRead(0) && both[1].hasRead(1) || both[0].hasRead(1) && both[1].hasRead(0)
	}
	if err := waitUntil(ctx, "each member has read a partition of its own", each); err != nil {
		return err
	}
	for _, one := range both {
		if err := one.client.CommitUncommittedOffsets(ctx); err != nil {
			return err
		}
		one.client.Close()
	}
	admin, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	if err != nil {
		return err
	}
	defer admin.Close()
	committed, err := kadm.NewClient(admin).FetchOffsets(ctx, "franz-go")
	if err != nil {
		return err
	}
	for partition := range int32(partitions) {
		if found, ok := committed.Lookup(topic, partition); !ok || found.At != records/partitions {
			return fmt.Errorf("committed: %v", committed)
		}
	}
	third, err := join(ctx, bootstrap, topic)
	if err != nil {
		return err
	}
	defer third.client.Close()
	if err := waitUntil(ctx, "the third has both partitions", func() bool { return third.has(0, 1) }); err != nil {
		return err
	}
	third.lock.Lock()
	defer third.lock.Unlock()
	if len(third.last) > 0 {
		return fmt.Errorf("read again: %v", third.last)
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
	if err := share(ctx, os.Args[1], "franz-go-zstd-all"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("franz-go: %d combinations\n", len(codecs)*len(acks))
}
