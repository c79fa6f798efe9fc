package suite

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

const (
	retryPause = 500 * time.Millisecond
	// retryFor bounds the patience with a request that says no time of its own.
	retryFor = time.Minute
)

// Outlasting is a way to the API server for tests. A server that is overloaded for a moment says nothing about what a
// case holds: requests are sent again until it answers or the time of the request is over. A request that changes
// something is sent again only when it cannot have arrived, or when sending it twice is the same as sending it once.
func Outlasting(next http.RoundTripper) http.RoundTripper {
	return outlasting{next: next, pause: retryPause, within: retryFor}
}

type outlasting struct {
	next          http.RoundTripper
	pause, within time.Duration
}

func (o outlasting) RoundTrip(request *http.Request) (*http.Response, error) {
	deadline := time.Now().Add(o.within)
	for {
		var connected atomic.Bool
		trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }}
		response, err := o.next.RoundTrip(request.WithContext(httptrace.WithClientTrace(request.Context(), trace)))
		again := err != nil && (!connected.Load() || isRepeatable(request)) ||
			err == nil && isOverloaded(response.StatusCode) && isRepeatable(request)
		if !again || time.Now().After(deadline) || !rewind(request) || !sleep(request.Context(), o.pause) {
			return response, err
		}
		if response != nil {
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
		}
	}
}

// isRepeatable: a patch of the tests is a server-side apply or sets values.
func isRepeatable(request *http.Request) bool {
	return request.Method == http.MethodGet || request.Method == http.MethodHead || request.Method == http.MethodPatch
}

// isOverloaded leaves 429 out, which client-go itself waits for.
func isOverloaded(status int) bool {
	return status == http.StatusInternalServerError || status == http.StatusBadGateway ||
		status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
}

// rewind puts the body of a request back to its beginning.
func rewind(request *http.Request) bool {
	if request.Body == nil || request.Body == http.NoBody {
		return true
	}
	if request.GetBody == nil {
		return false
	}
	body, err := request.GetBody()
	if err != nil {
		return false
	}
	request.Body = body
	return true
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
