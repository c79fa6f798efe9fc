package kafkatest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Version is the default version of Apache Kafka.
const Version = "4.3.1"

// LibsVariable is an environment variable. If set, it names a directory that holds the jars of Version, such as the
// libs directory of an unpacked distribution, which is used instead of the cache.
const LibsVariable = "CASTELLAN_KAFKA_LIBS"

// pom asks for the dependencies that it is given.
const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>dev.castellan</groupId>
  <artifactId>kafkatest</artifactId>
  <version>1</version>
  <dependencies>
%s
  </dependencies>
</project>
`

// server asks for the server of a version and a backend for its log.
const server = `    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>%s</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.4</version>
    </dependency>
`

// commands asks for the command-line tools of a version.
const commands = `    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>%s</version>
    </dependency>`

// streams asks for Kafka Streams of a version, with its clients.
const streams = `    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka-streams</artifactId><version>%s</version>
    </dependency>`

// kerby is a Kerberos KDC in Java.
const kerby = `    <dependency>
      <groupId>org.apache.kerby</groupId><artifactId>kerb-simplekdc</artifactId><version>2.0.3</version>
    </dependency>`

// oldLogging is the logging API that Kafka before 4.0 calls.
const oldLogging = `    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-1.2-api</artifactId><version>2.25.4</version>
    </dependency>`

// before reports whether a version is older than major.0.
func before(version string, major int) bool {
	first, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(first)
	return err == nil && n < major
}

// Libs returns the directory of Kafka's jars. At the first use on a machine it fetches them.
func Libs(ctx context.Context, version string) (string, error) {
	if dir := os.Getenv(LibsVariable); dir != "" && version == Version {
		return dir, nil
	}
	wanted := fmt.Sprintf(server, version)
	if before(version, 4) {
		wanted += oldLogging
	}
	return cached(ctx, "kafka-"+version, wanted)
}

// toolLibs returns the directory of the jars of Kafka's command-line tools. At the first use on a machine it fetches
// them.
func toolLibs(ctx context.Context, version string) (string, error) {
	if dir := os.Getenv(LibsVariable); dir != "" && version == Version {
		return dir, nil
	}
	return cached(ctx, "kafka-tools-"+version, fmt.Sprintf(commands, version))
}

// Streams returns the directory of the jars of Kafka Streams. At the first use on a machine it fetches them.
func Streams(ctx context.Context) (string, error) {
	return cached(ctx, "kafka-streams-"+Version, fmt.Sprintf(streams, Version))
}

// KDC returns the directory of the jars of a Kerberos KDC, Apache Kerby. At the first use on a machine it fetches them.
func KDC(ctx context.Context) (string, error) { return cached(ctx, "kerby-2.0.3", kerby) }

// cached returns the directory of the jars of a name, and fetches them at the first use.
func cached(ctx context.Context, name, dependencies string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	home := filepath.Join(cache, "castellan", name)
	libs := filepath.Join(home, "libs")
	if err := os.MkdirAll(home, 0o755); err != nil {
		return "", err
	}
	// The tests of several packages run at once. One process fetches, and the others wait.
	lock, err := os.OpenFile(filepath.Join(home, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Close() }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	if _, err := os.Stat(libs); err == nil {
		return libs, nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	return libs, fetch(ctx, dependencies, libs)
}

// fetch renames the directory to libs when it is complete, so that an interrupted fetch leaves no half of one.
func fetch(ctx context.Context, dependencies, libs string) error {
	work, err := os.MkdirTemp(filepath.Dir(libs), "fetch-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	if err := os.WriteFile(filepath.Join(work, "pom.xml"), fmt.Appendf(nil, pom, dependencies), 0o600); err != nil {
		return err
	}
	part := filepath.Join(work, "libs")
	cmd := exec.CommandContext(ctx, "mvn", "-q", "-B", "dependency:copy-dependencies",
		"-DincludeScope=runtime", "-DoutputDirectory="+part)
	cmd.Dir = work
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("fetch jars with mvn (or set %s): %w: %s", LibsVariable, err, output.String())
	}
	return os.Rename(part, libs)
}
