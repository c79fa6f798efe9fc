package client

import (
	"context"
	"errors"
	"net"
	"sync"
)

// dialLog remembers of every address how it was last dialled. The library goes through the seeds in an order of chance and
// tells of the last; what is told of the same fault must be the same each time.
type dialLog struct {
	mu     sync.Mutex
	failed map[string]error
}

func (l *dialLog) watch(dial DialFunc) DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.failed == nil {
			l.failed = map[string]error{}
		}
		l.failed[address] = err
		return conn, err
	}
}

// first returns for a failed dial that of the first seed, in the order in which they were given.
func (l *dialLog) first(seeds []string, err error) error {
	if _, dialled := errors.AsType[*dialError](err); !dialled {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, seed := range seeds {
		if l.failed[seed] != nil {
			return l.failed[seed]
		}
	}
	return err
}
