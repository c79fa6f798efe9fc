package kafkatest

import (
	"archive/zip"
	"context"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed plugin/*.java
var pluginSource embed.FS

// The classes of PluginJar.
const (
	// PluginStorage is a RemoteStorageManager that keeps segments in the folder of its key directory. It needs a password,
	// which it writes to the file password there.
	PluginStorage = "test.plugin.DirectoryStorage"
	// PluginPolicy is a CreateTopicPolicy that admits no topic whose name begins with forbidden, and says PolicyWords.
	PluginPolicy = "test.plugin.NamePolicy"
	PolicyWords  = "the policy of the plug-in admits no name that begins with forbidden"
	// PluginReporter is a MetricsReporter that writes ReporterWords to the file of the key PluginNote.
	PluginReporter = "test.plugin.NotingReporter"
	PluginNote     = "test.plugin.note"
	ReporterWords  = "the reporter of the plug-in runs"
)

// PluginJar compiles the classes of a plug-in into a jar in a directory, and returns its path. It needs javac.
func PluginJar(ctx context.Context, dir string) (string, error) {
	libs, err := Libs(ctx, Version)
	if err != nil {
		return "", err
	}
	source, classes := filepath.Join(dir, "source"), filepath.Join(dir, "classes")
	jar := filepath.Join(dir, "test-plugin.jar")
	if err := os.CopyFS(source, pluginSource); err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(source, "plugin", "*.java"))
	if err != nil {
		return "", err
	}
	args := append([]string{"--release", "17", "-cp", filepath.Join(libs, "*"), "-d", classes}, files...)
	if output, err := exec.CommandContext(ctx, "javac", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("javac: %w: %s", err, output)
	}
	return jar, pack(classes, jar)
}

// pack writes the files below a directory into a zip.
func pack(dir, file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	w := zip.NewWriter(f)
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		entryOf, err := w.Create(filepath.ToSlash(strings.TrimPrefix(path, dir+string(filepath.Separator))))
		if err != nil {
			return err
		}
		_, err = entryOf.Write(content)
		return err
	})
	if err != nil {
		return err
	}
	return w.Close()
}
