package users

import (
	"fmt"
	"io"
	"slices"

	"github.com/castellan-dev/castellan/internal/plainauth"
)

// PlainUser is a user whose line has to match a password.
type PlainUser struct {
	Password string
	// Proven is an entry known to be made from this password; the zero value = none is.
	Proven plainauth.Entry
}

// PlainFile brings the file of PLAIN users up to date. Only names in all may stand in it. Those in set get the line of
// their password; the others keep theirs. An entry that still verifies is kept, so that an unchanged file stays the
// same to the byte. It returns the new file, the entries of set, and the names that lack an entry.
func PlainFile(
	current []byte, all map[string]bool, set map[string]PlainUser, random io.Reader,
) ([]byte, map[string]plainauth.Entry, []string, error) {
	old, _ := plainauth.ParseUsersFile(current) // a faulty line lets nobody in, and is written anew or left out
	var file []plainauth.Entry
	made := map[string]plainauth.Entry{}
	var missing []string
	for name := range all {
		entry, exists := old[name]
		user, wanted := set[name]
		switch {
		case wanted && !(exists && (entry == user.Proven || entry.Verify(user.Password))):
			salt := make([]byte, plainauth.MinSaltBytes)
			if _, err := io.ReadFull(random, salt); err != nil {
				return nil, nil, nil, fmt.Errorf("make a salt: %w", err)
			}
			fresh, err := plainauth.Hash(name, user.Password, salt, plainauth.DefaultIterations)
			if err != nil {
				return nil, nil, nil, fmt.Errorf("hash the password of %q: %w", name, err)
			}
			entry = fresh
		case !wanted && !exists:
			missing = append(missing, name)
			continue
		}
		if wanted {
			made[name] = entry
		}
		file = append(file, entry)
	}
	slices.Sort(missing)
	return plainauth.UsersFile(file), made, missing, nil
}
