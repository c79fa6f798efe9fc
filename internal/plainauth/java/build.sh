#!/bin/sh
# Builds and tests the broker's callback handler (needs a JDK 17 and Maven).
#   build.sh           puts the jar where plainauth.go embeds it
#   build.sh --verify  fails unless the committed jar is, byte for byte, what its source gives
# The same bytes are promised for javac 17 only; another javac may write other class files from the same source, so
# --verify refuses to judge with it. That the committed jar was made of the committed source, a Go test tells anywhere.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
built=$here/target/castellan-plain.jar
committed=$here/../castellan-plain.jar

# File modes are part of a zip, and the source is packed with the class.
umask 022
find "$here/src/main" -type f -exec chmod 644 {} +
if [ "${1:-}" = --verify ]; then
	case $(mvn -v 2>/dev/null) in
	*"Java version: 17."*) ;;
	*) echo "build.sh --verify: Maven must run on a JDK 17 to compare the jar" >&2; exit 2 ;;
	esac
fi
mvn -q -B -f "$here/pom.xml" clean package
if [ "${1:-}" = --verify ]; then
	cmp "$built" "$committed"
else
	cp "$built" "$committed"
fi
