#!/usr/bin/env bash
# Writes the tables of internal/version: hack/kafkakeys/run.sh VERSION FOLDER-OF-ITS-JARS, or, for the keys of Kafka before
# 4, hack/kafkakeys/run.sh former FOLDER...
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
tables=$here/../../internal/version
table() { # FILE TITLE, with the lines on standard input. A program that fails leaves the old table as it was.
	local lines
	lines=$(cat)
	printf '# %s; made by hack/kafkakeys, do not edit.\n%s\n' "$2" "$lines" >"$tables/$1"
}
ask() { # PROGRAM FOLDER-OF-JARS
	java -cp "$2/*" "$here/$1.java"
}
if [ "$1" = former ]; then
	shift
	keys=$(for libs; do ask KafkaFormerKeys "$libs"; done)
	LC_ALL=C sort -u <<<"$keys" | table former.txt "Every key of brokers and topics that Apache Kafka had from 2.8 to 4.0"
	exit
fi
version=$1 libs=$2
lines=$(ask KafkaKeys "$libs")
table "keys/$version.txt" \
	"Every broker key of Apache Kafka $version, how it can be updated, and its type" <<<"$lines"
lines=$(ask KafkaTopicKeys "$libs")
table "topickeys/$version.txt" "Every key of a topic of Apache Kafka $version, and its type" <<<"$lines"
lines=$(ask KafkaFeatures "$libs")
table "features/$version.txt" "What Apache Kafka $version supports of each feature (lowest and highest level), and the levels of metadata.version; those that changed the metadata log cannot be undone" <<<"$lines"
