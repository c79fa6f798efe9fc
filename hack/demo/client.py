"""Sends and reads back records with an ordinary Kafka client. All that it knows of the cluster is the folder --binding:
the entries of a KafkaUser's Secret, one file each."""

import argparse
import json
import pathlib
import sys
import time

from confluent_kafka import OFFSET_END, Consumer, KafkaException, Producer, TopicPartition


def configuration(binding: pathlib.Path, listener: str) -> dict[str, str]:
    """The ready-made librdkafka configuration of one listener."""
    return json.loads((binding / f"librdkafka.{listener}.json").read_text())


def ends(consumer: Consumer, topic: str) -> list[TopicPartition]:
    """Where each partition ends now."""
    metadata = consumer.list_topics(topic, timeout=30).topics[topic]
    if metadata.error is not None:
        raise KafkaException(metadata.error)
    found = []
    for number in metadata.partitions:
        _, high = consumer.get_watermark_offsets(TopicPartition(topic, number, OFFSET_END), timeout=30)
        found.append(TopicPartition(topic, number, high))
    return found


def send(config: dict[str, str], args: argparse.Namespace) -> None:
    failed = []
    producer = Producer({**config, "enable.idempotence": True, "linger.ms": 20})
    for number in range(args.records):
        producer.produce(
            args.topic,
            key=f"customer-{number % args.keys}",
            value=json.dumps({"run": args.run, "number": number}),
            on_delivery=lambda error, _: failed.append(error) if error is not None else None,
        )
        producer.poll(0)
    unsent = producer.flush(60)
    if unsent or failed:
        sys.exit(f"{unsent} records not sent, {len(failed)} refused: {failed[:1]}")


def read(consumer: Consumer, args: argparse.Namespace) -> None:
    deadline = time.monotonic() + 60
    count = 0
    while count < args.records and time.monotonic() < deadline:
        for message in consumer.consume(500, timeout=1):
            if message.error() is not None:
                raise KafkaException(message.error())
            print(f"Partition:{message.partition()}\t{message.key().decode()}\t{message.value().decode()}")
            count += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binding", type=pathlib.Path, required=True)
    parser.add_argument("--listener", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--group", required=True)
    parser.add_argument("--run", required=True)
    parser.add_argument("--records", type=int, required=True)
    parser.add_argument("--keys", type=int, required=True)
    args = parser.parse_args()

    config = configuration(args.binding, args.listener)
    consumer = Consumer({**config, "group.id": args.group, "enable.auto.commit": False})
    try:
        consumer.assign(ends(consumer, args.topic))
        send(config, args)
        read(consumer, args)
    finally:
        consumer.close()


if __name__ == "__main__":
    main()
