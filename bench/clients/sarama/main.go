// sarama.
package main

import (
	"bytes"
	"fmt"
	"os"
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
	fmt.Printf("sarama: %d combinations\n", len(codecs)*len(acks))
}
