package users

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// PlainUser is a user whose line has to match a password.
type PlainUser struct {
	Password string
	// Proven is an entry known to be made from this password; the zero value = none is.
	Proven plainauth.Entry
	// Overlap: the line of the password before stays beside it.
	Overlap bool
}

// PlainFile brings the file of PLAIN users up to date. Only names in all and retained may stand in it. Those in set get
// the line of their password, retained ones only where they have none; the others keep theirs. Who is retained keeps
// the newest line alone. An entry that still verifies is kept, so that an unchanged file stays the same to the byte. It
// returns the new file, the entries of set, and the names in all that lack an entry.
func PlainFile(
	current []byte, all map[string]bool, set map[string]PlainUser, random io.Reader, retained map[string]bool,
) ([]byte, map[string]plainauth.Entry, []string, error) {
	old, _ := plainauth.ParseUsersFile(current) // a faulty line lets nobody in, and is written anew or left out
	var file []plainauth.Entry
	made := map[string]plainauth.Entry{}
	var missing, stay []string
	for name := range all {
		lines := old[name]
		if user, wanted := set[name]; wanted {
			var err error
			if lines, err = user.lines(name, lines, random); err != nil {
				return nil, nil, nil, err
			}
			made[name] = lines[0]
		} else if len(lines) == 0 {
			missing = append(missing, name)
		}
		file = append(file, lines...)
	}
	for name := range maps.Keys(retained) {
		lines := old[name]
		if user, known := set[name]; known && len(lines) == 0 && !all[name] {
			var err error
			if lines, err = user.lines(name, nil, random); err != nil {
				return nil, nil, nil, err
			}
			made[name] = lines[0]
		}
		if !all[name] && len(lines) > 0 {
			file, stay = append(file, lines[0]), append(stay, name) // nobody would end an overlap
		}
	}
	slices.Sort(missing)
	return plainauth.UsersFile(file, stay...), made, missing, nil
}

// lines are those of one user, the present password first.
func (u PlainUser) lines(name string, old []plainauth.Entry, random io.Reader) ([]plainauth.Entry, error) {
	n := slices.IndexFunc(old, func(e plainauth.Entry) bool { return e == u.Proven || e.Verify(u.Password) })
	before := old
	var lines []plainauth.Entry
	if n >= 0 {
		lines, before = append(lines, old[n]), slices.Concat(old[:n], old[n+1:])
	} else {
		salt := make([]byte, plainauth.MinSaltBytes)
		if _, err := io.ReadFull(random, salt); err != nil {
			return nil, fmt.Errorf("make a salt: %w", err)
		}
		fresh, err := plainauth.Hash(name, u.Password, salt, plainauth.DefaultIterations)
		if err != nil {
			return nil, fmt.Errorf("hash the password of %q: %w", name, err)
		}
		lines = append(lines, fresh)
	}
	if u.Overlap && len(before) > 0 {
		lines = append(lines, before[0])
	}
	return lines, nil
}

// NoPlainRoom refuses PLAIN to a user for whom the file has no room.
func NoPlainRoom(host model.Host) verdict.Verdict {
	return verdict.Stalled(ReasonNoPlainRoom, mechanismsField,
		"the files of PLAIN users that brokers of KafkaCluster %q read are full; log in with SCRAM-SHA-512 in place of "+
			"PLAIN, or delete KafkaUsers with PLAIN that nobody needs", host.Name)
}
