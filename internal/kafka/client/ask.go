package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/castellan-dev/castellan/internal/kafka"
)

// read sends a request that any broker answers. It asks the next broker after a lost connection.
func read[R kmsg.Response](ctx context.Context, c *Client, req kmsg.Request) (R, error) {
	return ask[R](ctx, c, req, connectionLost)
}

// write sends a request that any broker forwards to the controller (KIP-590; see ask for ZooKeeper). It asks the next
// broker only if the first certainly did not get the request: a CreateTopics sent twice would be answered with
// TOPIC_ALREADY_EXISTS for our own topic.
func write[R kmsg.Response](ctx context.Context, c *Client, req kmsg.Request) (R, error) {
	return ask[R](ctx, c, req, neverSent)
}

// ask sends a request to the broker that stands first. With ZooKeeper brokers do not forward: one that is not the
// controller does nothing and answers NOT_CONTROLLER. ask then puts the controller first and sends the request again.
func ask[R kmsg.Response](ctx context.Context, c *Client, req kmsg.Request, again func(error) bool) (R, error) {
	resp, err := askInTurn[R](ctx, c, req, again)
	if err != nil || !misdirected(resp) {
		return resp, err
	}
	if err := c.preferController(ctx); err != nil {
		return resp, err
	}
	return askInTurn[R](ctx, c, req, again)
}

// misdirected reports whether a broker did nothing because it is not the controller.
func misdirected(resp kmsg.Response) bool {
	isNot := func(code int16) bool { return code == kerr.NotController.Code }
	switch r := resp.(type) {
	case *kmsg.CreateTopicsResponse:
		return all(r.Topics, func(t kmsg.CreateTopicsResponseTopic) bool { return isNot(t.ErrorCode) })
	case *kmsg.CreatePartitionsResponse:
		return all(r.Topics, func(t kmsg.CreatePartitionsResponseTopic) bool { return isNot(t.ErrorCode) })
	case *kmsg.DeleteTopicsResponse:
		return all(r.Topics, func(t kmsg.DeleteTopicsResponseTopic) bool { return isNot(t.ErrorCode) })
	case *kmsg.AlterUserSCRAMCredentialsResponse:
		return all(r.Results, func(u kmsg.AlterUserSCRAMCredentialsResponseResult) bool { return isNot(u.ErrorCode) })
	case *kmsg.AlterPartitionAssignmentsResponse:
		return isNot(r.ErrorCode)
	case *kmsg.ListPartitionReassignmentsResponse:
		return isNot(r.ErrorCode)
	}
	return false
}

func all[T any](items []T, is func(T) bool) bool {
	return len(items) > 0 && !slices.ContainsFunc(items, func(item T) bool { return !is(item) })
}

func askInTurn[R kmsg.Response](ctx context.Context, c *Client, req kmsg.Request, again func(error) bool) (R, error) {
	var none R
	ids, err := c.brokers(ctx)
	if err != nil {
		return none, err
	}
	for _, id := range ids {
		var resp R
		if resp, err = askBroker[R](ctx, c, id, req); err == nil {
			return resp, nil
		}
		c.demote(id)
		if ctx.Err() != nil || !again(err) {
			break
		}
	}
	return none, err
}

// askBroker sends a request once, to this broker and no other.
func askBroker[R kmsg.Response](ctx context.Context, c *Client, id int32, req kmsg.Request) (R, error) {
	var none R
	resp, err := c.kgo.Broker(int(id)).Request(ctx, req)
	if err != nil {
		return none, fmt.Errorf("broker %d: %w", id, unanswered(ctx, err))
	}
	typed, ok := resp.(R)
	if !ok {
		return none, fmt.Errorf("broker %d: %s answered with %T", id, kmsg.NameForKey(req.Key()), resp)
	}
	return typed, nil
}

func neverSent(err error) bool {
	_, ok := errors.AsType[*dialError](err)
	return ok
}

func connectionLost(err error) bool {
	if neverSent(err) {
		return true
	}
	// Many brokers may be silent, and the caller must not wait for each in turn.
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return false
	}
	return kgo.IsRetryableBrokerErr(err)
}

// unanswered turns the failure of a request without an answer into an error of the port.
func unanswered(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return context.Cause(ctx)
	}
	kind, cause := kafka.ErrUnreachable, causeOf(err)
	// CauseMechanism and CauseNoLogin refuse nobody: the same user may log in by another mechanism.
	if cause == kafka.CauseLogin || cause == kafka.CauseCertificate {
		kind = kafka.ErrAuthenticationFailed
	}
	if cause == "" {
		return fmt.Errorf("%w: %w", kind, err)
	}
	return &kafka.Unanswered{Cause: cause, Kind: kind, Err: err}
}

// refusals are the codes of a mistake in the request. Any other error may be gone at the next attempt.
var refusals = []*kerr.Error{
	kerr.DuplicateResource,
	kerr.DuplicateVoter,
	kerr.InvalidConfig,
	kerr.InvalidPartitions,
	kerr.InvalidPrincipalType,
	kerr.InvalidReplicaAssignment,
	kerr.InvalidReplicationFactor,
	kerr.InvalidRequest,
	kerr.InvalidTopicException,
	kerr.InvalidUpdateVersion,
	kerr.PolicyViolation,
	kerr.SecurityDisabled,
	kerr.TopicDeletionDisabled,
	kerr.UnacceptableCredential,
	kerr.UnsupportedSaslMechanism,
	kerr.UnsupportedVersion,
	kerr.VoterNotFound,
}

// answered turns the error code of an answer, or of one of its items, into an error of the port.
func answered(code int16, message *string) error {
	err := kerr.ErrorForCode(code)
	if err == nil {
		return nil
	}
	text := ""
	if message != nil {
		text = *message
	}
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return kafka.ErrTopicExists
	}
	if errors.Is(err, kerr.UnknownTopicID) {
		return kafka.ErrUnknownTopicID
	}
	if errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.ClusterAuthorizationFailed) {
		return &kafka.Denied{Code: kerr.TypedErrorForCode(code).Message, Message: withoutDump(text)}
	}
	for _, r := range refusals {
		if errors.Is(err, r) {
			return &kafka.Refusal{Code: r.Message, Message: text}
		}
	}
	name := "error code " + strconv.Itoa(int(code))
	if e, ok := errors.AsType[*kerr.Error](err); ok {
		name = e.Message
	}
	if text == "" {
		return &codeError{name, err}
	}
	return &codeError{text + " (" + name + ")", err}
}

// withoutDump cuts Kafka's dump of the request out of "Request Request(processor=..., session=...) needs ALTER
// permission." The dump differs with each request. A status that repeated it would change, and be written again, with
// each attempt.
func withoutDump(sentence string) string {
	if i := strings.LastIndex(sentence, " needs "); i > 0 && strings.HasPrefix(sentence, "Request Request(") {
		return "The request" + sentence[i:]
	}
	return sentence
}

// mutated is answered for an item that the quota controller_mutation_rate may hold back (KIP-599).
func mutated(code int16, message *string, throttleMillis int32) error {
	if code == kerr.ThrottlingQuotaExceeded.Code {
		return &kafka.Throttled{After: time.Duration(throttleMillis) * time.Millisecond}
	}
	return answered(code, message)
}

// codeError prints Kafka's own sentence rather than the library's.
type codeError struct {
	text string
	err  error
}

func (e *codeError) Error() string { return e.text }
func (e *codeError) Unwrap() error { return e.err }

// errNoAnswer is the error of an item that Kafka's answer leaves out.
var errNoAnswer = errors.New("the answer does not mention it")

const (
	// itemsPerRequest bounds the answer: all keys of a thousand topics are one or two megabytes.
	itemsPerRequest = 1000
	// recordsPerRequest is half of the 10,000 metadata records that the controller writes at once. The controller
	// refuses a larger request as a whole, and every item in it gets a POLICY_VIOLATION.
	recordsPerRequest = 5000
)

// batches cuts items into runs of at most itemsPerRequest items and recordsPerRequest records. A single item may have
// more records.
func batches[T any](items []T, records func(T) int) [][]T {
	var all [][]T
	start, sum := 0, 0
	for i, item := range items {
		n := min(max(records(item), 1), recordsPerRequest)
		if i > start && (i-start == itemsPerRequest || sum+n > recordsPerRequest) {
			all = append(all, items[start:i])
			start, sum = i, 0
		}
		sum += n
	}
	if start < len(items) {
		all = append(all, items[start:])
	}
	return all
}

func oneRecord[T any](T) int { return 1 }

// errTooLarge means that Kafka refused a request of several items for its size and did none of them.
var errTooLarge = errors.New("the request is too large for Kafka")

func tooLarge(err error) bool {
	refusal, ok := errors.AsType[*kafka.Refusal](err)
	return ok && refusal.TooLarge()
}

// inBatches sends one request per batch. It cuts a batch that is too large in half and sends the halves. It returns an
// error only if nothing is known about any item. After one answer it hands the error of a later batch to failed, item
// by item.
func inBatches[T any](all [][]T, send func([]T) error, failed func(T, error)) error {
	var broken error
	known := false
	for len(all) > 0 {
		batch := all[0]
		all = all[1:]
		if broken == nil {
			broken = send(batch)
		}
		switch {
		case broken == nil:
			known = true
		case errors.Is(broken, errTooLarge):
			broken = nil
			half := len(batch) / 2
			all = append([][]T{batch[:half], batch[half:]}, all...)
		case !known:
			return broken
		default:
			for _, item := range batch {
				failed(item, broken)
			}
		}
	}
	return nil
}
