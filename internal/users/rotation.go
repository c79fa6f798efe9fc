package users

import (
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// DefaultOverlap is for how long the password before a new one logs in by PLAIN.
const DefaultOverlap = 5 * time.Minute

// maxRequest is how long the value may be by which somebody asks for another password: it stands in the status.
const maxRequest = 128

// Made is how the password in a connection Secret came about.
type Made struct {
	At time.Time
	// Rotated: it has taken the place of one of this user, which was in force until then.
	Rotated bool
	Request string
}

// MadeOf reads it from the annotations of a connection Secret, which may be older than that annotation.
func MadeOf(annotations map[string]string, created time.Time) Made {
	at, rest, _ := strings.Cut(annotations[v1alpha1.AnnotationPasswordMade], " ")
	how, request, _ := strings.Cut(rest, " ")
	made := Made{At: created, Rotated: how == "rotated", Request: request}
	if parsed, err := time.Parse(time.RFC3339, at); err == nil {
		made.At = parsed
		return made
	}
	return Made{At: created}
}

// String is the value of the annotation.
func (m Made) String() string {
	how := "made"
	if m.Rotated {
		how = "rotated"
	}
	if m.Request != "" {
		how += " " + m.Request // to the letter, blanks at its end as well: it is compared with what is asked for
	}
	return m.At.UTC().Format(time.RFC3339) + " " + how
}

// Requested is what somebody asks for by annotation; empty = nothing.
func Requested(u *v1alpha1.KafkaUser) string { return u.Annotations[v1alpha1.AnnotationRotatePassword] }

// Rotation is what is to be done about the age of a password.
type Rotation struct {
	// Due: another one is to be made now.
	Due bool
	// Overlap: the one before logs in by PLAIN, too.
	Overlap bool
	// Next is when to look again; zero = when something happens.
	Next   time.Time
	Fault  *verdict.Verdict
	Status *v1alpha1.RotationStatus
}

// RotationOf decides about the age of a user's password. While the password before still logs in, no other one is made:
// it would be the second that a client misses.
func RotationOf(u *v1alpha1.KafkaUser, made Made, now time.Time) Rotation {
	request := Requested(u)
	asks := request != "" && request != made.Request
	if from := SourceOf(u); from != nil {
		if !asks {
			return Rotation{}
		}
		return refusedRotation("the password stands in Secret %q, and the operator makes no other one; change it there, and "+
			"remove the annotation", from.Secret)
	}
	if len(request) > maxRequest {
		return refusedRotation("the value is longer than %d characters; use a shorter one, such as the time", maxRequest)
	}
	interval, overlap := time.Duration(0), DefaultOverlap
	if spec := u.Spec.Authentication.PasswordRotation; spec != nil {
		if spec.IntervalSeconds != nil {
			interval = time.Duration(*spec.IntervalSeconds) * time.Second
		}
		if spec.OverlapSeconds != nil {
			overlap = time.Duration(*spec.OverlapSeconds) * time.Second
		}
	}
	var r Rotation
	var next, until time.Time
	if end := made.At.Add(overlap); made.Rotated && end.After(now) &&
		mechanism.Uses(u.Spec.Authentication.Mechanisms, mechanism.PasswordFile) {
		until, r.Overlap = end, true
	}
	if interval > 0 {
		next = made.At.Add(interval - spread(u.UID, interval))
	}
	if asks {
		next = now
	}
	if !next.IsZero() && next.Before(until) {
		next = until
	}
	r.Due = !next.IsZero() && !next.After(now)
	r.Next = next
	if !until.IsZero() && (next.IsZero() || until.Before(next)) {
		r.Next = until
	}
	if u.Spec.Authentication.PasswordRotation != nil || made.Rotated {
		r.Status = &v1alpha1.RotationStatus{MadeAt: timeOf(made.At), NextAt: timeOf(next), PreviousUntil: timeOf(until),
			Request: made.Request}
	}
	return r
}

// spread is how much before its interval is over a password is replaced: up to a tenth of it, and for one user always
// the same. So users that were made together have their new passwords, and their overlaps, one after the other.
func spread(uid types.UID, interval time.Duration) time.Duration {
	const steps = 1000
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(uid)) // never fails
	return (interval / (10 * steps) * time.Duration(hash.Sum32()%steps)).Truncate(time.Second)
}

func refusedRotation(format string, args ...any) Rotation {
	fault := verdict.Stalled(ReasonRotation, fmt.Sprintf("metadata.annotations[%s]", v1alpha1.AnnotationRotatePassword),
		format, args...)
	return Rotation{Fault: &fault}
}

func timeOf(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	at := metav1.NewTime(t.Truncate(time.Second))
	return &at
}
