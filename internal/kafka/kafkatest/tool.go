package kafkatest

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// Tool runs one of Kafka's command-line tools, named by its class, against the cluster's first broker, and returns what
// it prints.
func (c *Cluster) Tool(ctx context.Context, class string, args ...string) (string, error) {
	tools, err := toolLibs(ctx, c.options.Version)
	if err != nil {
		return "", fmt.Errorf("get the tools of Kafka %s: %w", c.options.Version, err)
	}
	classPath := strings.Join([]string{filepath.Join(c.libs, "*"), filepath.Join(tools, "*")}, ":")
	command := exec.CommandContext(ctx, "java", append([]string{
		"-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog4j2.level=ERROR", "-cp", classPath, class,
		"--bootstrap-server", c.Nodes[0].Admin,
	}, args...)...)
	var out, errors bytes.Buffer
	command.Stdout, command.Stderr = &out, &errors
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s%s", class, strings.Join(args, " "), err, out.String(), errors.String())
	}
	return out.String(), nil
}
