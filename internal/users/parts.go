package users

import (
	"cmp"
	"maps"
	"slices"

	"github.com/castellan-dev/castellan/internal/plainauth"
)

// Part is what one of the Secrets holds that brokers read. The zero value stands for one that there is not.
type Part struct {
	// Both without their markers, and without the word by which they count.
	Users        []byte
	Certificates []byte // nil = there is no list
}

// Room is what the lines of a part may take, in bytes, with a note for each user that it stays, which comes when the
// lines stand already. Kubernetes takes 1 MiB of all entries of a Secret; some is left for the markers and for the
// head of the list.
const Room = 1<<20 - 16<<10

const (
	// linesEach is how many lines a user has in a file while its password or certificate is replaced.
	linesEach = 2
	// headBytes is a little more than stands in a file before its lines.
	headBytes = 220
	// spareOf is the part of the room that newcomers leave to passwords that are to be replaced, as long as there is
	// room for them in another one that every broker reads: a line stays in its part, and finds no room in another one.
	spareOf = 8
)

// Joined are all parts in one. Of a name that stands in several, the lines of the first count, as they do for brokers.
func Joined(parts []Part) Part {
	if len(parts) == 0 {
		return Part{}
	}
	if len(parts) == 1 {
		return parts[0]
	}
	var entries []plainauth.Entry
	var certificates []plainauth.UserCertificate
	var listed bool
	retained, has, certified := map[string]bool{}, map[string]bool{}, map[string]int{}
	for n, part := range parts {
		lines, _ := plainauth.ParseUsersFile(part.Users)
		for name, of := range lines {
			if !has[name] {
				entries, has[name] = append(entries, of...), true
			}
		}
		maps.Copy(retained, plainauth.Retained(part.Users))
		list, _ := plainauth.ParseCertificateList(part.Certificates)
		for _, c := range list {
			if first, known := certified[c.Name]; !known || first == n {
				certificates, certified[c.Name] = append(certificates, c), n
			}
		}
		listed = listed || part.Certificates != nil
	}
	all := Part{Users: plainauth.UsersFile(entries, slices.Collect(maps.Keys(retained))...)}
	if listed {
		all.Certificates = plainauth.CertificateList(certificates)
	}
	return all
}

// Places is who stands where, and what is left. A name stays where it is for as long as it has a line.
type Places struct {
	plain, certified map[string]int // the part of a name
	left             []int
	// seen is in how many parts every broker looks.
	seen int
}

// PlacesIn finds out who stands where in the parts that there are. Others may come, up to MaxParts. room is that of a
// part, in bytes; seen is how many parts every broker reads, and is filled first.
func PlacesIn(parts []Part, room, seen int) *Places {
	p := &Places{plain: map[string]int{}, certified: map[string]int{}, seen: max(seen, 1)}
	for n := range plainauth.MaxParts {
		p.left = append(p.left, room)
		if n >= len(parts) {
			continue
		}
		p.left[n] -= len(parts[n].Users)
		lines, _ := plainauth.ParseUsersFile(parts[n].Users)
		noted := plainauth.Retained(parts[n].Users)
		for name := range lines {
			if _, known := p.plain[name]; !known {
				p.plain[name] = n
			}
			if !noted[name] {
				p.left[n] -= plainauth.RetainedSize(name)
			}
		}
		names, taken := Listed(parts[n].Certificates)
		for name := range names {
			if _, known := p.certified[name]; !known {
				p.certified[name] = n
			}
		}
		p.left[n] -= taken
	}
	return p
}

// Certified is how many users have a certificate.
func (p *Places) Certified() int { return len(p.certified) }

// Certify gives a name a place for its certificates. It returns false when there is none.
func (p *Places) Certify(name string) bool {
	if _, has := p.certified[name]; has {
		return true
	}
	n := p.place(LinesOf(name), 0)
	if n < 0 {
		return false
	}
	p.certified[name], p.left[n] = n, p.left[n]-LinesOf(name)
	return true
}

// place is the first part with so much room beside what is spared, preferably one that every broker reads; -1 = none.
func (p *Places) place(bytes, spare int) int {
	for _, within := range []struct{ parts, spare int }{
		{p.seen, spare}, {p.seen, 0}, {len(p.left), spare}, {len(p.left), 0},
	} {
		for n := range min(within.parts, len(p.left)) {
			if p.left[n]-within.spare >= bytes {
				return n
			}
		}
	}
	return -1
}

// Spread is what comes of new files when they are spread over the parts.
type Spread struct {
	Parts []Part
	// Of is the part in which a PLAIN user stands, Certified that in which a user's certificates do.
	Of, Certified map[string]int
	// Ended are users that have lost the password before, for want of room. Refused have no line, and Unlisted have no
	// certificate in the list.
	Ended, Refused, Unlisted []string
}

// SpreadOver spreads new files over the parts that there are, and further ones as they are needed: whoever stands in
// one stays there. A revocation fits always. Of what finds no room, passwords before go first, those that would begin
// to overlap now first of all; then newcomers have to stay out. Former certificates go where a part has no room for
// them.
func SpreadOver(next Part, current []Part, room, seen int) Spread {
	s := spreading{Spread: Spread{Of: map[string]int{}, Certified: map[string]int{}}, room: room, count: len(current)}
	s.lines, _ = plainauth.ParseUsersFile(next.Users)
	s.retained = plainauth.Retained(next.Users)
	certificates := map[string][]plainauth.UserCertificate{}
	list, _ := plainauth.ParseCertificateList(next.Certificates)
	for _, c := range list {
		certificates[c.Name] = append(certificates[c.Name], c)
	}
	s.places = PlacesIn(current, room, seen)
	for _, name := range slices.Sorted(maps.Keys(certificates)) {
		if !s.places.Certify(name) {
			s.Unlisted = append(s.Unlisted, name)
			delete(certificates, name)
		}
	}
	s.users(current, certificates)
	s.write(current, certificates, next.Certificates != nil)
	return s.Spread
}

type spreading struct {
	Spread
	room, count int
	places      *Places
	lines       map[string][]plainauth.Entry
	retained    map[string]bool
}

// size is what a PLAIN user takes, also when it stays without an object.
func (s *spreading) size(name string) int {
	bytes := plainauth.RetainedSize(name)
	for _, e := range s.lines[name] {
		bytes += e.Size()
	}
	return bytes
}

// users gives every PLAIN user its part.
func (s *spreading) users(current []Part, certificates map[string][]plainauth.UserCertificate) {
	left := s.places.left
	for n := range left {
		left[n] = s.room - headBytes
	}
	for name := range certificates { // the newest of each; former ones go where there is no room
		left[s.places.certified[name]] -= LinesOf(name) / linesEach
	}
	before, _ := plainauth.ParseUsersFile(Joined(current).Users)
	names := slices.SortedFunc(maps.Keys(s.lines), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(before[a]), len(before[b])), cmp.Compare(a, b))
	})
	for _, name := range names {
		if n, has := s.places.plain[name]; has {
			s.Of[name], left[n] = n, left[n]-s.size(name)
		}
	}
	for n := range left {
		s.end(names, func(name string) bool { return left[n] < 0 && s.Of[name] == n })
	}
	for _, name := range names {
		if _, has := s.Of[name]; has {
			continue
		}
		n := s.places.place(s.size(name), s.room/spareOf)
		if n < 0 {
			s.end(names, func(string) bool { return s.places.place(s.size(name), 0) < 0 })
			n = s.places.place(s.size(name), 0)
		}
		if n < 0 {
			s.Refused = append(s.Refused, name)
			delete(s.lines, name)
			continue
		}
		s.Of[name], left[n] = n, left[n]-s.size(name)
	}
}

// end takes the passwords before from users that have one, as long as that is needed.
func (s *spreading) end(names []string, needed func(string) bool) {
	for _, name := range names {
		n, has := s.Of[name]
		if both := s.lines[name]; has && len(both) == linesEach && needed(name) {
			s.lines[name], s.Ended = both[:1], append(s.Ended, name)
			s.places.left[n] += both[1].Size()
		}
	}
}

// write makes the parts.
func (s *spreading) write(current []Part, certificates map[string][]plainauth.UserCertificate, listed bool) {
	entries := make([][]plainauth.Entry, plainauth.MaxParts)
	retained := make([][]string, plainauth.MaxParts)
	lists := make([][]plainauth.UserCertificate, plainauth.MaxParts)
	for name, of := range s.lines {
		n := s.Of[name]
		entries[n], s.count = append(entries[n], of...), max(s.count, n+1)
		if s.retained[name] {
			retained[n] = append(retained[n], name)
		}
	}
	for name, of := range certificates {
		n := s.places.certified[name]
		s.Certified[name] = n
		lists[n], s.count = append(lists[n], of...), max(s.count, n+1)
	}
	s.count = max(s.count, 1)
	for n := range s.count {
		part := Part{Users: plainauth.UsersFile(entries[n], retained[n]...)}
		// One that somebody has deleted may have had a list, which brokers may still have.
		had := n < len(current) && (current[n].Certificates != nil || current[n].Users == nil)
		if listed && (n == 0 || had || len(lists[n]) > 0) {
			part.Certificates = fit(lists[n], s.room-len(part.Users))
		}
		s.Parts = append(s.Parts, part)
	}
}

// fit leaves former certificates out of a list that is beyond the room, in bytes.
func fit(lines []plainauth.UserCertificate, room int) []byte {
	list := plainauth.CertificateList(lines)
	if len(list) <= room {
		return list
	}
	newest := map[string]plainauth.UserCertificate{}
	for _, line := range lines {
		if line.End.After(newest[line.Name].End) {
			newest[line.Name] = line
		}
	}
	return plainauth.CertificateList(slices.Collect(maps.Values(newest)))
}
