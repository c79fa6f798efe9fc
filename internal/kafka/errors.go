package kafka

import "errors"

// Errors that callers decide by. Everything else is retried.
var (
	// ErrUnreachable: no broker answered; nothing is known about what was asked.
	ErrUnreachable = errors.New("no broker answered")
	// ErrAuthenticationFailed: a broker refused the credentials.
	ErrAuthenticationFailed = errors.New("authentication failed")
	// ErrTopicExists: the name is taken.
	ErrTopicExists = errors.New("topic exists already")
	// ErrUnknownTopicID: no topic has this UUID.
	ErrUnknownTopicID = errors.New("no topic has this id")
)

// Refusal is Kafka's own no to one item of a request: a user's mistake or a limit, which no retry will cure.
type Refusal struct {
	Code    string // Kafka's error name, such as INVALID_CONFIG
	Message string // Kafka's sentence
}

func (r *Refusal) Error() string {
	if r.Message == "" {
		return r.Code
	}
	return r.Message + " (" + r.Code + ")"
}
