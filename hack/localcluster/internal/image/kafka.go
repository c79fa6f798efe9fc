package image

import (
	"archive/tar"
	"cmp"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/castellan-dev/castellan/hack/localcluster/internal/console"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/proc"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/toolchain"
)

// DefaultKafka is the version of Kafka that a cluster gets.
const DefaultKafka = "4.3.1"

const (
	log4j = "2.25.4"
	suite = "bookworm"
	// made counts changes of how the image is made that no file tells.
	made = 2
	// user is appuser of the stock image.
	user = 1000
)

// toolsOf names the tools to take for a version whose own are not on Maven Central.
var toolsOf = map[string]string{"4.2.2": "4.2.1"}

//go:embed kafka
var kafkaFiles embed.FS

// Kafka builds an image with the paths and the user of apache/kafka.
type Kafka struct {
	Version string
	Images  string // folder of OCI layouts
	Work    string // folder for parts that several versions share
	Console *console.Console
}

// Ref is the image's name.
func (k Kafka) Ref() string { return "apache/kafka:" + k.Version }

// Build makes the image, if it is not there or was made from other files.
func (k Kafka) Build(ctx context.Context) error {
	dir, err := Folder(k.Images, k.Ref())
	if err != nil {
		return err
	}
	key, err := filesKey()
	if err != nil {
		return err
	}
	if madeFrom(dir) == key {
		return nil
	}
	if os.Geteuid() != 0 {
		return errors.New("the Kafka image needs root: debootstrap and chroot")
	}
	unlock, err := proc.Lock(ctx, filepath.Join(k.Work, ".lock"), func() { k.Console.Say("waiting for another build of images") })
	if err != nil {
		return err
	}
	defer unlock()
	if madeFrom(dir) == key {
		return nil // by the one that we waited for
	}
	if err := toolchain.EnsurePackages(ctx, k.Console, toolchain.ImageNeeds); err != nil {
		return err
	}
	base, err := k.part(ctx, "base-"+suite, "Debian base system", "about 1 min", debootstrap)
	if err != nil {
		return err
	}
	java, err := k.part(ctx, "java", "Java runtime", "", jlink)
	if err != nil {
		return err
	}
	jars, err := k.part(ctx, "jars-"+k.Version, "jars of Kafka "+k.Version, "", k.maven)
	if err != nil {
		return err
	}
	return k.Console.Step(ctx, "image-kafka", "image "+k.Ref(), "about 1 min", func(ctx context.Context, log io.Writer) error {
		return k.make(ctx, log, base, java, jars, dir, key)
	})
}

// part makes a folder of the work folder, if it is not there, in one step.
func (k Kafka) part(ctx context.Context, name, title, hint string, f func(ctx context.Context, log io.Writer, dir string) error) (string, error) {
	dir := filepath.Join(k.Work, name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	work := dir + ".part"
	if err := os.RemoveAll(work); err != nil {
		return "", err
	}
	if err := os.MkdirAll(work, 0o755); err != nil {
		return "", err
	}
	err := k.Console.Step(ctx, "image-"+name, title, hint, func(ctx context.Context, log io.Writer) error { return f(ctx, log, work) })
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(work))
	}
	return dir, os.Rename(work, dir)
}

// apart is the start of a command line in a mount and a pid namespace of its
// own: when it is killed, no process and no mount of it stays.
func apart(args ...string) []string {
	return append([]string{"unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"}, args...)
}

// debootstrap installs Debian's smallest system from where this machine gets
// its own packages.
func debootstrap(ctx context.Context, log io.Writer, dir string) error {
	out, err := proc.Output(ctx, "apt-get", "indextargets", "--format", "$(SITE)")
	if err != nil {
		return err
	}
	mirror, _, _ := strings.Cut(strings.TrimSpace(out), "\n")
	if mirror == "" {
		return errors.New("apt-get knows no package source; run apt-get update")
	}
	cmd := proc.Command{
		Argv: apart("debootstrap", "--variant=minbase", suite, dir, mirror),
		// Waiting for the disk after each file is what takes the time.
		Env: []string{"DPKG_FORCE=unsafe-io", "LC_ALL=C"},
	}
	if err := cmd.Run(ctx, log); err != nil {
		return err
	}
	return errors.Join(
		appendLine(filepath.Join(dir, "etc/passwd"), fmt.Sprintf("appuser:x:%d:%d::/home/appuser:/bin/bash", user, user)),
		appendLine(filepath.Join(dir, "etc/group"), fmt.Sprintf("appuser:x:%d:", user)),
	)
}

func appendLine(path, line string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, line)
	return errors.Join(err, f.Close())
}

// modules is what Kafka and the Java tools for looking into it need.
const modules = "java.base,java.compiler,java.desktop,java.instrument,java.logging,java.management,java.management.rmi," +
	"java.naming,java.rmi,java.scripting,java.security.jgss,java.security.sasl,java.sql,java.transaction.xa,java.xml," +
	"jdk.attach,jdk.crypto.ec,jdk.jcmd,jdk.jfr,jdk.management,jdk.management.agent,jdk.naming.dns,jdk.net," +
	"jdk.security.auth,jdk.security.jgss,jdk.unsupported,jdk.zipfs"

func jlink(ctx context.Context, log io.Writer, dir string) error {
	return proc.Command{Argv: []string{"jlink", "--add-modules", modules, "--strip-debug", "--no-header-files",
		"--no-man-pages", "--compress=1", "--output", filepath.Join(dir, "opt/java/openjdk")}}.Run(ctx, log)
}

const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>localcluster</groupId>
  <artifactId>kafka-image</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
%s  </dependencies>
</project>
`

func (k Kafka) maven(ctx context.Context, log io.Writer, dir string) error {
	var dependencies strings.Builder
	tools := cmp.Or(toolsOf[k.Version], k.Version)
	for _, d := range [][3]string{
		// The first decides which version of a jar is taken that several ask for: the broker's.
		{"org.apache.kafka", "kafka_2.13", k.Version},
		{"org.apache.kafka", "kafka-tools", tools},
		{"org.apache.kafka", "kafka-shell", tools},
		{"org.apache.logging.log4j", "log4j-slf4j-impl", log4j},
		{"org.apache.logging.log4j", "log4j-1.2-api", log4j},
	} {
		fmt.Fprintf(&dependencies, "    <dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency>\n", d[0], d[1], d[2])
	}
	file := filepath.Join(dir, "pom.xml")
	if err := os.WriteFile(file, fmt.Appendf(nil, pom, dependencies.String()), 0o644); err != nil {
		return err
	}
	return proc.Command{Argv: []string{"mvn", "-q", "-B", "-f", file, "dependency:copy-dependencies",
		"-DoutputDirectory=" + filepath.Join(dir, "libs"), "-DincludeScope=runtime"}}.Run(ctx, log)
}

// make puts the parts together, runs Kafka in them for its archives of class
// data, and writes the image.
func (k Kafka) make(ctx context.Context, log io.Writer, base, java, jars, dir, key string) error {
	work := filepath.Join(k.Work, "kafka-"+k.Version+".part")
	if err := os.RemoveAll(work); err != nil {
		return err
	}
	defer os.RemoveAll(work)
	kafka := filepath.Join(work, "kafka")
	if err := layOut(kafka, filepath.Join(jars, "libs")); err != nil {
		return err
	}
	// An archive remembers the times of the jars and of the Java runtime, and
	// in the image every file has the same time.
	if err := errors.Join(setTimes(kafka), setTimes(java)); err != nil {
		return err
	}
	archives, err := train(ctx, log, work, []string{kafka, java, base})
	if err != nil {
		return err
	}
	img, err := k.layers(work, base, java, kafka, archives)
	if err != nil {
		return err
	}
	if err := save(img, k.Ref(), dir); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, keyFile), []byte(key), 0o644)
}

// keyFile in a layout tells which files it was made from.
const keyFile = "made-from"

func madeFrom(dir string) string {
	key, err := os.ReadFile(filepath.Join(dir, keyFile))
	if err != nil {
		return ""
	}
	return string(key)
}

// layOut makes /opt/kafka and the folders that the stock image has.
func layOut(root, libs string) error {
	home := filepath.Join(root, "opt/kafka")
	err := os.CopyFS(filepath.Join(home, "libs"), os.DirFS(libs))
	for _, part := range []string{"bin", "config"} {
		files, subErr := fs.Sub(kafkaFiles, "kafka/"+part)
		err = errors.Join(err, subErr)
		if subErr == nil {
			err = errors.Join(err, os.CopyFS(filepath.Join(home, part), files))
		}
	}
	tools, readErr := kafkaFiles.ReadFile("kafka/tools.txt")
	if err = errors.Join(err, readErr); err != nil {
		return err
	}
	for line := range strings.Lines(string(tools)) {
		name, class, _ := strings.Cut(strings.TrimSpace(line), " ")
		script := fmt.Sprintf("#!/bin/bash\nexec \"$(dirname \"${BASH_SOURCE[0]}\")/kafka-run-class.sh\" %s \"$@\"\n", class)
		err = errors.Join(err, os.WriteFile(filepath.Join(home, "bin", name+".sh"), []byte(script), 0o755))
	}
	scripts, globErr := filepath.Glob(filepath.Join(home, "bin", "*.sh"))
	err = errors.Join(err, globErr)
	for _, s := range scripts {
		err = errors.Join(err, os.Chmod(s, 0o755))
	}
	for _, d := range []string{"opt/kafka/logs", "opt/kafka/config", "var/lib/kafka/data", "mnt/shared/config", "etc/kafka/secrets", "home/appuser"} {
		path := filepath.Join(root, d)
		err = errors.Join(err, os.MkdirAll(path, 0o755), os.Chown(path, user, user))
	}
	return err
}

func setTimes(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		return os.Chtimes(path, epoch, epoch)
	})
}

// enterRoot mounts the parts on each other and runs a script in them, in
// namespaces that are gone when it ends.
const enterRoot = `set -e
mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=$WORK/upper,workdir=$WORK/overlay" "$WORK/root"
mount -t proc proc "$WORK/root/proc"
mount --rbind /dev "$WORK/root/dev"
echo localhost >/proc/sys/kernel/hostname
ip link set lo up
exec chroot "$WORK/root" /bin/bash -s
`

// train returns the folder with the files that running Kafka has made.
func train(ctx context.Context, log io.Writer, work string, parts []string) (string, error) {
	upper := filepath.Join(work, "upper")
	for _, d := range []string{upper, filepath.Join(work, "overlay"), filepath.Join(work, "root")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return "", err
		}
	}
	script, err := kafkaFiles.Open("kafka/train.sh")
	if err != nil {
		return "", err
	}
	defer script.Close()
	argv := append(apart("--net", "--uts"), "sh", "-c", enterRoot)
	return upper, proc.Command{Argv: argv, In: script, Env: []string{"WORK=" + work, "LOWER=" + strings.Join(parts, ":")}}.Run(ctx, log)
}

// layers makes the image's layers: what changes least comes first.
func (k Kafka) layers(work, base, java, kafka, archives string) (v1.Image, error) {
	const runtimeArchive, home = "opt/java/openjdk/lib/server", "opt/kafka"
	baseLayer, err := layerFile(filepath.Join(work, "base.tar"), func(w *tar.Writer) error { return tree(w, base, "", skipBase) })
	if err != nil {
		return nil, err
	}
	javaLayer, err := layerFile(filepath.Join(work, "java.tar"), func(w *tar.Writer) error {
		return errors.Join(tree(w, java, "", nil),
			tree(w, filepath.Join(archives, runtimeArchive), runtimeArchive, onlyArchives))
	})
	if err != nil {
		return nil, err
	}
	kafkaLayer, err := layerFile(filepath.Join(work, "kafka.tar"), func(w *tar.Writer) error {
		return errors.Join(tree(w, kafka, "", nil), tree(w, filepath.Join(archives, home), home, onlyArchives))
	})
	if err != nil {
		return nil, err
	}
	return assemble(v1.Config{
		User: "appuser", WorkingDir: "/",
		Env: []string{"PATH=/opt/java/openjdk/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			"JAVA_HOME=/opt/java/openjdk", "LANG=en_US.UTF-8", "LC_ALL=C.UTF-8"},
		Cmd:          []string{"/opt/kafka/bin/kafka-server-start.sh", "/opt/kafka/config/server.properties"},
		ExposedPorts: map[string]struct{}{"9092/tcp": {}},
	}, baseLayer, javaLayer, kafkaLayer)
}

// skipBase leaves out what nobody reads in a container.
func skipBase(path string) bool {
	for _, p := range []string{"usr/share/doc", "usr/share/locale", "usr/share/man", "usr/share/info", "var/cache/apt", "var/cache/debconf",
		"var/lib/apt/lists", "var/log", "dev", "debootstrap"} {
		if strings.HasPrefix(path, p+"/") {
			return true
		}
	}
	return false
}

func onlyArchives(path string) bool { return !strings.HasSuffix(path, ".jsa") }

// filesKey is a digest of the files that this program puts into the image.
func filesKey() (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, made, log4j, suite, modules, epoch.Format(time.RFC3339))
	err := fs.WalkDir(kafkaFiles, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := kafkaFiles.ReadFile(path)
		fmt.Fprintf(h, "%s %d\n", path, len(content))
		h.Write(content)
		return err
	})
	return hex.EncodeToString(h.Sum(nil)), err
}
