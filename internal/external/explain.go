package external

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
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

// Explain says in the language of spec.external why the cluster did not answer as it should. The sentence is the same for
// as long as the fault is, and holds nothing of any Secret.
func Explain(err error, e *v1alpha1.External) *Fault {
	if f, ok := errors.AsType[*Fault](err); ok {
		return f
	}
	if other, ok := errors.AsType[*kafka.AnotherCluster](err); ok {
		return &Fault{Reason: ReasonOther, Message: fmt.Sprintf("spec.external.bootstrapServers: the cluster that answers has the id %s, and this "+
			"KafkaCluster stands for %s; nothing is changed there; name addresses of that one, or delete this KafkaCluster, which touches nothing "+
			"in Kafka, and make it anew", other.Have, other.Want)}
	}
	if errors.Is(err, kafka.ErrTooOld) {
		return &Fault{Reason: ReasonTooOld, Message: "spec.external.bootstrapServers: the brokers are older than Kafka 2.8, which gave topics " +
			"their UUIDs; upgrade them"}
	}
	if u, ok := errors.AsType[*kafka.Unanswered](err); ok {
		for _, explain := range []func(*kafka.Unanswered, *v1alpha1.External) *Fault{loginFault, tlsFault, networkFault} {
			if f := explain(u, e); f != nil {
				return f
			}
		}
	}
	if errors.Is(err, kafka.ErrUnreachable) {
		return unreachable(e, kafka.CauseSilent)
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return &Fault{Reason: ReasonFailing, Message: "spec.external: " + line + "; it is tried again", Passing: true}
}

func loginFault(u *kafka.Unanswered, e *v1alpha1.External) *Fault {
	auth := e.Authentication
	switch {
	case u.Cause == kafka.CauseLogin && auth != nil:
		return &Fault{Reason: ReasonLogin, Message: fmt.Sprintf("spec.external.authentication.secretName: the brokers refuse the login by %s with "+
			"username and password of Secret %q; correct them", auth.Mechanism, auth.SecretName)}
	case u.Cause == kafka.CauseMechanism && auth != nil:
		return &Fault{Reason: ReasonListener, Message: fmt.Sprintf("spec.external.authentication.mechanism: the listener does not offer %s; choose one "+
			"that it offers, or in bootstrapServers another listener", auth.Mechanism)}
	case u.Cause == kafka.CauseNoLogin:
		return &Fault{Reason: ReasonListener, Message: "spec.external.authentication: the listener takes no login; remove authentication, or choose " +
			"in bootstrapServers a listener with SASL"}
	case u.Cause == kafka.CauseCertificate && auth != nil && auth.Mechanism == v1alpha1.ExternalTLSCertificate:
		return &Fault{Reason: ReasonLogin, Message: fmt.Sprintf("spec.external.authentication.secretName: the brokers refuse the certificate of Secret "+
			"%q; have it signed by an authority that they trust", auth.SecretName)}
	case u.Cause == kafka.CauseCertificate:
		return &Fault{Reason: ReasonLogin, Message: "spec.external.authentication: the brokers want a client certificate; set mechanism TLS and name a " +
			"Secret with tls.crt and tls.key"}
	}
	return nil
}

func tlsFault(u *kafka.Unanswered, e *v1alpha1.External) *Fault {
	switch u.Cause {
	case kafka.CauseNoTLS:
		return &Fault{Reason: ReasonListener, Message: "spec.external.tls: what answers does not speak TLS; remove tls, or choose in bootstrapServers a " +
			"listener with TLS"}
	case kafka.CauseWantsTLS:
		return &Fault{Reason: ReasonListener, Message: "spec.external.tls: what answers speaks TLS only; set tls, or choose in bootstrapServers a " +
			"listener without"}
	case kafka.CauseUntrusted:
		return trustFault(u.Err, e)
	}
	return nil
}

func trustFault(err error, e *v1alpha1.External) *Fault {
	f := &Fault{Reason: ReasonCertificate}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		f.Message = fmt.Sprintf("spec.external.bootstrapServers: the brokers' certificate does not hold the name under which they are reached (%s); use "+
			"one that it holds", detail(err))
		return f
	}
	cure := "name in caSecret a Secret with the certificate of the authority that signed it"
	if e.TLS != nil && e.TLS.CASecret != nil {
		cure = fmt.Sprintf("put the certificate of the authority that signed it into Secret %q", e.TLS.CASecret.Name)
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		cure = "renew it on the brokers"
		f.Passing = true
	}
	f.Message = fmt.Sprintf("spec.external.tls: the brokers' certificate is not trusted (%s); %s", detail(err), cure)
	return f
}

// detail is what the check of the certificate itself says, without addresses that change from one attempt to the next.
func detail(err error) string {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return "it has expired or is not valid yet" // the library's sentence holds the time of day
	}
	if verification, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		err = verification.Err
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return strings.TrimPrefix(line, "x509: ")
}

func networkFault(u *kafka.Unanswered, e *v1alpha1.External) *Fault {
	switch u.Cause {
	case kafka.CauseNotKafka:
		return &Fault{Reason: ReasonNotKafka, Message: "spec.external.bootstrapServers: what answers is not Kafka; correct host and port"}
	case kafka.CauseClosed:
		return &Fault{Reason: ReasonUnreachable, Passing: true, Message: "spec.external.bootstrapServers: the connection is closed without an answer; " +
			"what is there is no Kafka, or its listener is with or without TLS (spec.external.tls) or a login (spec.external.authentication) against " +
			"what is said here; correct the one or the other"}
	case kafka.CauseLost, kafka.CauseNoHost, kafka.CauseRefused, kafka.CauseNoRoute, kafka.CauseSilent:
		return unreachable(e, u.Cause)
	}
	return nil
}

func unreachable(e *v1alpha1.External, cause kafka.Cause) *Fault {
	where := ""
	if len(e.BootstrapServers) > 0 {
		where = string(e.BootstrapServers[0])
	}
	if n := len(e.BootstrapServers) - 1; n > 0 {
		where += fmt.Sprintf(" and %d more", n)
	}
	return &Fault{Reason: ReasonUnreachable, Passing: true, Message: fmt.Sprintf("spec.external.bootstrapServers: no broker answers at %s: %s; correct "+
		"the addresses, or let the operator through to the brokers", where, cause)}
}
