package render

import (
	"errors"
	"os"
	"syscall"
	"testing"
)

// deafRun is a Kafka of the first moments: it has asked for no signal yet.
const deafRun = `#!/usr/bin/env bash
echo "kafka begins"
exec sleep 3600
`

// As process 1, whoever has not asked for a signal does not hear it.
func TestItEndsAtOnceWhenToldToStopBeforeKafkaListens(t *testing.T) {
	p := newPod(t, cluster(t, "dedicated", dedicated), 100)
	p.write(metaProperties, "cluster.id=OLD\n")
	p.write("/opt/kafka/bin/kafka-run-class.sh", deafRun)
	p.attributes = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if id := os.Geteuid(); id != 0 {
		p.attributes.Cloneflags |= syscall.CLONE_NEWUSER
		p.attributes.UidMappings = []syscall.SysProcIDMap{{HostID: id, Size: 1}}
		p.attributes.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	if err := p.tryToStart(); errors.Is(err, syscall.EPERM) {
		t.Skip("a process cannot have a PID namespace of its own here")
	} else if err != nil {
		t.Fatal(err)
	}
	p.eventually("kafka begins")
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.ends(); code != 143 {
		t.Errorf("exit code %d, want 143", code)
	}
}
