package users

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/mechanism"
)

// warn tells of what a user asks for and nothing will come of. Unlike an annotation of a KafkaCluster, which is
// refused, a typing error here keeps nobody from logging in.
func warn(s *v1alpha1.KafkaUserStatus, u *v1alpha1.KafkaUser, now time.Time) {
	reason, said := "", []string{}
	for _, w := range []struct{ reason, message string }{
		{claim.ReasonUnknownAnnotation, claim.UnknownAnnotations("KafkaUser", u, v1alpha1.AnnotationRotatePassword,
			v1alpha1.AnnotationReissueCertificate, v1alpha1.AnnotationPause)},
		{ReasonIdleAnnotation, idleAnnotations(u)},
		{ReasonUnlikelyName, unlikelyName(u)},
	} {
		if w.message != "" {
			reason, said = cmp.Or(reason, w.reason), append(said, w.message)
		}
	}
	claim.Warn(&s.Conditions, u, reason, strings.Join(said, "; "), now)
}

// idleAnnotations says which annotations ask for another credential of a kind that the user has none of.
func idleAnnotations(u *v1alpha1.KafkaUser) string {
	mechanisms := u.Spec.Authentication.Mechanisms
	var said []string
	for _, a := range []struct {
		key, lacks string
		has        bool
	}{
		{v1alpha1.AnnotationReissueCertificate, "certificate", mechanism.Uses(mechanisms, mechanism.CertificateFile)},
		{v1alpha1.AnnotationRotatePassword, "password", mechanism.At(mechanisms, mechanism.LayerSasl)},
	} {
		if u.Annotations[a.key] != "" && !a.has {
			said = append(said, fmt.Sprintf("metadata.annotations[%s]: the user has no %s, and nothing comes of it; remove it",
				a.key, a.lacks))
		}
	}
	return strings.Join(said, "; ")
}

// spacedName is a distinguished name in another form than Java prints (RFC 2253).
var spacedName = regexp.MustCompile(`^[A-Za-z.0-9]+ *=.*[^\\], +[A-Za-z.0-9]+ *=`)

// unlikelyName says why a name is hardly what Kafka calls a client whose credential comes from elsewhere. It is not
// refused: rules and classes of brokers make any name.
func unlikelyName(u *v1alpha1.KafkaUser) string {
	switch name := Name(u); {
	case !Elsewhere(u):
		return ""
	case strings.HasPrefix(name, Principal("")):
		return fmt.Sprintf("spec.name: %q begins with %s, which Kafka puts before the name in ACLs and is no part of it; "+
			"make a KafkaUser without, unless your clients are called so", name, Principal(""))
	case spacedName.MatchString(name):
		return fmt.Sprintf("spec.name: %q has a space after a comma, and brokers print distinguished names without, and "+
			"compare them as text; make a KafkaUser without, unless your clients are called so", name)
	}
	return ""
}
