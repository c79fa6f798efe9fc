//go:build linux

package bench

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"testing"
)

func TestFrontPassesRequestsOnAsTheyAreAndCountsThem(t *testing.T) {
	t.Parallel()
	f := &front{wire: &wire{counts: map[string]int{}}}
	sent := []byte{
		0, 0, 0, 5, 0, 19, 1, 2, 3, // CreateTopics
		0, 0, 0, 2, 0, 3, // Metadata, and nothing else
		0, 0, 0, 3, 0, 19, 9,
	}
	operator, broker := bytes.NewReader(sent), &bytes.Buffer{}
	var err error
	for err == nil {
		err = f.request(operator, broker)
	}
	if !errors.Is(err, io.EOF) {
		t.Errorf("the end of the connection is told as %v", err)
	}
	if !bytes.Equal(broker.Bytes(), sent) {
		t.Errorf("the broker got %v, sent was %v", broker.Bytes(), sent)
	}
	if want := map[string]int{"CreateTopics": 2, "Metadata": 1}; !maps.Equal(f.wire.counted(), want) {
		t.Errorf("counted %v, want %v", f.wire.counted(), want)
	}
}

func TestAuditCountsFinishedRequestsOfTheOperatorAfterTheMark(t *testing.T) {
	t.Parallel()
	const before = `{"stage":"ResponseComplete","verb":"patch","userAgent":"castellan/v0.0.0 (linux/amd64)"}` + "\n"
	const after = `{"stage":"ResponseComplete","verb":"patch","userAgent":"castellan/v0.0.0 (linux/amd64)"}
{"stage":"ResponseComplete","verb":"patch","userAgent":"castellan/v0.0.0 (linux/amd64)"}
{"stage":"ResponseComplete","verb":"get","userAgent":"castellan/v0.0.0 (linux/amd64)"}
{"stage":"ResponseComplete","verb":"patch","userAgent":"bench"}
{"stage":"ResponseStarted","verb":"list","userAgent":"castellan/v0.0.0 (linux/amd64)"}
{"stage":"ResponseComplete","verb":"watch","userAgent":"castellan/v0.0.0 (linux/amd64)"}
{"stage":"ResponseComplete","verb":"pat`
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(path, []byte(before+after), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := auditSince(path, int64(len(before)))
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]int{"patch": 2, "get": 1}; !maps.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}
