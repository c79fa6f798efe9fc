#!/bin/bash
# Runs Kafka once inside its image to make the archives of class data: the
# Java runtime's own, which the others refer to, then one for the storage tool
# and one for the server.
set -e
export JAVA_HOME=/opt/java/openjdk PATH=/opt/kafka/bin:$PATH LANG=C.UTF-8
config=/tmp/train.properties
# The authorizer is what clusters run with.
{
  cat /opt/kafka/config/server.properties
  echo log.dirs=/tmp/train-logs
  echo authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
  echo allow.everyone.if.no.acl.found=true
} | grep -v '^log.dirs=/tmp/kafka-logs' >$config

"$JAVA_HOME/bin/java" -Xshare:dump >/dev/null

KAFKA_OPTS=-XX:ArchiveClassesAtExit=/opt/kafka/storage.jsa \
  kafka-storage.sh format -t 4L6g3nShT-eMCtK--X86sw -c $config --standalone

KAFKA_HEAP_OPTS="-Xmx512m" KAFKA_OPTS=-XX:ArchiveClassesAtExit=/opt/kafka/kafka.jsa \
  kafka-server-start.sh $config >/tmp/train.log 2>&1 &
server=$!
for _ in $(seq 600); do
  grep -q 'Kafka Server started' /tmp/train.log && break
  if ! kill -0 $server 2>/dev/null; then
    cat /tmp/train.log
    exit 1
  fi
  sleep 0.2
done
kafka-topics.sh --bootstrap-server localhost:9092 --create --topic train --partitions 3
echo message | kafka-console-producer.sh --bootstrap-server localhost:9092 --topic train
kafka-console-consumer.sh --bootstrap-server localhost:9092 --topic train --from-beginning --max-messages 1 --timeout-ms 30000
kill -TERM $server
wait $server || true # it ends with the number of the signal
chmod 644 /opt/kafka/*.jsa "$JAVA_HOME"/lib/server/*.jsa
ls -l /opt/kafka/kafka.jsa /opt/kafka/storage.jsa
