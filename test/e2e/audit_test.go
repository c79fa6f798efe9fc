package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// auditEvent is one line of the API server's audit log, as far as we count.
type auditEvent struct {
	Verb string `json:"verb"`
	User struct {
		Username string `json:"username"`
	} `json:"user"`
	ObjectRef struct {
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
	} `json:"objectRef"`
}

func (e auditEvent) String() string {
	return fmt.Sprintf(
		"%s %s/%s %s/%s",
		e.Verb,
		e.ObjectRef.Resource,
		e.ObjectRef.Subresource,
		e.ObjectRef.Namespace,
		e.ObjectRef.Name,
	)
}

func (e auditEvent) writes() bool {
	return slices.Contains([]string{"create", "update", "patch", "delete", "deletecollection"}, e.Verb)
}

// auditLog is where the local cluster's API server writes its audit log.
func auditLog() string {
	if path := os.Getenv("CASTELLAN_E2E_AUDIT"); path != "" {
		return path
	}
	return filepath.Join(filepath.Dir(kubeconfig), "audit.log")
}

// auditMark is a place in the audit log.
func auditMark(t *testing.T) int64 {
	t.Helper()
	info, err := os.Stat(auditLog())
	if err != nil {
		t.Fatalf("the audit log of the API server: %v", err)
	}
	return info.Size()
}

// ofLeadership tells the leader's lease, and the event that says who took it, from everything else.
func (e auditEvent) ofLeadership() bool {
	return e.ObjectRef.Resource == "leases" ||
		e.ObjectRef.Resource == "events" && e.ObjectRef.Namespace == releaseNamespace
}

// auditSince returns the requests of one user since a mark, other than those for its lease.
func auditSince(t *testing.T, mark int64, user string) (writes, reads []auditEvent) {
	t.Helper()
	file, err := os.Open(auditLog())
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Seek(mark, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var e auditEvent
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			continue // the last line, half written
		}
		switch {
		case e.User.Username != user || e.ofLeadership():
		case e.writes():
			writes = append(writes, e)
		default:
			reads = append(reads, e)
		}
	}
	if lines.Err() != nil {
		t.Fatal(lines.Err())
	}
	return writes, reads
}

// tally counts equal requests.
func tally(events []auditEvent) string {
	counts := map[string]int{}
	for _, e := range events {
		counts[e.String()]++
	}
	text := ""
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		text += fmt.Sprintf("\n  %4d %s", counts[key], key)
	}
	return text
}
