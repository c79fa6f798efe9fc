package render

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/plainauth"
)

const (
	entryStart       = "start.sh"
	entryLog4j       = "log4j2.properties"
	entryFingerprint = "fingerprint" // "<user> <whole>", for each node
)

// Revision prints the immutable ConfigMap with the files of a pool's nodes. Which files those are is the caller's
// choice: the desired ones for nodes that may have them, what they last ran for the others. The name follows from the
// content. start.sh is shared by all nodes in it, so that it must be able to read the files of earlier operators.
func Revision(c *model.Cluster, pool *model.Pool, files map[int32]NodeFiles) *corev1.ConfigMap {
	data := map[string]string{entryStart: startScript, entryLog4j: log4jConfig}
	for id, node := range files {
		prefix := strconv.Itoa(int(id)) + "."
		for name, content := range node.Data {
			data[prefix+name] = content
		}
		data[prefix+entryFingerprint] = node.Fingerprint.User + " " + node.Fingerprint.Whole
	}
	jar := plainauth.Jar()
	if bytesOf(data, jar) > largeRevision {
		shareOut(data, files, pool.StatefulSet+"-")
	}
	immutable := true
	return &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: objectMeta(c, pool.StatefulSet+"-"+digest(toJSON(data), string(jar))[:10], poolLabels(c, pool)),
		Immutable:  &immutable,
		Data:       data,
		BinaryData: map[string][]byte{plainauth.JarName: jar},
	}
}

// RevisionBytes is what Kubernetes counts of a revision. A ConfigMap holds 1 MiB.
func RevisionBytes(cm *corev1.ConfigMap) int {
	return bytesOf(cm.Data, cm.BinaryData[plainauth.JarName])
}

func bytesOf(data map[string]string, more []byte) int {
	size := len(more)
	for _, value := range data {
		size += len(value)
	}
	return size
}

// ReadRevision gives back the files that a revision was made of, or nil when the ConfigMap is none.
func ReadRevision(cm *corev1.ConfigMap) map[int32]NodeFiles {
	if cm == nil || cm.Data[entryStart] == "" {
		return nil
	}
	nodes := map[int32]NodeFiles{}
	for _, key := range sortedKeys(cm.Data) {
		number, name, _ := strings.Cut(key, ".")
		id, err := strconv.ParseInt(number, 10, 32)
		if err != nil {
			continue // shared by all nodes
		}
		node, known := nodes[int32(id)]
		if !known {
			node.Data = map[string]string{}
		}
		if name == entryFingerprint {
			node.Fingerprint.User, node.Fingerprint.Whole, _ = strings.Cut(cm.Data[key], " ")
		} else {
			node.Data[name] = cm.Data[key]
		}
		nodes[int32(id)] = node
	}
	for id, node := range nodes {
		for line := range strings.Lines(node.Data[entryShared]) {
			name, entry, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			podName := fmt.Sprint(cm.Data[entryPods], id)
			node.Data[name] = putTogether(cm.Data[entry], node.Data[name], podName)
		}
		delete(node.Data, entryShared)
	}
	return nodes
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
