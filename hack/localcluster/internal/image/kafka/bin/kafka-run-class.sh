#!/bin/bash
# Runs a class of Kafka with the options that Kafka's own script takes from
# the environment.
base_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

while [ $# -gt 0 ]; do
  case $1 in
    -name) shift 2 ;;
    -daemon | -loggc) shift ;;
    *) break ;;
  esac
done

# The jars come first and in one fixed order, because a class data archive is
# good only for a class path that begins with the one it was made with.
class_path() {
  local LC_ALL=C jar
  for jar in "$base_dir"/libs/*.jar; do
    printf '%s:' "$jar"
  done
}
jars=$(class_path)

: "${KAFKA_HEAP_OPTS=-Xmx256M}"
: "${KAFKA_JVM_PERFORMANCE_OPTS=-server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 -XX:+ExplicitGCInvokesConcurrent -XX:MaxInlineLevel=15 -Djava.awt.headless=true}"
: "${KAFKA_JMX_OPTS=-Dcom.sun.management.jmxremote=true -Dcom.sun.management.jmxremote.authenticate=false -Dcom.sun.management.jmxremote.ssl=false}"
: "${KAFKA_LOG4J_OPTS=-Dlog4j2.configurationFile=$base_dir/config/tools-log4j2.yaml}"
if [ -n "$JMX_PORT" ]; then
  KAFKA_JMX_OPTS="$KAFKA_JMX_OPTS -Dcom.sun.management.jmxremote.port=$JMX_PORT -Dcom.sun.management.jmxremote.rmi.port=$JMX_PORT"
fi

# Options hold several words each, hence no quotes.
exec "${JAVA_HOME:-/opt/java/openjdk}/bin/java" $KAFKA_HEAP_OPTS $KAFKA_JVM_PERFORMANCE_OPTS $KAFKA_JMX_OPTS \
  "-Dkafka.logs.dir=${LOG_DIR:-$base_dir/logs}" $KAFKA_LOG4J_OPTS \
  -cp "${jars%:}${CLASSPATH:+:$CLASSPATH}" $KAFKA_OPTS "$@"
