// Package wire asks one broker over one connection that somebody else has opened, and for TLS has proven. It dials
// nothing, trusts nobody and tries nothing again: it is for looking at the way to a broker, and internal/kafka/client
// is for everything else. An answer is read up to a bound, because what answers may be anything.
package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// What a peer may do instead of answering.
var (
	// ErrNotKafka means that the bytes that came are no answer of Kafka.
	ErrNotKafka = errors.New("what answers is not Kafka")
	// ErrWantsTLS means that a TLS alert came: the peer speaks TLS only.
	ErrWantsTLS = errors.New("what answers speaks TLS only")
	// ErrClosed means that the peer closed the connection without an answer.
	ErrClosed = errors.New("it closes the connection without an answer")
	// ErrSilent means that no answer came in time.
	ErrSilent = errors.New("it does not answer in time")
	// ErrNoLogin means that the listener takes no login (ILLEGAL_SASL_STATE).
	ErrNoLogin = errors.New("the listener takes no login")
)

// Refused is Kafka's no to a login.
type Refused struct {
	Code    string // such as SASL_AUTHENTICATION_FAILED
	Message string // Kafka's sentence; may be empty
}

func (r *Refused) Error() string { return r.Code + ": " + r.Message }

// maxAnswer bounds an answer: metadata of 5,000 brokers take about half of it.
const maxAnswer = 1 << 20

// Versions of the requests. Kafka has all of them from 1.0 on.
const (
	metadataVersion     = 4
	handshakeVersion    = 1
	authenticateVersion = 0
)

// Conn is a connection. It is for one goroutine.
type Conn struct {
	conn   net.Conn
	format *kmsg.RequestFormatter
	last   int32
}

// New makes a Conn of an open connection, which the caller closes. clientID appears in the broker's log.
func New(conn net.Conn, clientID string) *Conn {
	return &Conn{conn: conn, format: kmsg.NewRequestFormatter(kmsg.FormatterClientID(clientID))}
}

// Broker is one broker as metadata name it on the listener of the connection.
type Broker struct {
	ID   int32
	Host string
	Port int32
}

// Brokers asks for the live brokers and the id of their cluster. On a listener with a login it has to come first.
func (c *Conn) Brokers(ctx context.Context) (clusterID string, brokers []Broker, err error) {
	request := kmsg.NewPtrMetadataRequest()
	request.Version, request.Topics = metadataVersion, []kmsg.MetadataRequestTopic{} // no topics, where nil were all
	response := kmsg.NewPtrMetadataResponse()
	response.Version = metadataVersion
	if err := c.ask(ctx, request, response); err != nil {
		return "", nil, err
	}
	if response.ClusterID != nil {
		clusterID = *response.ClusterID
	}
	for _, b := range response.Brokers {
		brokers = append(brokers, Broker{b.NodeID, b.Host, b.Port})
	}
	return clusterID, brokers, nil
}

// Mechanisms asks which SASL mechanisms the listener offers, by asking for one. No credential is sent. If the listener
// offers that one, the connection waits for its login from then on; else Kafka closes it.
func (c *Conn) Mechanisms(ctx context.Context, mechanism string) ([]string, error) {
	request := kmsg.NewPtrSASLHandshakeRequest()
	request.Version, request.Mechanism = handshakeVersion, mechanism
	response := kmsg.NewPtrSASLHandshakeResponse()
	response.Version = handshakeVersion
	if err := c.ask(ctx, request, response); err != nil {
		return nil, err
	}
	switch err := kerr.ErrorForCode(response.ErrorCode); {
	case err == nil, errors.Is(err, kerr.UnsupportedSaslMechanism):
		return response.SupportedMechanisms, nil
	case errors.Is(err, kerr.IllegalSaslState):
		return nil, ErrNoLogin
	default:
		return nil, fmt.Errorf("%w: it refuses a SASL handshake with %d", ErrNotKafka, response.ErrorCode)
	}
}

// LogIn logs in, after Mechanisms has asked for the same mechanism. A *Refused is Kafka's no.
func (c *Conn) LogIn(ctx context.Context, mechanism, username, password string) error {
	way, err := Mechanism(mechanism, username, password)
	if err != nil {
		return err
	}
	session, message, err := way.Authenticate(ctx, "")
	if err != nil {
		return err
	}
	for done := false; !done; {
		request := kmsg.NewPtrSASLAuthenticateRequest()
		request.Version, request.SASLAuthBytes = authenticateVersion, message
		response := kmsg.NewPtrSASLAuthenticateResponse()
		response.Version = authenticateVersion
		if err := c.ask(ctx, request, response); err != nil {
			return err
		}
		if err := kerr.TypedErrorForCode(response.ErrorCode); err != nil {
			refused := &Refused{Code: err.Message}
			if response.ErrorMessage != nil {
				refused.Message = *response.ErrorMessage
			}
			return refused
		}
		if done, message, err = session.Challenge(response.SASLAuthBytes); err != nil {
			return &Refused{Code: "SASL", Message: err.Error()}
		}
	}
	return nil
}

// Mechanism is the library's side of a login.
func Mechanism(name, username, password string) (sasl.Mechanism, error) {
	switch name {
	case "PLAIN":
		return plain.Auth{User: username, Pass: password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: username, Pass: password}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: username, Pass: password}.AsSha512Mechanism(), nil
	}
	return nil, fmt.Errorf("the SASL mechanism %q is not PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", name)
}

// ask sends a request and reads its answer. The time is that of the context.
func (c *Conn) ask(ctx context.Context, request kmsg.Request, response kmsg.Response) error {
	deadline, bounded := ctx.Deadline()
	if !bounded {
		deadline = time.Time{}
	}
	if err := c.conn.SetDeadline(deadline); err != nil {
		return err
	}
	c.last++
	if _, err := c.conn.Write(c.format.AppendRequest(nil, request, c.last)); err != nil {
		return causeOf(err)
	}
	var head [4]byte
	if n, err := io.ReadFull(c.conn, head[:]); err != nil {
		if n > 0 && errors.Is(err, io.ErrUnexpectedEOF) {
			return ErrNotKafka
		}
		return causeOf(err)
	}
	if head[0] == 0x15 && head[1] == 0x03 { // the head of a TLS record with an alert; as a length it were 352 MB
		return ErrWantsTLS
	}
	size := binary.BigEndian.Uint32(head[:])
	if size < 4 || size > maxAnswer {
		return ErrNotKafka
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(c.conn, body); err != nil {
		return causeOf(err)
	}
	if int32(binary.BigEndian.Uint32(body)) != c.last { // none of these answers has tags in its head
		return ErrNotKafka
	}
	if err := response.ReadFrom(body[4:]); err != nil {
		return fmt.Errorf("%w: %w", ErrNotKafka, err)
	}
	return nil
}

func causeOf(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return ErrSilent
	default:
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
}
