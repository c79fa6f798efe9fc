package users

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/bidi"
	"golang.org/x/text/unicode/norm"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// MaxPassword is how many characters a password may have. One of ASCII fits into a line of 512 bytes, which is the
// longest that kcat reads.
const MaxPassword = 256

// Unusable says why a password cannot be one, without the password; empty = it can. Every client reads a usable one
// alike, from each file of a connection Secret: Kafka itself takes the bytes as they are, some clients prepare a
// password by SASLprep (RFC 4013) first, and files of properties have blanks at the ends trimmed.
func Unusable(password string) string {
	switch {
	case password == "":
		return "it is empty"
	case !utf8.ValidString(password):
		return "it is not UTF-8"
	case utf8.RuneCountInString(password) > MaxPassword:
		return fmt.Sprintf("it has more than %d characters", MaxPassword)
	case strings.ContainsFunc(password, unicode.IsControl):
		if strings.TrimRight(password, "\r\n") != password && !strings.ContainsFunc(strings.TrimRight(password, "\r\n"),
			unicode.IsControl) {
			return "it ends with a line break, which is a control character"
		}
		return "it has a control character"
	case strings.TrimSpace(password) != password:
		return "it begins or ends with a space"
	case strings.ContainsFunc(password, unprepared) || !norm.NFKC.IsNormalString(password) || mixesDirections(password):
		return "SASLprep (RFC 4013) changes or forbids a character of it, so that clients would not agree on it"
	case strings.Contains(password, `\:`) || strings.Contains(password, `\=`):
		return "it has a backslash before a colon or an equals sign, which kcat leaves out of its configuration"
	}
	return ""
}

// nothing are characters that SASLprep maps to nothing or forbids, and that are of a category with good ones (RFC 3454,
// tables B.1, C.6, C.7 and C.8).
var nothing = &unicode.RangeTable{R16: []unicode.Range16{
	{Lo: 0x034F, Hi: 0x034F, Stride: 1}, {Lo: 0x0340, Hi: 0x0341, Stride: 1}, {Lo: 0x1806, Hi: 0x1806, Stride: 1},
	{Lo: 0x180B, Hi: 0x180F, Stride: 1}, {Lo: 0x2FF0, Hi: 0x2FFF, Stride: 1}, {Lo: 0xFE00, Hi: 0xFE0F, Stride: 1},
	{Lo: 0xFFF9, Hi: 0xFFFF, Stride: 1},
}}

// unprepared tells whether SASLprep changes or forbids a character, or does not know it: what lies beyond the first
// 65,536 is mostly younger than RFC 3454.
func unprepared(r rune) bool {
	if r < utf8.RuneSelf {
		return false // control characters are told apart before
	}
	good := unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S)
	return r > 0xFFFF || !good || unicode.Is(nothing, r)
}

// mixesDirections is what RFC 3454 forbids in section 6: letters that are read from right to left stand with none that
// are read from left to right, and at both ends.
func mixesDirections(password string) bool {
	var right, left bool
	class := func(r rune) bidi.Class {
		properties, _ := bidi.LookupRune(r)
		return properties.Class()
	}
	isRight := func(r rune) bool { c := class(r); return c == bidi.R || c == bidi.AL }
	for _, r := range password {
		right, left = right || isRight(r), left || class(r) == bidi.L
	}
	first, _ := utf8.DecodeRuneInString(password)
	last, _ := utf8.DecodeLastRuneInString(password)
	return right && (left || !isRight(first) || !isRight(last))
}

// PasswordField is what names the Secret with the password of a user.
const PasswordField = "spec.authentication.passwordSecret"

// Source is where the password of a user comes from: the entry Key of a Secret in the user's namespace.
type Source struct {
	Namespace, Secret, Key string
}

// SourceOf returns where the password of a user comes from; nil = the operator makes it.
func SourceOf(u *v1alpha1.KafkaUser) *Source {
	ref := u.Spec.Authentication.PasswordSecret
	if ref == nil {
		return nil
	}
	source := Source{Namespace: u.Namespace, Secret: ref.Name, Key: ref.Key}
	if source.Key == "" { // the default of the schema; an object that a test makes has none
		source.Key = PasswordKey
	}
	return &source
}

// Missing says that there is no such Secret. It stays as it is while one is created without the label: the operator
// does not see that.
func (s Source) Missing() verdict.Verdict {
	return verdict.Stalled(ReasonPassword, PasswordField, "there is no Secret %q in the namespace of the KafkaUser with "+
		"the label %s; create it with the key %q and that label, or label it where it has been created without: %s",
		s.Secret, permission, s.Key, s.labelling())
}

// Own says that the Secret is the one that the operator writes for this user.
func (s Source) Own() verdict.Verdict {
	return verdict.Stalled(ReasonPassword, PasswordField, "Secret %q is the connection Secret that the operator writes "+
		"for this KafkaUser; name one of your own", s.Secret)
}

// Unlabelled says that nobody has permitted the Secret to be read.
func (s Source) Unlabelled() verdict.Verdict {
	return verdict.Stalled(ReasonPassword, PasswordField, "Secret %q is not read: nobody has labelled it for this use; "+
		"label it, if you may: %s", s.Secret, s.labelling())
}

// permission is the label by which whoever may write the Secret lets the operator read it.
const permission = v1alpha1.LabelUse + "=" + v1alpha1.UsePassword

func (s Source) labelling() string {
	return fmt.Sprintf("kubectl -n %s label secret %s %s", s.Namespace, s.Secret, permission)
}

// Read takes the password out of the data of the Secret. What it says never holds it.
func (s Source) Read(data map[string][]byte) (string, *verdict.Verdict) {
	value, exists := data[s.Key]
	if !exists {
		fault := verdict.Stalled(ReasonPassword, PasswordField+".key",
			"Secret %q has no key %q; add it, or name the key that has the password", s.Secret, s.Key)
		return "", &fault
	}
	if why := Unusable(string(value)); why != "" {
		fault := verdict.Stalled(ReasonPassword, PasswordField,
			"the password in key %q of Secret %q cannot be used: %s; write one of 1 to %d printable characters, without a "+
				"line break at its end", s.Key, s.Secret, why, MaxPassword)
		return "", &fault
	}
	return string(value), nil
}
