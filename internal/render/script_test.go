package render

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/internal/model"
)

func TestStartScriptIsBash(t *testing.T) {
	if out, err := exec.Command("bash", "-n", "scripts/start.sh").CombinedOutput(); err != nil {
		t.Fatalf("bash -n: %v\n%s", err, out)
	}
}

// pod is a container's file system below a folder, with a Kafka that only tells how it was called.
type pod struct {
	t          *testing.T
	root, name string
	uid        string
	hostIP     string
	hostIPs    string
	attributes *syscall.SysProcAttr
	output     syncBuffer
	cmd        *exec.Cmd
	done       chan struct{} // closed when the script has ended
}

// syncBuffer is written by the process and read by the test.
type syncBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

const (
	fakeRun = `#!/usr/bin/env bash
root=$CASTELLAN_ROOT
{ echo "arguments $*"; echo "heap $KAFKA_HEAP_OPTS"; echo "options $KAFKA_OPTS"; echo "class path $CLASSPATH"; } >"$root/started"
echo "kafka runs"
`
	fakeStorage = `#!/usr/bin/env bash
root=$CASTELLAN_ROOT
case ${CLASSPATH:-} in
*/castellan-plain.jar*) ;;
*)
	echo 'org.apache.kafka.common.config.ConfigException: Invalid value for configuration principal.builder.class' >&2
	exit 1
	;;
esac
echo "$*" >>"$root/formatted"
echo "SCRAM storedKey=hunter2"
if [ -f "$root/fail" ]; then
	echo 'Exception in thread "main" java.lang.RuntimeException: cluster differs, password=hunter2 given' >&2
	echo '	at kafka.tools.StorageTool' >&2
	exit 1
fi
for directory in $(sed -n 's/^log.dirs=//p' "$root/tmp/castellan/server.properties" | tr , ' '); do
	mkdir -p "$directory"
	echo cluster.id=FORMATTED >"$directory/meta.properties"
done
`
)

// newPod lays out the container of one node of a cluster, with its keys in place and its disk empty.
func newPod(t *testing.T, c *model.Cluster, id int32) *pod {
	t.Helper()
	n := c.Node(id)
	p := &pod{t: t, root: t.TempDir(), name: n.PodName, uid: "uid-1", hostIP: "10.0.0.7"}
	revision := Revision(c, c.PoolOf(n), Nodes(c))
	for key, content := range revision.Data {
		p.write(revisionDir+"/"+key, strings.ReplaceAll(content, dataDir, p.root+dataDir))
	}
	p.write("/opt/kafka/libs/a.jar", "")
	p.write("/opt/kafka/libs/b-test.jar", "")
	p.write("/opt/kafka/libs/c.jar", "")
	p.write("/opt/kafka/bin/kafka-run-class.sh", fakeRun)
	p.write("/opt/kafka/bin/kafka-storage.sh", fakeStorage)
	p.write(podDir+"/rack", "zone-a")
	p.write(podDir+"/format", "")
	p.write(internalDir+"/ca.crt", "ca")
	for certificate, names := range p.neededNames(n) {
		p.write(certificate+".pem", "key")
		p.write(certificate+".names", strings.Join(names, "\n")+"\n")
	}
	return p
}

// neededNames are the names that each certificate must hold, by the path of its files without ending.
func (p *pod) neededNames(n *model.Node) map[string][]string {
	id := strings.TrimPrefix(p.name[strings.LastIndex(p.name, "-"):], "-")
	names := map[string][]string{}
	for _, l := range n.Listeners {
		path := internalDir + "/" + id
		if !l.IsInternal() {
			path = listenersDir + "/" + id + "." + strings.ToLower(l.Name)
		}
		names[path] = append(names[path], l.SANs...)
		if l.NeedsHostIP {
			names[path] = append(names[path], p.hostIP)
		}
	}
	return names
}

func (p *pod) write(path, content string) {
	p.t.Helper()
	path = filepath.Join(p.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", []byte(content), 0o755); err != nil {
		p.t.Fatal(err)
	}
	// As the kubelet does: a file is never seen half written.
	if err := os.Rename(path+".new", path); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pod) remove(path string) {
	p.t.Helper()
	if err := os.RemoveAll(filepath.Join(p.root, path)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pod) read(path string) string {
	p.t.Helper()
	content, err := os.ReadFile(filepath.Join(p.root, path))
	if os.IsNotExist(err) {
		return ""
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return string(content)
}

func (p *pod) start() {
	p.t.Helper()
	if err := p.tryToStart(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pod) tryToStart() error {
	p.cmd = exec.Command("bash", filepath.Join(p.root, revisionDir, entryStart))
	p.cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"),
		"CASTELLAN_ROOT=" + p.root,
		"POD_NAME=" + p.name,
		"POD_UID=" + p.uid,
		"HOST_IP=" + p.hostIP,
		"HOST_IPS=" + p.hostIPs,
		pluginsVariable + "=" + os.Getenv(pluginsVariable),
	}
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.SysProcAttr = &p.output, &p.output, p.attributes
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.done = make(chan struct{})
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // how it ended is asked of ProcessState
	}()
	p.t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return nil
}

// eventually waits for the script to say something.
func (p *pod) eventually(says string) {
	p.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !strings.Contains(p.output.String(), says) {
		if time.Now().After(deadline) {
			p.t.Fatalf("the script did not say %q, but:\n%s", says, p.output.String())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// ends waits for the script, and tells its exit code.
func (p *pod) ends() int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(20 * time.Second):
		p.t.Fatalf("the script did not end:\n%s", p.output.String())
		return -1
	}
}

func (p *pod) runsKafka() {
	p.t.Helper()
	if code := p.ends(); code != 0 || !strings.Contains(p.output.String(), "kafka runs") {
		p.t.Fatalf("exit code %d:\n%s", code, p.output.String())
	}
}

const metaProperties = dataDir + "/disk1/log/meta.properties"

func TestAFormattedDiskStartsAtOnce(t *testing.T) {
	p := newPod(t, cluster(t, "dedicated", dedicated), 100)
	p.write(metaProperties, "cluster.id=OLD\n")
	p.write(dataDir+"/disk2/log/meta.properties", "cluster.id=OLD\n")
	p.write("/opt/kafka/kafka.jsa", "")
	p.start()
	p.runsKafka()
	if got := p.read("/formatted"); got != "" {
		t.Errorf("a formatted disk was formatted: %s", got)
	}
	if out := p.output.String(); strings.Contains(out, "waiting") {
		t.Errorf("it waited:\n%s", out)
	}
	libs := p.root + "/opt/kafka/bin/../libs/"
	want := "arguments kafka.Kafka " + p.root + "/tmp/castellan/server.properties\n" +
		"heap -Xms1073741824 -Xmx1073741824\n" +
		"options -XX:SharedArchiveFile=" + p.root + "/opt/kafka/kafka.jsa -Xshare:auto -Djava.security.properties=" + p.root +
		"/tmp/castellan/java.security -XX:+ExitOnOutOfMemoryError\n" +
		"class path " + libs + "a.jar:" + libs + "c.jar:" + p.root + revisionDir + "/castellan-plain.jar\n"
	if got := p.read("/started"); got != want {
		t.Errorf("Kafka was started with\n%swant\n%s", got, want)
	}
	if got, want := p.read("/tmp/castellan/java.security"), "networkaddress.cache.ttl=1\nnetworkaddress.cache.negative.ttl=1\n"; got != want {
		t.Errorf("Java keeps addresses by\n%swant\n%s", got, want)
	}
}

func TestAnEmptyDiskWaitsForAWordToThisVeryPod(t *testing.T) {
	c := cluster(t, "dedicated", dedicated)
	lower := cluster(t, "dedicated", dedicated+"metadataVersion: \"4.2\"\n")
	voters := strings.Fields(FormatInitial(c, "x"))[3]
	for _, tc := range []struct {
		name     string
		id       int32
		word     func(uid string) string
		argument string
	}{
		{"a broker joins", 100, func(uid string) string { return FormatJoin(c, uid) }, "--no-initial-controllers"},
		{"an initial voter knows the others", 1000, func(uid string) string { return FormatInitial(c, uid) },
			"--initial-controllers " + voters},
		{"an initial voter knows the metadata.version that is asked for", 1000, func(uid string) string { return FormatInitial(lower, uid) },
			"--initial-controllers " + voters + " --release-version 4.2-IV1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPod(t, c, tc.id)
			p.write(podDir+"/format", tc.word("uid-of-another"))
			p.start()
			p.eventually("waiting for the operator to say how to format the empty disk")
			time.Sleep(500 * time.Millisecond) // two more looks at the word for another pod
			if p.read("/formatted") != "" {
				t.Fatal("it took the word that was meant for another pod")
			}
			p.write(podDir+"/format", tc.word(p.uid))
			p.runsKafka()
			want := "format --ignore-formatted --cluster-id 4L6g3nShT-eMCtK--X86sw --config " + p.root + "/tmp/castellan/server.properties " + tc.argument + "\n"
			if got := p.read("/formatted"); got != want {
				t.Errorf("formatted with\n%swant\n%s", got, want)
			}
			if out := p.output.String(); strings.Contains(out, "hunter2") || strings.Count(out, "waiting for") != 1 {
				t.Errorf("it says a secret, or too much:\n%s", out)
			}
		})
	}
}

func TestANewDiskBesideFormattedOnesAsksNobody(t *testing.T) {
	p := newPod(t, cluster(t, "dedicated", dedicated), 100)
	p.write(metaProperties, "#\ncluster.id=OLD\nversion=1\n")
	p.start()
	p.runsKafka()
	if got := p.read("/formatted"); !strings.Contains(got, "--cluster-id OLD ") ||
		!strings.Contains(got, "--no-initial-controllers") {
		t.Errorf("formatted with %q", got)
	}
}

func TestAFailedFormatSaysWhyAndNoSecret(t *testing.T) {
	c := cluster(t, "dedicated", dedicated)
	p := newPod(t, c, 100)
	p.write("/fail", "")
	p.write(podDir+"/format", FormatJoin(c, p.uid))
	p.start()
	if code := p.ends(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	out := p.output.String()
	if !strings.Contains(out, "cluster differs") || strings.Contains(out, "hunter2") || strings.Contains(out, "\tat ") {
		t.Errorf("it says:\n%s", out)
	}
	if left := p.read("/tmp/castellan/format.out") + p.read("/tmp/castellan/format.err"); left != "" {
		t.Errorf("what the tool printed is left behind: %s", left)
	}
}

func TestPlaceholdersAreFilled(t *testing.T) {
	in := inputs(t, "dedicated", dedicated)
	in.Spec.Pools[1].Config["metrics.example"] = `@RACK@ & @HOST_IP@ \ stay`
	c := resolved(t, in)
	const zone = "broker.rack=zone-a\n"
	// The names are parts of paths: without commas, at which Kafka splits.
	for _, tc := range []struct{ name, rack, family, hostIPs, advertised, rackLine string }{
		{"a zone and an IPv4 address", "zone-a", "", "10.0.0.7", "OUTSIDE://10.0.0.7:31100", zone},
		{"no zone and an IPv6 address", "", "", "fd00::7", "OUTSIDE://[fd00::7]:31100", ""},
		{"two families and nothing asked for", "zone-a", "", "10.0.0.7,fd00::7", "OUTSIDE://10.0.0.7:31100", zone},
		{"two families and IPv6 asked for", "zone-a", "IPV6", "10.0.0.7,fd00::7", "OUTSIDE://[fd00::7]:31100", zone},
		{"two families and IPv4 asked for", "zone-a", "IPV4", "fd00::7,10.0.0.7", "OUTSIDE://10.0.0.7:31100", zone},
		{"an address that ends in colons", "zone-a", "IPV6", "10.0.0.7,fd00::", "OUTSIDE://[fd00::]:31100", zone},
		{"IPv6 alone and asked for", "zone-a", "IPV6", "fd00::7", "OUTSIDE://[fd00::7]:31100", zone},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPod(t, c, 100)
			p.hostIPs = tc.hostIPs
			p.hostIP, _, _ = strings.Cut(tc.hostIPs, ",")
			if tc.family != "" {
				p.asksFor(tc.family)
				p.hostIP = strings.Trim(strings.TrimSuffix(strings.TrimPrefix(tc.advertised, "OUTSIDE://"), ":31100"), "[]")
			}
			for path, names := range p.neededNames(c.Node(100)) {
				p.write(path+".names", strings.Join(names, "\n")+"\n")
			}
			p.hostIP, _, _ = strings.Cut(tc.hostIPs, ",")
			p.write(podDir+"/rack", tc.rack)
			p.write(metaProperties, "cluster.id=OLD\n")
			p.start()
			p.runsKafka()
			got := p.read("/tmp/castellan/server.properties")
			if !strings.Contains(got, tc.advertised) {
				t.Errorf("%s is not in\n%s", tc.advertised, got)
			}
			if has := strings.Contains(got, "broker.rack="); has != (tc.rackLine != "") || !strings.Contains(got, tc.rackLine) {
				t.Errorf("rack line %q is not as it should be in\n%s", tc.rackLine, got)
			}
			if !strings.Contains(got, `metrics.example=@RACK@ & @HOST_IP@ \\ stay`) {
				t.Errorf("a value of the user's was changed:\n%s", got)
			}
		})
	}
}

// asksFor has the files of the pod advertise the Kubernetes node's address of one family.
func (p *pod) asksFor(family string) {
	p.t.Helper()
	for _, file := range []string{"server.properties", "names"} {
		path := revisionDir + "/100." + file
		p.write(path, strings.NewReplacer("OUTSIDE://@HOST_IP@", "OUTSIDE://@HOST_"+family+"@",
			"outside @HOST_IP@", "outside @HOST_"+family+"@").Replace(p.read(path)))
	}
}

func TestItEndsWhereTheKubernetesNodeHasNoAddressOfTheFamily(t *testing.T) {
	p := newPod(t, cluster(t, "dedicated", dedicated), 100)
	p.hostIPs = "10.0.0.7"
	p.write(metaProperties, "cluster.id=OLD\n")
	p.asksFor("IPV6")
	p.start()
	p.eventually("services.ipFamilies that begin with IPv6, and the Kubernetes node has no IPv6 address")
	code := p.ends()
	if code != 1 {
		t.Errorf("it ended with %d", code)
	}
}

// Its file system may still show what the Secret held in the round before.
func TestItWaitsForTheKeysOfItsRound(t *testing.T) {
	c := cluster(t, "dedicated", dedicated)
	c.AuthorityRound = 2
	p := newPod(t, c, 100)
	p.write(metaProperties, "cluster.id=OLD\n")
	p.start()
	p.eventually("waiting for a certificate that names castellan-authority-round-2 (100.pem)")
	names := p.read(internalDir + "/100.names")
	p.write(internalDir+"/100.names", names+RoundName(1)+"\n"+RoundName(2)+"\n")
	p.runsKafka()
}

func TestItWaitsForItsKeysAndForEveryName(t *testing.T) {
	p := newPod(t, cluster(t, "dedicated", dedicated), 100)
	p.write(metaProperties, "cluster.id=OLD\n")
	names := p.read(listenersDir + "/100.outside.names")
	p.write(listenersDir+"/100.outside.names", strings.ReplaceAll(names, p.hostIP, "10.0.0.99"))
	p.remove(internalDir + "/100.pem")
	p.start()
	p.eventually("waiting for its key and certificate (100.pem)")
	p.write(internalDir+"/100.pem", "key")
	p.eventually("waiting for a certificate that names 10.0.0.7 (100.outside.pem)")
	p.write(listenersDir+"/100.outside.names", names)
	p.runsKafka()
}

func TestItEndsAtOnceWhenToldToStopWhileItWaits(t *testing.T) {
	p := newPod(t, cluster(t, "dedicated", dedicated), 100)
	p.start()
	p.eventually("waiting for the operator")
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.ends(); code != 143 {
		t.Errorf("exit code %d, want 143", code)
	}
}

func TestItEndsAsKafkaEnds(t *testing.T) {
	p := newPod(t, cluster(t, "dedicated", dedicated), 100)
	p.write(metaProperties, "cluster.id=OLD\n")
	p.write("/opt/kafka/bin/kafka-run-class.sh", "#!/usr/bin/env bash\nexit 7\n")
	p.start()
	if code := p.ends(); code != 7 {
		t.Errorf("exit code %d, want 7", code)
	}
}

// Kafka's last words about a full disk are that a log directory has failed; Kubernetes keeps no more of them.
func TestAFailedStartSaysWhyADiskCannotBeWrittenTo(t *testing.T) {
	p := newPod(t, cluster(t, "dedicated", dedicated), 100)
	p.write(metaProperties, "cluster.id=OLD\n")
	p.write("/opt/kafka/bin/kafka-run-class.sh", "#!/usr/bin/env bash\necho 'ERROR Shutdown broker'\nexit 1\n")
	directory := filepath.Dir(filepath.Join(p.root, metaProperties))
	if err := os.Symlink("/dev/full", filepath.Join(directory, ".castellan-probe")); err != nil {
		t.Fatal(err)
	}
	p.start()
	said := "castellan: cannot write to " + directory + ": No space left on device\n"
	if code := p.ends(); code != 1 || !strings.HasSuffix(p.output.String(), said) {
		t.Errorf("exit code %d:\n%s", code, p.output.String())
	}

	// The probe was removed, and now the disk takes it: nothing is to be said, and nothing stays there.
	p.start()
	if code := p.ends(); code != 1 || strings.Count(p.output.String(), "cannot write") != 1 {
		t.Errorf("exit code %d:\n%s", code, p.output.String())
	}
	if _, err := os.Lstat(filepath.Join(directory, ".castellan-probe")); !os.IsNotExist(err) {
		t.Errorf("the probe: %v", err)
	}
}

func TestAStopWaitsForKafkasOwn(t *testing.T) {
	p := newPod(t, cluster(t, "dedicated", dedicated), 100)
	p.write(metaProperties, "cluster.id=OLD\n")
	p.write("/opt/kafka/bin/kafka-run-class.sh", `#!/usr/bin/env bash
trap 'echo "kafka stops"; for _ in 1 2 3; do sleep 0.1; done; echo "kafka has stopped"; exit 5' TERM
echo "kafka serves"
while :; do sleep 0.05; done
`)
	p.start()
	p.eventually("kafka serves")
	for range 2 { // whoever is in a hurry asks again
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		p.eventually("kafka stops")
	}
	if code := p.ends(); code != 5 || !strings.Contains(p.output.String(), "kafka has stopped") {
		t.Errorf("exit code %d:\n%s", code, p.output.String())
	}
}

func TestANodeWithoutFilesSaysSo(t *testing.T) {
	p := newPod(t, cluster(t, "dedicated", dedicated), 100)
	p.name = "dedicated-brokers-199"
	p.start()
	if code := p.ends(); code != 1 || !strings.Contains(p.output.String(), "no files of node 199") {
		t.Errorf("exit code %d:\n%s", code, p.output.String())
	}
}
