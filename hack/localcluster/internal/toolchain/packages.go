package toolchain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/hack/localcluster/internal/console"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/proc"
)

// Need is something that a Debian package brings: a command or a file.
type Need struct{ Command, File, Package string }

// What each kind of work needs from the machine.
var (
	BuildNeeds = []Need{
		{Command: "gcc", Package: "gcc"},
		{File: "/usr/include/stdio.h", Package: "libc6-dev"},
		{File: "/usr/include/seccomp.h", Package: "libseccomp-dev"},
		{Command: "pkg-config", Package: "pkg-config"},
	}
	RunNeeds = []Need{
		{Command: "ip", Package: "iproute2"},
		{Command: "nft", Package: "nftables"},
		{Command: "nsenter", Package: "util-linux"},
		{Command: "mount", Package: "mount"},
		{Command: "mkfs.xfs", Package: "xfsprogs"},
	}
	PolicyNeeds = []Need{
		{Command: "iptables", Package: "iptables"},
		{Command: "ipset", Package: "ipset"},
	}
	ImageNeeds = []Need{
		{Command: "debootstrap", Package: "debootstrap"},
		{Command: "mvn", Package: "maven"},
		{Command: "jlink", Package: "openjdk-17-jdk-headless"},
	}
)

func (n Need) met() bool {
	if n.Command != "" {
		_, err := exec.LookPath(n.Command)
		return err == nil
	}
	_, err := os.Stat(n.File)
	return err == nil
}

// missing lists the packages of the needs that are not met.
func missing(needs []Need) []string {
	var packages []string
	for _, n := range needs {
		if !n.met() {
			packages = append(packages, n.Package)
		}
	}
	slices.Sort(packages)
	return slices.Compact(packages)
}

// EnsurePackages installs the Debian packages that are missing.
func EnsurePackages(ctx context.Context, c *console.Console, needs []Need) error {
	packages := missing(needs)
	if len(packages) == 0 {
		return nil
	}
	list := strings.Join(packages, " ")
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("this machine lacks what these Debian packages hold, and has no apt-get: %s", list)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("missing packages; run as root: apt-get install %s", list)
	}
	err := c.Step(ctx, "apt-get", "installing Debian packages "+list, "", func(ctx context.Context, log io.Writer) error {
		env := []string{"DEBIAN_FRONTEND=noninteractive"}
		install := append([]string{"apt-get", "install", "-y", "--no-install-recommends"}, packages...)
		if err := (proc.Command{Argv: install, Env: env}).Run(ctx, log); err == nil || ctx.Err() != nil {
			return err
		}
		// The list of packages may be missing or old.
		if err := (proc.Command{Argv: []string{"apt-get", "update"}, Env: env}).Run(ctx, log); err != nil {
			return err
		}
		return proc.Command{Argv: install, Env: env}.Run(ctx, log)
	})
	if err != nil {
		return err
	}
	if still := missing(needs); len(still) > 0 {
		return errors.New("still missing after apt-get: " + strings.Join(still, " "))
	}
	return nil
}
