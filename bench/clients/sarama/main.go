// sarama.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/IBM/sarama"
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

func roundTrip(bootstrap, topic string, codec sarama.CompressionCodec, acks sarama.RequiredAcks) error {
	config := sarama.NewConfig()
	config.Producer.Compression = codec
	config.Producer.RequiredAcks = acks
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.Return.Successes = true
	client, err := sarama.NewClient([]string{bootstrap}, config)
	if err != nil {
		return err
	}
	defer client.Close()
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		return err
	}
	detail := &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}
	if err := admin.CreateTopic(topic, detail, false); err != nil {
		return err
	}
	producer, err := sarama.NewSyncProducerFromClient(client)
	if err != nil {
		return err
	}
	var batch []*sarama.ProducerMessage
	for number := range records {
		batch = append(batch, &sarama.ProducerMessage{
			Topic: topic, Partition: int32(number % partitions),
			Key: sarama.ByteEncoder(key(number)), Value: sarama.ByteEncoder(value(number)),
		})
	}
	if err := producer.SendMessages(batch); err != nil {
		return err
	}
	if err := producer.Close(); err != nil {
		return err
	}

	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		return err
	}
	for partition := range partitions {
		reader, err := consumer.ConsumePartition(topic, int32(partition), sarama.OffsetOldest)
		if err != nil {
			return err
		}
		for offset := range int64(records / partitions) {
			number := int(offset)*partitions + partition
			select {
			case record := <-reader.Messages():
				if record.Offset != offset ||
					!bytes.Equal(record.Key, key(number)) || !bytes.Equal(record.Value, value(number)) {
					return fmt.Errorf("partition %d, offset %d is not record %d", partition, record.Offset, number)
				}
			case <-time.After(time.Minute):
				return fmt.Errorf("partition %d ends at offset %d", partition, offset)
			}
		}
		if err := reader.Close(); err != nil {
			return err
		}
	}
	return consumer.Close()
}

// A member of a group, that reads in goroutines of its own.
type member struct {
	group    sarama.ConsumerGroup
	lock     sync.Mutex
	assigned []int32
	last     map[int32]int64
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	for _, claims := range session.Claims() {
		m.assigned = claims
	}
	return nil
}

func (m *member) Cleanup(session sarama.ConsumerGroupSession) error {
	session.Commit()
	m.lock.Lock()
	defer m.lock.Unlock()
	m.assigned = nil
	return nil
}

func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for record := range claim.Messages() {
		m.lock.Lock()
		m.last[record.Partition] = record.Offset
		m.lock.Unlock()
		session.MarkMessage(record, "")
	}
	return nil
}

func join(bootstrap, topic string) (*member, error) {
	config := sarama.NewConfig()
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	group, err := sarama.NewConsumerGroup([]string{bootstrap}, "sarama", config)
	if err != nil {
		return nil, err
	}
	joined := &member{group: group, last: map[int32]int64{}}
	go func() {
		// Returns at every rebalance, and with an error when the group is closed.
		for group.Consume(context.Background(), []string{topic}, joined) == nil {
		}
	}()
	return joined, nil
}

func (m *member) has(of ...int32) bool {
	m.lock.Lock()
	defer m.lock.Unlock()
	count := 0
	for _, partition := range m.assigned {
		for _, wanted := range of {
			if partition == wanted {
				count++
			}
		}
	}
	return count == len(of) && len(m.assigned) == len(of)
}

func (m *member) hasRead(partition int32) bool {
	if !m.has(partition) {
		return false
	}
	m.lock.Lock()
	defer m.lock.Unlock()
	return m.last[partition] == records/partitions-1
}

func waitUntil(what string, holds func() bool) error {
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("not in time: %s", what)
		}
	}
	return nil
}

// Two members share a topic; a third one goes on where they stopped.
func share(bootstrap, topic string) error {
	var both [2]*member
	for index := range both {
		var err error
		if both[index], err = join(bootstrap, topic); err != nil {
			return err
		}
	}
	each := func() bool {
		return both[0].hasRead(0) && both[1].hasRead(1) || both[0].hasRead(1) && both[1].hasRead(0)
	}
	if err := waitUntil("each member has read a partition of its own", each); err != nil {
		return err
	}
	// Each commits when its session ends.
	for _, one := range both {
		if err := one.group.Close(); err != nil {
			return err
		}
	}
	admin, err := sarama.NewClusterAdmin([]string{bootstrap}, sarama.NewConfig())
	if err != nil {
		return err
	}
	defer admin.Close()
	committed, err := admin.ListConsumerGroupOffsets("sarama", nil)
	if err != nil {
		return err
	}
	for partition := range int32(partitions) {
		if found := committed.GetBlock(topic, partition); found == nil || found.Offset != records/partitions {
			return fmt.Errorf("committed of partition %d: %v", partition, found)
		}
	}
	third, err := join(bootstrap, topic)
	if err != nil {
		return err
	}
	if err := waitUntil("the third has both partitions", func() bool { return third.has(0, 1) }); err != nil {
		return err
	}
	third.lock.Lock()
	read := len(third.last)
	third.lock.Unlock()
	if read > 0 {
		return fmt.Errorf("reads again")
	}
	return third.group.Close()
}

func main() {
	codecs := []sarama.CompressionCodec{
		sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy,
		sarama.CompressionLZ4, sarama.CompressionZSTD,
	}
	acks := []sarama.RequiredAcks{sarama.NoResponse, sarama.WaitForLocal, sarama.WaitForAll}
	for _, codec := range codecs {
		for _, acked := range acks {
			topic := fmt.Sprintf("sarama-%s-%d", codec, acked)
			if err := roundTrip(os.Args[1], topic, codec, acked); err != nil {
				fmt.Fprintf(os.Stderr, "%s: %v\n", topic, err)
				os.Exit(1)
			}
		}
	}
	if err := share(os.Args[1], "sarama-zstd--1"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("sarama: %d combinations\n", len(codecs)*len(acks))
}
