package external

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// Reasons of the conditions of an external cluster.
const (
	ReasonServing       = "Serving"
	ReasonAsSpecified   = "AsSpecified"
	ReasonSecret        = "InvalidSecret"
	ReasonLogin         = "AuthenticationFailed"
	ReasonCertificate   = "CertificateNotTrusted"
	ReasonListener      = "WrongListener"
	ReasonNotKafka      = "NotKafka"
	ReasonTooOld        = "KafkaTooOld"
	ReasonOther         = "AnotherCluster"
	ReasonUnreachable   = "Unreachable"
	ReasonFailing       = "Failing"
	ReasonSecondThought = "SecondThought"
)

// The fields that faults name.
const (
	fieldExternal       = "spec.external"
	fieldServers        = "spec.external.bootstrapServers"
	fieldTLS            = "spec.external.tls"
	fieldCASecret       = "spec.external.tls.caSecret"
	fieldAuthentication = "spec.external.authentication"
	fieldMechanism      = "spec.external.authentication.mechanism"
	fieldSecretName     = "spec.external.authentication.secretName"
)

// whenAway is how soon a cluster that may come back by itself is looked at again.
const whenAway = 5 * time.Second

// Explain says in the language of spec.external why the cluster did not answer as it should. The sentence is the same
// for as long as the fault is, and holds nothing of any Secret.
func Explain(err error, e *v1alpha1.External) *verdict.Verdict {
	v := explain(err, e)
	return &v
}

func explain(err error, e *v1alpha1.External) verdict.Verdict {
	if v, ok := errors.AsType[verdict.Verdict](err); ok {
		return v
	}
	if other, ok := errors.AsType[*kafka.AnotherCluster](err); ok {
		return verdict.Stalled(ReasonOther, fieldServers,
			"the cluster that answers has the id %s, and this KafkaCluster stands for %s; nothing is changed there; "+
				"name addresses "+
				"of that one, or delete this KafkaCluster, which touches nothing in Kafka, and make it anew",
			other.Have, other.Want)
	}
	if errors.Is(err, kafka.ErrTooOld) {
		return verdict.Stalled(ReasonTooOld, fieldServers,
			"the brokers are older than Kafka 2.8, which gave topics their UUIDs; upgrade them")
	}
	if u, ok := errors.AsType[*kafka.Unanswered](err); ok {
		for _, explain := range []func(*kafka.Unanswered, *v1alpha1.External) *verdict.Verdict{loginFault, tlsFault,
			networkFault} {
			if v := explain(u, e); v != nil {
				return *v
			}
		}
	}
	if errors.Is(err, kafka.ErrUnreachable) {
		return *unreachable(e, kafka.CauseSilent)
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return *passing(ReasonFailing, fieldExternal, "%s; it is tried again", line)
}

// stalled is a fault that stays until somebody changes something.
func stalled(reason, field, format string, args ...any) *verdict.Verdict {
	v := verdict.Stalled(reason, field, format, args...)
	return &v
}

// passing is a fault that may go away by itself: the cluster is waited for.
func passing(reason, field, format string, args ...any) *verdict.Verdict {
	v := verdict.Waiting(reason, field, whenAway, whenAway, format, args...)
	return &v
}

func loginFault(u *kafka.Unanswered, e *v1alpha1.External) *verdict.Verdict {
	auth := e.Authentication
	switch {
	case u.Cause == kafka.CauseLogin && auth != nil:
		return stalled(ReasonLogin, fieldSecretName,
			"the brokers refuse the login by %s with username and password of Secret %q; correct them",
			auth.Mechanism, auth.SecretName)
	case u.Cause == kafka.CauseMechanism && auth != nil:
		return stalled(ReasonListener, fieldMechanism,
			"the listener does not offer %s; choose one that it offers, or in bootstrapServers another listener",
			auth.Mechanism)
	case u.Cause == kafka.CauseNoLogin:
		return stalled(ReasonListener, fieldAuthentication,
			"the listener takes no login; remove authentication, or choose in bootstrapServers a listener with SASL")
	case u.Cause == kafka.CauseCertificate && auth != nil && auth.Mechanism == v1alpha1.ExternalTLSCertificate:
		return stalled(ReasonLogin, fieldSecretName,
			"the brokers refuse the certificate of Secret %q; have it signed by an authority that they trust",
			auth.SecretName)
	case u.Cause == kafka.CauseCertificate:
		return stalled(ReasonLogin, fieldAuthentication,
			"the brokers want a client certificate; set mechanism TLS and name a Secret with tls.crt and tls.key")
	}
	return nil
}

func tlsFault(u *kafka.Unanswered, e *v1alpha1.External) *verdict.Verdict {
	switch u.Cause {
	case kafka.CauseNoTLS:
		return stalled(ReasonListener, fieldTLS,
			"what answers does not speak TLS; remove tls, or choose in bootstrapServers a listener with TLS")
	case kafka.CauseWantsTLS:
		return stalled(ReasonListener, fieldTLS,
			"what answers speaks TLS only; set tls, or choose in bootstrapServers a listener without")
	case kafka.CauseUntrusted:
		return trustFault(u.Err, e)
	}
	return nil
}

func trustFault(err error, e *v1alpha1.External) *verdict.Verdict {
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return stalled(ReasonCertificate, fieldServers,
			"the brokers' certificate does not hold the name under which they are reached (%s); use one that it "+
				"holds", detail(err))
	}
	const untrusted = "the brokers' certificate is not trusted (%s); %s"
	if expired(err) {
		return passing(ReasonCertificate, fieldTLS, untrusted, detail(err), "renew it on the brokers")
	}
	cure := "name in caSecret a Secret with the certificate of the authority that signed it"
	if e.TLS != nil && e.TLS.CASecret != nil {
		cure = fmt.Sprintf("put the certificate of the authority that signed it into Secret %q", e.TLS.CASecret.Name)
	}
	return stalled(ReasonCertificate, fieldTLS, untrusted, detail(err), cure)
}

func expired(err error) bool {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	return ok && invalid.Reason == x509.Expired
}

// detail is what the check of the certificate says, without addresses that change from one attempt to the next.
func detail(err error) string {
	if expired(err) {
		return "it has expired or is not valid yet" // the library's sentence holds the time of day
	}
	if verification, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		err = verification.Err
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return strings.TrimPrefix(line, "x509: ")
}

func networkFault(u *kafka.Unanswered, e *v1alpha1.External) *verdict.Verdict {
	switch u.Cause {
	case kafka.CauseNotKafka:
		return stalled(ReasonNotKafka, fieldServers, "what answers is not Kafka; correct host and port")
	case kafka.CauseClosed:
		return passing(ReasonUnreachable, fieldServers,
			"the connection is closed without an answer; what is there is no Kafka, or its listener is with or "+
				"without TLS "+
				"(spec.external.tls) or a login (spec.external.authentication) against what is said here; correct "+
				"the one or the other")
	case kafka.CauseLost, kafka.CauseNoHost, kafka.CauseRefused, kafka.CauseNoRoute, kafka.CauseSilent:
		return unreachable(e, u.Cause)
	}
	return nil
}

func unreachable(e *v1alpha1.External, cause kafka.Cause) *verdict.Verdict {
	where := ""
	if len(e.BootstrapServers) > 0 {
		where = string(e.BootstrapServers[0])
	}
	if n := len(e.BootstrapServers) - 1; n > 0 {
		where += fmt.Sprintf(" and %d more", n)
	}
	return passing(ReasonUnreachable, fieldServers,
		"no broker answers at %s: %s; correct the addresses, or let the operator through to the brokers", where, cause)
}
