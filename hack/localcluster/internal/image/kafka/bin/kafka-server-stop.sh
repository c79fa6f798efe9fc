#!/bin/bash
# Asks the Kafka node in this container to end.
for command in /proc/[0-9]*/cmdline; do
  if tr '\0' '\n' 2>/dev/null <"$command" | grep -qx kafka.Kafka; then
    pid=${command#/proc/}
    kill -TERM "${pid%/cmdline}"
  fi
done
