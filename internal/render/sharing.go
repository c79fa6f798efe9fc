package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A revision of many nodes with many listeners would be too large with every file of every node in it. Then what nodes
// share stands in it once. start.sh puts the files together again, and so does ReadRevision:
//
//	<id>.shared     "<file> <entry>", one a line: which entry has what the node shares with others
//	shared-<digest> the file as many nodes have it; ownLine in it stands for the next line of <id>.<file>
//	pods            how the names of the pods begin; podNameMark stands for the whole name
//
// Small revisions stay as they always were.
const (
	// largeRevision is the size in bytes from which on a revision is shared out.
	largeRevision = 512 << 10

	entryShared = "shared"
	entryPods   = "pods"
	ownLine     = "@OWN@"
	podNameMark = "@POD_NAME@"
)

// shareOut moves what nodes share of their files to entries of their own; pods is how the names of the pods begin.
func shareOut(data map[string]string, files map[int32]NodeFiles, pods string) {
	data[entryPods] = pods
	ids := slices.Sorted(maps.Keys(files))
	shared := map[int32][]string{}
	for _, name := range []string{fileJVM, fileNames, fileProperties} {
		for _, group := range groupsOf(ids, files, name, pods) {
			template, own := group.divide()
			entry := "shared-" + digest(template)[:10]
			data[entry] = template
			for i, id := range group.ids {
				data[fmt.Sprintf("%d.%s", id, name)] = own[i]
				shared[id] = append(shared[id], name+" "+entry)
			}
		}
	}
	for id, lines := range shared {
		data[fmt.Sprintf("%d.%s", id, entryShared)] = strings.Join(lines, "\n") + "\n"
	}
}

// group is nodes whose files are alike.
type group struct {
	ids   []int32
	lines [][]string // of each node's file, with podNameMark for its name
}

// groupsOf finds the nodes whose files of one name have as many lines, and at least half of them in common. A file that
// is alone, or could be mistaken for a shared one, is in no group.
func groupsOf(ids []int32, files map[int32]NodeFiles, name, pods string) []group {
	var groups []group
	for _, id := range ids {
		text := files[id].Data[name]
		if !strings.HasSuffix(text, "\n") || strings.Contains(text, ownLine) || strings.Contains(text, podNameMark) {
			continue
		}
		text = strings.ReplaceAll(text, fmt.Sprint(pods, id), podNameMark)
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		i := slices.IndexFunc(groups, func(g group) bool { return alike(g.lines[0], lines) })
		if i < 0 {
			groups = append(groups, group{})
			i = len(groups) - 1
		}
		groups[i].ids, groups[i].lines = append(groups[i].ids, id), append(groups[i].lines, lines)
	}
	return slices.DeleteFunc(groups, func(g group) bool { return len(g.ids) < 2 })
}

func alike(a, b []string) bool {
	equal := 0
	for i := range min(len(a), len(b)) {
		if a[i] == b[i] {
			equal++
		}
	}
	return len(a) == len(b) && 2*equal >= len(a)
}

// divide returns what the nodes have in common, and of each its own lines.
func (g group) divide() (template string, own []string) {
	var common strings.Builder
	own = make([]string, len(g.ids))
	for at, line := range g.lines[0] {
		if !slices.ContainsFunc(g.lines, func(lines []string) bool { return lines[at] != line }) {
			common.WriteString(line + "\n")
			continue
		}
		common.WriteString(ownLine + "\n")
		for i := range g.lines {
			own[i] += g.lines[i][at] + "\n"
		}
	}
	return common.String(), own
}

// putTogether is the inverse of divide, for one node.
func putTogether(template, own, podName string) string {
	lines := strings.Split(own, "\n")
	var whole strings.Builder
	for line := range strings.Lines(template) {
		if line == ownLine+"\n" && len(lines) > 0 {
			line, lines = lines[0]+"\n", lines[1:]
		}
		whole.WriteString(strings.ReplaceAll(line, podNameMark, podName))
	}
	return whole.String()
}
