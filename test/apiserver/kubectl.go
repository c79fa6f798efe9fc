package apiserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Kubectl is the program: that of the PATH, or the one that the local cluster has built for itself.
func Kubectl() (string, error) {
	if path, err := exec.LookPath("kubectl"); err == nil {
		return path, nil
	}
	cache := os.Getenv("CASTELLAN_CACHE")
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		cache = filepath.Join(user, "castellan")
	}
	found, err := filepath.Glob(filepath.Join(cache, "bin", "components-*", "kubectl"))
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("no kubectl on the PATH and none in %s (%w)", cache, err)
	}
	return slices.MaxFunc(found, func(a, b string) int { return int(builtAt(a) - builtAt(b)) }), nil
}

// builtAt is when a program was built, in seconds; of one that is gone it is 0.
func builtAt(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.ModTime().Unix()
}

// Shell runs lines of a shell from the repository's folder, with kubectl on the PATH and the API server's kubeconfig.
// It returns what they print; the error has it, too.
func (s *Server) Shell(ctx context.Context, repository, lines string) (string, error) {
	path, err := Kubectl()
	if err != nil {
		return "", err
	}
	command := exec.CommandContext(ctx, "bash", "-euo", "pipefail")
	command.Dir, command.Stdin = repository, strings.NewReader(lines)
	command.Env = append(os.Environ(), "KUBECONFIG="+s.Kubeconfig,
		"PATH="+filepath.Dir(path)+string(os.PathListSeparator)+os.Getenv("PATH"))
	out, err := command.CombinedOutput()
	if err != nil {
		return string(out), errors.Join(fmt.Errorf("run %q: %w", lines, err), errors.New(string(out)))
	}
	return string(out), nil
}
