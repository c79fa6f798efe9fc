# Runs in a pod with the Kafka image and a KafkaUser's Secret at /binding. Prints every record that comes back.
set -euo pipefail
export LOG_DIR=/tmp KAFKA_HEAP_OPTS=-Xmx128m KAFKA_JVM_PERFORMANCE_OPTS='-XX:+UseSerialGC -XX:TieredStopAtLevel=1'
PATH=$PATH:/opt/kafka/bin
cluster=(--bootstrap-server "$(cat /binding/bootstrap.servers)" --command-config /binding/client.properties)

# A group that begins where the topic ends now, so that what was there before is not read.
kafka-consumer-groups.sh "${cluster[@]}" --group "$GROUP" --topic "$TOPIC" --reset-offsets --to-latest --execute >&2

for ((n = 0; n < RECORDS; n++)); do
	printf 'customer-%d\t{"run":"%s","number":%d}\n' $((n % KEYS)) "$RUN" "$n"
done | kafka-console-producer.sh "${cluster[@]}" --topic "$TOPIC" --reader-property parse.key=true

kafka-console-consumer.sh "${cluster[@]}" --topic "$TOPIC" --group "$GROUP" --max-messages "$RECORDS" --timeout-ms 60000 \
	--formatter-property print.partition=true --formatter-property print.key=true
