package users

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/internal/plainauth"
)

func plainLine(t *testing.T, name, password string) plainauth.Entry {
	t.Helper()
	e, err := plainauth.Hash(name, password, make([]byte, plainauth.MinSaltBytes), plainauth.MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestWhoStandsInOnePartStaysThereAndNewcomersGetTheFirstWithRoom(t *testing.T) {
	lines := map[string]plainauth.Entry{}
	for _, name := range []string{"a", "b", "c", "d", "e", "n"} {
		lines[name] = plainLine(t, name, "one")
	}
	file := func(names ...string) []byte {
		var all []plainauth.Entry
		for _, name := range names {
			all = append(all, lines[name])
		}
		return plainauth.UsersFile(all)
	}
	size := lines["a"].Size() + plainauth.RetainedSize("a")
	room := (headBytes+2*size)*spareOf/(spareOf-1) + 1 // two lines, and what is spared
	for name, c := range map[string]struct {
		next    []byte
		current []Part
		seen    int
		want    string // names by part
	}{
		"nobody is there":                      {file("a", "b", "c", "d", "e"), nil, 8, "ab cd e"},
		"who is there stays":                   {file("a", "b", "c"), []Part{{}, {Users: file("b")}, {Users: file("a")}}, 8, "c b a"},
		"a place that is free is taken":        {file("b", "c", "n"), []Part{{Users: file("a", "b")}, {Users: file("c")}}, 8, "bn c"},
		"an empty part stays":                  {file("a"), []Part{{Users: file("a")}, {Users: file("c")}}, 8, "a "},
		"in two parts: the first counts":       {file("a", "b"), []Part{{Users: file("a")}, {Users: file("a", "b")}}, 8, "a b"},
		"some broker reads the first alone":    {file("a", "b", "c"), nil, 1, "ab c"},
		"beyond its room, a part loses nobody": {file("a", "b", "c", "n"), []Part{{Users: file("a", "b", "c")}}, 8, "abc n"},
	} {
		t.Run(name, func(t *testing.T) {
			spread := SpreadOver(Part{Users: c.next}, c.current, room, c.seen)
			var got []string
			for n, part := range spread.Parts {
				entries, err := plainauth.ParseUsersFile(part.Users)
				if err != nil {
					t.Fatal(err)
				}
				for name := range entries {
					if spread.Of[name] != n {
						t.Errorf("%s is said to stand in part %d, and stands in %d", name, spread.Of[name], n)
					}
				}
				got = append(got, strings.Join(slices.Sorted(maps.Keys(entries)), ""))
			}
			if text := strings.Join(got, " "); text != c.want || len(spread.Refused) > 0 {
				t.Errorf("%q, want %q; refused %v", text, c.want, spread.Refused)
			}
			if joined := Joined(spread.Parts); !bytes.Equal(joined.Users, c.next) {
				t.Errorf("joined they are\n%s", joined.Users)
			}
		})
	}
}

// As users come, go, overlap and end to overlap, each stands in one part, where it has been, and no part is beyond its
// room.
func TestPartsStayWithinTheirRoomAndUsersWhereTheyAre(t *testing.T) {
	lines := map[string][]plainauth.Entry{}
	name := func(n int) string { return fmt.Sprintf("u%02d", n) }
	for n := range 40 {
		lines[name(n)] = []plainauth.Entry{plainLine(t, name(n), "one"), plainLine(t, name(n), "two")}
	}
	certificate := func(n, of int) plainauth.UserCertificate {
		return plainauth.UserCertificate{Name: name(n), End: time.Unix(int64(1e9+of), 0).UTC(),
			Fingerprint: fmt.Sprintf("%064x", 100*n+of)}
	}
	const room = 1250
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		var parts []Part
		where := map[string]int{}
		for step := range 30 {
			var entries []plainauth.Entry
			var list []plainauth.UserCertificate
			wanted, retained := map[string]bool{}, []string{}
			for n := range 40 {
				if random.IntN(3) > 0 {
					both := lines[name(n)]
					_, was := where[name(n)]
					entries, wanted[name(n)] = append(entries, both[:1+random.IntN(2)*map[bool]int{true: 1}[was]]...), true
					if random.IntN(10) == 0 {
						retained = append(retained, name(n))
					}
				}
				if random.IntN(4) == 0 {
					list = append(list, certificate(n, 1))
					if random.IntN(3) == 0 {
						list = append(list, certificate(n, 2))
					}
				}
			}
			next := Part{plainauth.UsersFile(entries, retained...), plainauth.CertificateList(list)}
			before := Joined(parts).Users
			spread := SpreadOver(next, parts, room, 1+7*random.IntN(2))
			old, _ := plainauth.ParseUsersFile(before)
			now := map[string]int{}
			for n, part := range spread.Parts {
				of, err := plainauth.ParseUsersFile(part.Users)
				if err != nil {
					t.Fatal(err)
				}
				for name := range of {
					if first, twice := now[name]; twice {
						t.Fatalf("seed %d, step %d: %s stands in parts %d and %d", seed, step, name, first, n)
					}
					if was, stood := where[name]; stood && was != n {
						t.Fatalf("seed %d, step %d: %s has moved from part %d to %d", seed, step, name, was, n)
					}
					if now[name] = n; of[name][0] != lines[name][0] {
						t.Fatalf("seed %d, step %d: the newest line of %s is gone", seed, step, name)
					}
				}
				if size := len(part.Users) + len(part.Certificates); size > room+250 {
					t.Fatalf("seed %d, step %d: part %d has %d bytes", seed, step, n, size)
				}
			}
			for name := range wanted {
				_, stands := now[name]
				if refused := slices.Contains(spread.Refused, name); stands == refused || refused && len(old[name]) > 0 {
					t.Fatalf("seed %d, step %d: %s stands %t, refused %t", seed, step, name, stands, refused)
				}
			}
			if len(now) > len(wanted) {
				t.Fatalf("seed %d, step %d: somebody stands who should not", seed, step)
			}
			again := SpreadOver(Joined(spread.Parts), spread.Parts, room, 1)
			for n := range spread.Parts {
				if !bytes.Equal(again.Parts[n].Users, spread.Parts[n].Users) ||
					!bytes.Equal(again.Parts[n].Certificates, spread.Parts[n].Certificates) {
					t.Fatalf("seed %d, step %d: part %d does not stay as it is", seed, step, n)
				}
			}
			parts, where = spread.Parts, now
		}
	}
}

// It is a sixteenth of each.
func TestSeventyThousandUsersFit(t *testing.T) {
	const many, room = 70_000 / 16, Room / 16
	one := plainLine(t, "user-00000", "one")
	var file strings.Builder
	text := string(plainauth.UsersFile([]plainauth.Entry{one}))
	_, line, _ := strings.Cut(text, "user-00000")
	for n := range many {
		file.WriteString(fmt.Sprintf("user-%05d", n) + line)
	}
	spread := SpreadOver(Part{Users: []byte(file.String())}, nil, room, plainauth.MaxParts)
	if len(spread.Refused) > 0 || len(spread.Parts) != plainauth.MaxParts || len(spread.Of) != many {
		t.Errorf("%d refused, %d parts", len(spread.Refused), len(spread.Parts))
	}
	for n, part := range spread.Parts {
		if len(part.Users) > room {
			t.Errorf("part %d has %d bytes", n, len(part.Users))
		}
	}
}

// In parts that are full every user may stay when its object goes: the note that says so has room from the start, also
// beside certificates that have come since.
func TestEveryUserOfAFullPartMayStay(t *testing.T) {
	const room = 4096
	var entries []plainauth.Entry
	var names []string
	var list []plainauth.UserCertificate
	for n := range 400 {
		name := fmt.Sprintf("u%03d", n)
		names = append(names, name)
		entries = append(entries, plainLine(t, name, "one"))
		list = append(list, plainauth.UserCertificate{Name: "t" + name, End: time.Unix(1e9, 0).UTC(),
			Fingerprint: fmt.Sprintf("%064x", n)})
	}
	full := SpreadOver(Part{Users: plainauth.UsersFile(entries)}, nil, room, plainauth.MaxParts)
	if len(full.Refused) == 0 {
		t.Fatalf("%d users leave room in %d parts", len(entries), len(full.Parts))
	}
	certified := SpreadOver(Part{Joined(full.Parts).Users, plainauth.CertificateList(list)}, full.Parts, room, plainauth.MaxParts)
	all, _ := plainauth.ParseUsersFile(Joined(certified.Parts).Users)
	file := plainauth.UsersFile(slices.Collect(func(yield func(plainauth.Entry) bool) {
		for _, lines := range all {
			if !yield(lines[0]) {
				return
			}
		}
	}), names...)
	stay := SpreadOver(Part{file, Joined(certified.Parts).Certificates}, certified.Parts, room, plainauth.MaxParts)
	for n, part := range stay.Parts {
		if bytes := len(part.Users) + len(part.Certificates); bytes > room {
			t.Errorf("part %d has %d bytes, of %d", n, bytes, room)
		}
		for name := range all {
			if stay.Of[name] == n && !plainauth.Retained(part.Users)[name] {
				t.Errorf("part %d does not say that %s stays", n, name)
			}
		}
	}
	if len(stay.Refused) > 0 {
		t.Errorf("refused: %v", stay.Refused)
	}
}

// Brokers may still have what somebody has deleted, so that its list has to be seen read like others.
func TestASecretThatSomebodyHasDeletedHasAListAgain(t *testing.T) {
	list := plainauth.CertificateList([]plainauth.UserCertificate{{Name: "app", Fingerprint: strings.Repeat("a", 64),
		End: time.Unix(4102444800, 0).UTC()}})
	none := plainauth.UsersFile(nil)
	for name, c := range map[string]struct {
		second Part
		listed bool
	}{
		"it was deleted":          {Part{}, true},
		"it has never had a list": {Part{Users: none}, false},
		"it has one":              {Part{Users: none, Certificates: plainauth.CertificateList(nil)}, true},
	} {
		spread := SpreadOver(Part{Users: none, Certificates: list}, []Part{{Users: none, Certificates: list}, c.second}, Room, 2)
		if len(spread.Parts) != 2 || (spread.Parts[1].Certificates != nil) != c.listed || spread.Certified["app"] != 0 {
			t.Errorf("%s: %q", name, spread.Parts)
		}
	}
}
