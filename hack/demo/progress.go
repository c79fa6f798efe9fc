package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// progress prints what happens, with the time since the beginning.
type progress struct {
	out   io.Writer
	began time.Time
}

func newProgress(out io.Writer) *progress { return &progress{out: out, began: time.Now()} }

func (p *progress) say(format string, args ...any) {
	fmt.Fprintf(p.out, "[%4.0fs] %s\n", time.Since(p.began).Seconds(), fmt.Sprintf(format, args...))
}

// step runs one part of the demo and says how long it took.
func (p *progress) step(name string, do func() error) error {
	p.say("%s ...", name)
	begun := time.Now()
	if err := do(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	p.say("%s: done in %.1fs", name, time.Since(begun).Seconds())
	return nil
}

// show runs a program whose output is for the reader.
func (p *progress) show(ctx context.Context, name string, args ...string) error {
	command := program(ctx, name, args...)
	indented := &indent{out: p.out}
	command.Stdout, command.Stderr = indented, indented
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return nil
}

// output runs a program and returns what it printed, without the last line break.
func (p *progress) output(ctx context.Context, name string, args ...string) (string, error) {
	command := program(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimRight(stdout.String(), "\n"), nil
}

// program is a command that is asked to stop, and not killed at once, when the demo is interrupted.
func program(ctx context.Context, name string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, name, args...)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 20 * time.Second
	command.Env = os.Environ()
	return command
}

// indent sets the lines of other programs off from our own.
type indent struct {
	out    io.Writer
	within bool // a line has begun
}

func (i *indent) Write(text []byte) (int, error) {
	var b bytes.Buffer
	for _, c := range text {
		if !i.within && c != '\n' {
			b.WriteString("        ")
			i.within = true
		}
		b.WriteByte(c)
		if c == '\n' {
			i.within = false
		}
	}
	if _, err := i.out.Write(b.Bytes()); err != nil {
		return 0, err
	}
	return len(text), nil
}
