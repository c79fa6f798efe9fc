package client

import (
	"context"
	"errors"
	"net"
	"sync"
)

// dialLog remembers how the last dial of each address ended. The library tries the seeds in random order and returns
// the error of the last one. A status must name the same fault with the same words each time.
type dialLog struct {
	mu     sync.Mutex
	failed map[string]error // by address; nil = the last dial succeeded
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

// first replaces a dial error by that of the first seed that failed, in the order of Options.Seeds.
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
