package decide

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/pki"
)

// joined is what several Secrets hold, as the pods see it; nil = there is none of them.
func joined(live *observe.Live, names []string) *corev1.Secret {
	var all *corev1.Secret
	for _, name := range names {
		if secret := live.Secrets[name]; secret != nil {
			if all == nil {
				all = &corev1.Secret{Data: map[string][]byte{}}
			}
			maps.Copy(all.Data, secret.Data)
		}
	}
	return all
}

// spread lays the keys over Secrets of these names. A key stays where it is: a pod that an earlier operator made mounts
// the first Secret alone.
func (k KeySecret) spread(names []string, live *observe.Live, authority string) []KeySecret {
	sizes, stays := map[string]int{}, map[string]int{}
	for entry, value := range k.Keep {
		if entry != pki.AuthorityCertificate {
			sizes[leafOf(entry)] += len(value)
		}
	}
	for _, leaf := range k.Issue {
		sizes[leaf.Entry] = leafBytes(leaf, authority)
	}
	for i, name := range names {
		if secret := live.Secrets[name]; secret != nil {
			for entry := range secret.Data {
				if _, before := stays[leafOf(entry)]; !before {
					stays[leafOf(entry)] = i
				}
			}
		}
	}
	places, _ := placed(sizes, stays, maxObject-authorityRoom)
	parts := make([]KeySecret, len(names))
	for i, name := range names {
		parts[i] = KeySecret{Name: name, Keep: map[string][]byte{}}
	}
	parts[0].Keep[pki.AuthorityCertificate] = k.Keep[pki.AuthorityCertificate]
	for entry, value := range k.Keep {
		if entry != pki.AuthorityCertificate {
			parts[places[leafOf(entry)]].Keep[entry] = value
		}
	}
	for _, leaf := range k.Leaves {
		part := &parts[places[leaf.Entry]]
		part.Leaves = append(part.Leaves, leaf)
	}
	for _, leaf := range k.Issue {
		part := &parts[places[leaf.Entry]]
		part.Issue = append(part.Issue, leaf)
	}
	for i := range parts {
		have := live.Secrets[parts[i].Name]
		parts[i].Current = have != nil && len(parts[i].Issue) == 0 && maps.EqualFunc(parts[i].Keep, have.Data, bytes.Equal)
	}
	return slices.DeleteFunc(parts, func(part KeySecret) bool {
		return live.Secrets[part.Name] == nil && len(part.Keep)+len(part.Issue) == 0
	})
}

// leafOf is the leaf that an entry of a Secret of keys is of.
func leafOf(entry string) string {
	for _, kind := range entryKinds {
		if leaf, found := strings.CutSuffix(entry, kind); found {
			return leaf
		}
	}
	return entry
}

// placed says in which of a pool's Secrets each leaf is, by the bytes that it takes: where it stays if that has room
// for it, else in the first that has. It tells whether all fit.
func placed(sizes, stays map[string]int, room int) (places map[string]int, fits bool) {
	var used [model.ListenersSecrets]int
	places, fits = map[string]int{}, true
	leaves := slices.Sorted(maps.Keys(sizes))
	for _, leaf := range leaves {
		if at, known := stays[leaf]; known && used[at]+sizes[leaf] <= room {
			places[leaf] = at
			used[at] += sizes[leaf]
		}
	}
	for _, leaf := range leaves {
		if _, done := places[leaf]; done {
			continue
		}
		at := -1
		for _, most := range []int{room - keyRoom, room} {
			if at < 0 {
				at = slices.IndexFunc(used[:], func(bytes int) bool { return bytes+sizes[leaf] <= most })
			}
		}
		if at < 0 {
			at, fits = 0, false
		}
		places[leaf] = at
		used[at] += sizes[leaf]
	}
	return places, fits
}

// foreignRoom is more than a signature takes, and the name of who signs, where that is an authority of the user's.
const foreignRoom = 2 << 10

// leafBytes is the most that a key takes with its certificate and the list of its names.
func leafBytes(leaf Leaf, authority string) int {
	size := leaf.Request.BundleBytes(authority) + len(leaf.Names())
	if leaf.Signer != nil {
		size += len(leaf.Signer.CertPEM) + foreignRoom
	}
	return size
}
