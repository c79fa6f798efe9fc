#!/usr/bin/env bash
# Writes the tables of one version of Kafka to internal/version: hack/kafkakeys/run.sh VERSION FOLDER-OF-ITS-JARS
set -euo pipefail

version=$1 libs=$2
here=$(dirname "${BASH_SOURCE[0]}")
tables=$here/../../internal/version
ask() { # PROGRAM FOLDER TITLE
	mkdir -p "$tables/$2"
	# A program that fails leaves the old table as it was.
	lines=$(java -cp "$libs/*" "$here/$1.java")
	printf '# %s; made by hack/kafkakeys, do not edit.\n%s\n' "$3" "$lines" >"$tables/$2/$version.txt"
}
ask KafkaKeys keys "Every broker key of Apache Kafka $version and how it can be updated"
ask KafkaFeatures features "What Apache Kafka $version supports of each feature (lowest and highest level), and the levels of metadata.version; those that changed the metadata log cannot be undone"
