// Command argocd runs the parts of Argo CD that compare and sync: its application controller, its repository server and,
// as its cache, a Redis in memory, each as a process of its own. It is for tests: Argo CD's own program brings a user
// interface that is built apart, and what it is made of can be had.
//
//	argocd redis --address 127.0.0.1:6379
//	argocd repo-server ...      flags as of argocd-repo-server
//	argocd controller ...       flags as of argocd-application-controller
//
// It ends when it is told to, or when its standard input is a pipe and is closed.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alicebob/miniredis/v2"
	controller "github.com/argoproj/argo-cd/v3/cmd/argocd-application-controller/commands"
	reposerver "github.com/argoproj/argo-cd/v3/cmd/argocd-repo-server/commands"
	"github.com/spf13/cobra"
)

func main() {
	endWithInput()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "argocd:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) < 2 {
		return fmt.Errorf("usage: argocd redis|repo-server|controller ...")
	}
	var command *cobra.Command
	switch os.Args[1] {
	case "redis":
		return redis(os.Args[2:])
	case "repo-server":
		command = reposerver.NewCommand()
	case "controller":
		command = controller.NewCommand()
	default:
		return fmt.Errorf("no part is called %q", os.Args[1])
	}
	command.SetArgs(os.Args[2:])
	return command.Execute()
}

// redis serves until a signal comes.
func redis(args []string) error {
	flags := flag.NewFlagSet("redis", flag.ContinueOnError)
	address := flags.String("address", "127.0.0.1:6379", "where it listens")
	if err := flags.Parse(args); err != nil {
		return err
	}
	server := miniredis.NewMiniRedis()
	if err := server.StartAddr(*address); err != nil {
		return fmt.Errorf("listen on %s: %w", *address, err)
	}
	defer server.Close()
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGINT, syscall.SIGTERM)
	<-told
	return nil
}

// endWithInput ends the process in order when a pipe on standard input is closed, as when who started us dies.
func endWithInput() {
	info, err := os.Stdin.Stat()
	if err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
	}()
}
