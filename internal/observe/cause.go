package observe

import (
	"regexp"
	"strings"
)

var (
	// thrown is the head of a Java stack trace: a class that is named so, and what it says.
	thrown = regexp.MustCompile(
		`^(?:Caused by: |Exception in thread "[^"]*" )?(?:[a-zA-Z_$][\w$]*\.)+([A-Z][\w$]*(?:Exception|Error)): (.+)$`,
	)
	// barred is what the start script finds of a disk once Kafka has failed.
	barred = regexp.MustCompile(`^castellan: (cannot write to .+)$`)
	// logged is a line of the log at level ERROR or FATAL, and what it says, without its time and logger.
	logged = regexp.MustCompile(`\b(?:ERROR|FATAL)\s+(.+?)(?: \([\w.$]+\))?$`)
)

// cause picks from a container's last words the line that says why it ended: which disk cannot be written to, else what
// was thrown last, else what was logged last as an error, else the last line that is no frame of a stack trace.
func cause(text string) string {
	var disk, exception, failure, last string
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if found := barred.FindStringSubmatch(line); found != nil {
			disk = found[1]
		} else if found := thrown.FindStringSubmatch(line); found != nil {
			exception = found[2]
		} else if found := logged.FindStringSubmatch(line); found != nil {
			failure = found[1]
		}
		if line != "" && !strings.HasPrefix(line, "at ") {
			last = line
		}
	}
	for _, said := range []string{disk, exception, failure, last} {
		if said != "" {
			return said
		}
	}
	return ""
}
