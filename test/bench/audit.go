//go:build linux

package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// operatorAgent is how the operator's program, called castellan, presents itself.
const operatorAgent = "castellan/"

// auditSince counts the finished requests of the operator after a place in the audit log, by verb. Watches end when the
// server likes, and are left out.
func auditSince(path string, offset int64) (map[string]int, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	defer func() { _ = file.Close() }()
	if _, err := file.Seek(offset, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	counts := map[string]int{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var event struct {
			Stage, Verb, UserAgent string
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			continue // the last line, half written
		}
		if event.Stage == "ResponseComplete" && event.Verb != "watch" && strings.HasPrefix(event.UserAgent, operatorAgent) {
			counts[event.Verb]++
		}
	}
	return counts, lines.Err()
}

func auditSize(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, fmt.Errorf("look at the audit log: %w", err)
	}
	return info.Size(), nil
}
