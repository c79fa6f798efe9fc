// Package console prints what a long command does: one line a step, how long
// it has taken so far, and the end of its log when it fails.
package console

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	tailLines     = 25
	linesEvery    = 10 * time.Second
	terminalEvery = time.Second
)

// Console prints steps to an output.
type Console struct {
	out      io.Writer
	terminal bool
	logs     string
}

// New prints to a file, mostly standard error. Logs of steps go to the folder.
func New(out *os.File, logs string) *Console {
	info, err := out.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb" && out.Name() != os.DevNull
	return &Console{out: out, terminal: terminal, logs: logs}
}

// Say prints one line.
func (c *Console) Say(format string, args ...any) { fmt.Fprintf(c.out, format+"\n", args...) }

// Step runs f and reports on it while it runs. What f writes to its log is
// shown only if it fails. The hint says how long to expect.
func (c *Console) Step(ctx context.Context, name, title, hint string, f func(ctx context.Context, log io.Writer) error) error {
	if err := os.MkdirAll(c.logs, 0o755); err != nil {
		return err
	}
	path := filepath.Join(c.logs, name+".log")
	log, err := os.Create(path)
	if err != nil {
		return err
	}
	defer log.Close()
	start := time.Now()
	done := make(chan error, 1)
	go func() { done <- f(ctx, log) }()
	err = c.report(title, hint, start, done)
	if err == nil {
		c.line(false, "%s: %s", title, Elapsed(time.Since(start)))
		return nil
	}
	c.line(false, "%s: failed after %s", title, Elapsed(time.Since(start)))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if tail := Tail(path, tailLines); tail != "" {
		c.Say("%s", tail)
	}
	return fmt.Errorf("%s: %w (log: %s)", title, err, path)
}

func (c *Console) report(title, hint string, start time.Time, done <-chan error) error {
	every := linesEvery
	if c.terminal {
		every = terminalEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	if hint != "" {
		hint = " (" + hint + ")"
	}
	c.line(true, "%s…%s", title, hint)
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			c.line(true, "%s… %s%s", title, Elapsed(time.Since(start)), hint)
		}
	}
}

// line prints a line; on a terminal the next one takes the place of a
// temporary line.
func (c *Console) line(temporary bool, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	switch {
	case !c.terminal:
		fmt.Fprintln(c.out, text)
	case temporary:
		fmt.Fprintf(c.out, "\r\x1b[K%s", text)
	default:
		fmt.Fprintf(c.out, "\r\x1b[K%s\n", text)
	}
}

// Elapsed prints a duration for people: 0.4s, 12s, 2m10s.
func Elapsed(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// Tail returns the last lines of a file, indented.
func Tail(path string, lines int) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	all := strings.Split(string(bytes.TrimSpace(content)), "\n")
	all = all[max(0, len(all)-lines):]
	if len(all) == 1 && all[0] == "" {
		return ""
	}
	return "    " + strings.Join(all, "\n    ")
}
