#!/bin/bash
# Runs a Kafka node with a properties file.
bin_dir=$(dirname "${BASH_SOURCE[0]}")
if [ $# -lt 1 ]; then
  echo "usage: $0 server.properties [--override property=value]*" >&2
  exit 1
fi
export KAFKA_LOG4J_OPTS="${KAFKA_LOG4J_OPTS--Dlog4j2.configurationFile=$bin_dir/../config/log4j2.yaml}"
export KAFKA_HEAP_OPTS="${KAFKA_HEAP_OPTS--Xmx1G -Xms1G}"
exec "$bin_dir/kafka-run-class.sh" -name kafkaServer -loggc kafka.Kafka "$@"
