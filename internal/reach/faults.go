package reach

import "slices"

// Fault names one row of Faults.
type Fault string

// All faults.
const (
	FaultNoHost        Fault = "NoHost"
	FaultDNS           Fault = "DNS"
	FaultRefused       Fault = "Refused"
	FaultNoRoute       Fault = "NoRoute"
	FaultSilent        Fault = "Silent"
	FaultNoTLS         Fault = "NoTLS"
	FaultTLSClosed     Fault = "TLSClosed"
	FaultTLSSilent     Fault = "TLSSilent"
	FaultTLSAlert      Fault = "TLSAlert"
	FaultUntrusted     Fault = "Untrusted"
	FaultExpired       Fault = "Expired"
	FaultNotYet        Fault = "NotYet"
	FaultUnusable      Fault = "Unusable"
	FaultAnotherBroker Fault = "AnotherBroker"
	FaultNotNamed      Fault = "NotNamed"
	FaultWantsTLS      Fault = "WantsTLS"
	FaultNotKafka      Fault = "NotKafka"
	FaultClosed        Fault = "Closed"
	FaultNoAnswer      Fault = "NoAnswer"
	FaultMechanism     Fault = "Mechanism"
	FaultNoLogin       Fault = "NoLogin"
	FaultClearText     Fault = "ClearText"
	FaultLogin         Fault = "Login"
	FaultAskFailed     Fault = "AskFailed"
	FaultOtherCluster  Fault = "OtherCluster"
	FaultNotListed     Fault = "NotListed"
	FaultOtherAddress  Fault = "OtherAddress"
)

// FaultRow is one thing that may be the matter. Both sentences are formats.
type FaultRow struct {
	Fault Fault
	Step  Step
	// Cause says what is, and Cure what to do.
	Cause, Cure string
}

// Faults are all that may be the matter, in the order of the steps. docs/clients.md has a line for each.
var Faults = []FaultRow{
	{FaultNoHost, StepResolve, "DNS does not know %[1]s",
		"make a record for it where the client asks, or advertise a host that the client knows (exposure.advertised)"},
	{FaultDNS, StepResolve, "DNS does not answer for %[1]s", "look at the name servers that this machine asks"},
	{FaultRefused, StepConnect, "%[1]s refuses the connection",
		"check that the address and the port lead to the listener, and that the broker runs"},
	{FaultNoRoute, StepConnect, "there is no route to %[1]s",
		"advertise an address of a network that the client reaches, or make a route to it"},
	{FaultSilent, StepConnect, "%[1]s does not answer",
		"open the port for the client in firewalls and NetworkPolicies, and check that the load balancer has a target"},
	{FaultNoTLS, StepTLS, "what answers at %[1]s does not speak TLS",
		"let the address lead to the port of a listener with TLS, by something that passes TLS on and does not end it"},
	{FaultTLSClosed, StepTLS, "%[1]s ends the TLS handshake without a certificate",
		"check that what stands in front knows this host (SNI) and has the broker behind it"},
	{FaultTLSSilent, StepTLS, "%[1]s does not answer a TLS handshake",
		"check that the address leads to a broker, and what stands in front of it"},
	{FaultTLSAlert, StepTLS, "%[1]s refuses the TLS handshake: %[2]s",
		"compare tls.protocols and tls.cipherSuites of the listener with those of the client"},
	{FaultUntrusted, StepTLS, "its certificate, signed by %[1]q, is of no trusted authority",
		"trust the ca.crt of the user's Secret as it is now, and let nothing in front end TLS"},
	{FaultExpired, StepTLS, "its certificate ended at %[1]s",
		"check the clock here, and why the broker shows an old certificate"},
	{FaultNotYet, StepTLS, "its certificate begins at %[1]s", "set the clock here: it is behind"},
	{FaultUnusable, StepTLS, "its certificate cannot be used: %[1]s", "give the listener a certificate of a server"},
	{FaultAnotherBroker, StepBroker, "behind it is broker %[1]d",
		"let the address lead to broker %[2]d alone: check its override, its DNS record and the route to it"},
	{FaultNotNamed, StepName, "the certificate of the broker does not name %[1]s, but %[2]s",
		"connect to a host that it names, or add this one to exposure.advertised or exposure.bootstrap.hosts"},
	{FaultWantsTLS, StepSASL, "what answers at %[1]s speaks TLS only", "use TLS (security.protocol SSL or SASL_SSL)"},
	{FaultNotKafka, StepSASL, "what answers at %[1]s is not Kafka",
		"let the address lead to the listener by something that passes TCP on as it is"},
	{FaultClosed, StepSASL, "%[1]s closes the connection without an answer",
		"check that the port is the listener's, that the client uses TLS if the listener does, and what stands in front"},
	{FaultNoAnswer, StepSASL, "%[1]s takes the connection and does not answer",
		"check that what stands in front has the broker behind it, and that the broker is not overloaded"},
	{FaultMechanism, StepSASL, "the listener offers %[1]s and not %[2]s",
		"use a mechanism that it offers, or add this one to authentication.mechanisms of the listener"},
	{FaultNoLogin, StepSASL, "the listener takes no login",
		"use a port of a listener with authentication, or none (SSL, PLAINTEXT)"},
	{FaultClearText, StepLogin, "PLAIN without TLS would show the password to the network",
		"use TLS or SCRAM, or permit it with --allow-clear-text-password"},
	{FaultLogin, StepLogin, "the broker refuses the login: %[1]s",
		"read the user's Secret again, and check that its KafkaUser is Ready"},
	{FaultAskFailed, StepAddress, "%[1]s does not tell the brokers' addresses: %[2]s",
		"read the log of the broker"},
	{FaultOtherCluster, StepAddress, "behind it is another cluster, with the id %[1]q and not %[2]q",
		"let the address lead to this cluster: check its override, its DNS record and the route to it"},
	{FaultNotListed, StepAddress, "the broker there does not know broker %[1]d on this listener",
		"check that broker %[1]d runs and is not fenced"},
	{FaultOtherAddress, StepAddress, "the broker there sends clients of broker %[1]d to %[2]s",
		"let the two agree: the broker reads its address when it starts"},
}

// Row is the row of a fault; there is one for each.
func (f Fault) Row() FaultRow {
	return Faults[slices.IndexFunc(Faults, func(r FaultRow) bool { return r.Fault == f })]
}
