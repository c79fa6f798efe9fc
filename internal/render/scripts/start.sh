#!/usr/bin/env bash
# Starts one node of Kafka in its container. In this order it
#
#   1. waits until its keys are there, and its certificates name every address that it is going to advertise;
#   2. fills the placeholders of its server.properties with what is known only where the pod landed;
#   3. formats an empty disk, once the operator has said how: a formatted disk starts at once and needs nobody;
#   4. runs Kafka, and ends as it ends.
#
# It runs in the stock apache/kafka image with bash and either busybox or GNU tools, and prints no secret. A revision may
# hold files of nodes that an earlier operator wrote: what is read here must stay readable.
set -euo pipefail

root=${CASTELLAN_ROOT:-} # where tests keep the folders below; empty in a pod
kafka=$root/opt/kafka
revision=$root/etc/castellan/revision
internal=$root/etc/castellan/internal
listeners=$root/etc/castellan/listeners
pod=$root/etc/castellan/pod
work=$root/tmp/castellan
properties=$work/server.properties

id=${POD_NAME##*-} # the node id is the ordinal

# As process 1, bash would not hear of SIGTERM while it waits.
trap 'exit 143' TERM INT

say() { printf 'castellan: %s\n' "$*"; }

fail() {
	say "$*"
	exit 1
}

# wait_until repeats a question until it is answered. What the question prints is what is missing; it is said when it
# changes, and every 10 seconds.
wait_until() {
	local missing said='' next=0
	until missing=$("$@"); do
		if [ "$missing" != "$said" ] || [ "$SECONDS" -ge "$next" ]; then
			say "waiting for $missing"
			said=$missing
			next=$((SECONDS + 10))
		fi
		sleep 0.2
	done
}

# setting reads one key of the filled file.
setting() { sed -n "s|^$1=||p" "$properties"; }

# own_file prints one of the node's files. A large revision has what many nodes share once: @OWN@ there is the next line
# of the node's own, and @POD_NAME@ its name.
own_file() {
	local name line shared=''
	if [ -f "$revision/$id.shared" ]; then
		while read -r name line; do
			[ "$name" != "$1" ] || shared=$line
		done <"$revision/$id.shared"
	fi
	if [ -z "$shared" ]; then
		cat "$revision/$id.$1"
		return
	fi
	while IFS= read -r line; do
		if [ "$line" = @OWN@ ]; then
			IFS= read -r line <&3
		fi
		printf '%s\n' "${line//@POD_NAME@/"$POD_NAME"}"
	done <"$revision/$shared" 3<"$revision/$id.$1"
}

# host_address prints the address of the Kubernetes node that a placeholder stands for: its own, or its first of a
# family.
host_address() {
	local address all
	IFS=, read -ra all <<<"${HOST_IPS:-}"
	for address in "$HOST_IP" "${all[@]}"; do
		case $1=$address in
		@HOST_IP@=* | @HOST_IPV4@=*.* | @HOST_IPV6@=*:*)
			printf '%s' "$address"
			return
			;;
		esac
	done
}

# have_keys asks for the CA, for each name that the node goes by: a key whose certificate holds it, and for the
# authorities of clients that show certificates.
have_keys() {
	local certificate name file
	if [ ! -s "$internal/ca.crt" ]; then
		echo "the cluster's CA certificate"
		return 1
	fi
	while read -r certificate name; do
		case $certificate in
		'') continue ;;
		internal) file=$internal/$id ;;
		*) file=$listeners/$id.$certificate ;;
		esac
		case $name in
		@HOST_IP@ | @HOST_IPV4@ | @HOST_IPV6@) name=$(host_address "$name") ;;
		esac
		if [ ! -s "$file.pem" ]; then
			echo "its key and certificate (${file##*/}.pem)"
			return 1
		fi
		if ! grep -Fxq -e "$name" "$file.names" 2>/dev/null; then
			echo "a certificate that names $name (${file##*/}.pem)"
			return 1
		fi
	done <"$work/names"
	while read -r file; do
		if [ ! -s "$root$file" ]; then
			echo "the authorities whose certificates it lets in (${file##*/})"
			return 1
		fi
	done < <(sed -n 's|^listener[.]name[.][a-z0-9]*[.]ssl[.]truststore[.]location=||p' "$work/unfilled.properties")
}

# fill writes the file that Kafka reads. Only the two keys that can hold a placeholder are touched, so that no value of
# the user's is taken for one. Without a zone there is no rack.
fill() {
	local line rack place host
	rack=$(cat "$pod/rack" 2>/dev/null || true)
	while IFS= read -r line; do
		case $line in
		advertised.listeners=*)
			for place in @HOST_IP@ @HOST_IPV4@ @HOST_IPV6@; do
				host=$(host_address "$place")
				case $host in
				*:*) host="[$host]" ;;
				esac
				line=${line//$place/"$host"}
			done
			;;
		broker.rack=*)
			[ -n "$rack" ] || continue
			line=${line//@RACK@/"$rack"}
			;;
		esac
		printf '%s\n' "$line"
	done <"$work/unfilled.properties" >"$properties"
}

# check_families ends the start where a listener is to be reached at an address that the Kubernetes node does not have.
check_families() {
	local family place
	for family in IPv4 IPv6; do
		place=@HOST_${family^^}@
		if grep -q "^advertised\.listeners=.*$place" "$work/unfilled.properties" && [ -z "$(host_address "$place")" ]; then
			fail "a listener has services.ipFamilies that begin with $family, and the Kubernetes node has no $family address"
		fi
	done
}

# told asks for the operator's word about the empty disk. It counts only when it is meant for this very pod: another pod
# of that name may have been told something that must not be done twice.
told() {
	local uid=''
	read -r uid _ 2>/dev/null <"$pod/format" || true
	if [ "$uid" != "$POD_UID" ]; then
		echo "the operator to say how to format the empty disk"
		return 1
	fi
}

# archive prints the options for a class-data archive of the image, which halves the start. One that does not fit is
# passed over by the Java virtual machine.
archive() {
	if [ -f "$kafka/$1.jsa" ]; then
		printf '%s' "-XX:SharedArchiveFile=$kafka/$1.jsa -Xshare:auto"
	fi
}

# format_disks formats whatever log directory is not. On a formatted metadata directory nobody is asked: a further disk
# that is empty belongs to the same cluster.
format_disks() {
	local metadata directories directory complete=yes word cluster voters release arguments
	metadata=$(setting metadata.log.dir)
	IFS=, read -ra directories <<<"$(setting log.dirs)"
	if [ -s "$metadata/meta.properties" ]; then
		for directory in "${directories[@]}"; do
			[ -s "$directory/meta.properties" ] || complete=no
		done
		[ "$complete" = no ] || return 0
		cluster=$(sed -n 's|^cluster.id=||p' "$metadata/meta.properties")
		arguments=(--no-initial-controllers)
		say "formatting an empty disk beside formatted ones"
	else
		wait_until told
		read -r _ word cluster voters release <"$pod/format" || true
		case $word in
		initial) arguments=(--initial-controllers "$voters" ${release:+--release-version "$release"}) ;;
		join) arguments=(--no-initial-controllers) ;;
		*) fail "cannot format the disk: the operator's word is not known: $word" ;;
		esac
		say "formatting the disk: $word"
	fi
	# What the tool prints may hold credentials; it is never shown.
	if ! KAFKA_HEAP_OPTS=-Xmx256m KAFKA_OPTS=$(archive storage) "$kafka/bin/kafka-storage.sh" format --ignore-formatted \
		--cluster-id "$cluster" --config "$properties" "${arguments[@]}" >"$work/format.out" 2>"$work/format.err"; then
		fail "cannot format the disk: $(last_words)"
	fi
	rm -f "$work/format.out" "$work/format.err"
}

# last_words are the last line of an error that is not a stack trace, without the value of anything that looks secret.
last_words() {
	grep -Ev '^[[:space:]]|^$' "$work/format.err" 2>/dev/null | tail -n 1 |
		sed -E 's/(([Pp]assword|[Kk]ey|[Ss]alt|[Ss]ecret)[A-Za-z]*)[=:][^ ,;)]*/\1=(hidden)/g' || true
	rm -f "$work/format.out" "$work/format.err"
}

# class_path is Kafka's own, our one jar after it, and after that the jars of plug-ins: those in their folders, and in
# the folders directly in these. It lists the same files in the same order as Kafka's script does,
# because an archive fits only a class path that begins as its own. A jar that stands there twice does no harm.
class_path() {
	local file directory directories all=''
	for file in "$kafka"/bin/../libs/*; do
		case $file in
		*-test.jar | *-test-sources.jar | *-src.jar | *-scaladoc.jar | *-javadoc.jar | *jar.asc | *connect-file*.jar) ;;
		*) all=$all:$file ;;
		esac
	done
	all=$all:$revision/castellan-plain.jar
	read -ra directories <<<"${CASTELLAN_PLUGINS:-}"
	for directory in "${directories[@]}"; do
		for file in "$root$directory"/*.jar "$root$directory"/*/*.jar; do
			[ ! -f "$file" ] || all=$all:$file
		done
	done
	printf '%s' "${all#:}"
}

# run_kafka runs it beside this script, which passes the signals on. Process 1 hears only those that it has asked for, so
# that as process 1 Kafka would miss a SIGTERM of its first second, serve on for the whole grace period, and be killed.
run_kafka() {
	local kafka_pid='' told_to_stop='' code=0
	trap 'told_to_stop=yes; [ -z "$kafka_pid" ] || kill -TERM "$kafka_pid" 2>/dev/null || true' TERM INT
	"$kafka/bin/kafka-run-class.sh" kafka.Kafka "$properties" &
	kafka_pid=$!
	[ -z "$told_to_stop" ] || kill -TERM "$kafka_pid" 2>/dev/null || true
	wait "$kafka_pid" || code=$?
	while kill -0 "$kafka_pid" 2>/dev/null; do # it was a signal that ended the waiting
		code=0
		wait "$kafka_pid" || code=$?
	done
	[ "$code" = 0 ] || [ -n "$told_to_stop" ] || blame_disks
	exit "$code"
}

# blame_disks says in the kernel's words to which log directories nothing can be written. Kafka says it long before its
# last words, which are all that Kubernetes keeps.
blame_disks() {
	local directory directories probe error
	IFS=, read -ra directories <<<"$(setting log.dirs)"
	for directory in "${directories[@]}"; do
		probe=$directory/.castellan-probe
		if ! error=$({ timeout 5 head -c 1048576 /dev/zero >"$probe"; } 2>&1); then
			say "cannot write to $directory: ${error##*: }"
		fi
		rm -f "$probe" 2>/dev/null || true
	done
}

# forget_addresses lets the Java virtual machine believe an answer of DNS for a second. It would do so for 30, or for 10
# that there is no such name: as long would every other node look for one that has been restarted at the address of its
# previous life, and neither follow its partitions nor hear of its metadata.
forget_addresses() {
	printf 'networkaddress.cache.%s=1\n' ttl negative.ttl >"$work/java.security"
	printf '%s' "-Djava.security.properties=$work/java.security"
}

[ -f "$revision/$id.server.properties" ] || fail "this revision has no files of node $id"
mkdir -p "$work"
export LOG_DIR=$work/logs
export KAFKA_LOG4J_OPTS="-Dlog4j2.configurationFile=$revision/log4j2.properties"

own_file names >"$work/names"
own_file server.properties >"$work/unfilled.properties"
check_families
wait_until have_keys
fill
CLASSPATH=$(class_path) # the tool that formats disks reads the whole configuration, and wants every class that it names
export CLASSPATH
format_disks

KAFKA_HEAP_OPTS=$(own_file jvm)
KAFKA_OPTS="$(archive kafka) $(forget_addresses) -XX:+ExitOnOutOfMemoryError"
export KAFKA_HEAP_OPTS KAFKA_OPTS
run_kafka
