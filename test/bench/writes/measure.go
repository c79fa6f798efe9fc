//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/cbor"
	"k8s.io/apimachinery/pkg/runtime/serializer/cbor/direct"
	kubejson "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
)

const (
	writers  = 16 // as many as the operator has
	patience = time.Minute
	maxEvent = 1 << 20
)

// errEnded is of a watch that the API server ended, as it does shortly after a CRD was made.
var errEnded = errors.New("the watch ended")

// cost is that of one write, the mean of one pass.
type cost struct {
	kubeAPI, etcd, wall float64 // ms
	sent, received      float64 // bytes
}

// pass writes each topic of the variant's set once, and waits until all watches have told of all. What is sent is made
// before anything is counted.
func (v variant) pass(ctx context.Context, s *server, n, turn int) (c cost, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not all was written and seen in %s", patience))
	defer cancel()
	list, err := s.topics(ctx, v.set, n)
	if err != nil {
		return c, err
	}
	requests, err := v.requests(list, turn)
	if err != nil {
		return c, err
	}
	seen, err := v.watch(ctx, s, list.GetResourceVersion(), n)
	if err != nil {
		return c, err
	}
	kubeAPI, etcd, err1 := s.cpu()
	start := time.Now()
	c.received, err = v.send(ctx, s, requests)
	if err := errors.Join(err1, err); err != nil {
		return c, err
	}
	if err := seen(); err != nil {
		return c, err
	}
	c.wall = time.Since(start).Seconds() * 1000 / float64(n)
	kubeAPIAfter, etcdAfter, err := s.cpu()
	c.kubeAPI, c.etcd = (kubeAPIAfter-kubeAPI)*1000/float64(n), (etcdAfter-etcd)*1000/float64(n)
	for _, r := range requests {
		c.sent += float64(len(r.body)) / float64(n)
	}
	return c, err
}

type request struct {
	path string
	body []byte
}

func (v variant) requests(list *unstructured.UnstructuredList, turn int) ([]request, error) {
	encode := json.Marshal
	if v.sends == asCBOR {
		encode = direct.Marshal
	}
	var requests []request
	for _, t := range list.Items {
		body, err := encode(v.body(&t, turn))
		if err != nil {
			return nil, err
		}
		requests = append(requests, request{topics(v.set) + "/" + t.GetName() + v.object + v.query, body})
	}
	return requests, nil
}

func topics(set set) string {
	return "/apis/" + v1alpha1.GroupVersion.String() + "/namespaces/" + set.name + "/kafkatopics"
}

// send returns how many bytes an answer has.
func (v variant) send(ctx context.Context, s *server, requests []request) (received float64, err error) {
	method, accepts := v.method, v.accepts
	if method == "" {
		method = http.MethodPatch
	}
	if accepts == "" {
		accepts = asJSON
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var bytes atomic.Int64
	batch.Each(writers, requests, func(r request) {
		answer, err := s.call(ctx, method, r.path, v.sends, accepts, r.body)
		if err != nil {
			fail(err)
			return
		}
		n, err := io.Copy(io.Discard, answer)
		if err := errors.Join(err, answer.Close()); err != nil {
			fail(err)
		}
		bytes.Add(n)
	})
	return float64(bytes.Load()) / float64(len(requests)), context.Cause(ctx)
}

// watch begins to watch the set. seen returns when each watch has told of n writes.
func (v variant) watch(ctx context.Context, s *server, version string, n int) (seen func() error, err error) {
	watches := v.watches
	if watches == nil {
		watches = []string{asJSON}
	}
	errs := make([]error, len(watches))
	var group sync.WaitGroup
	for i, accepts := range watches {
		events, err := s.call(ctx, http.MethodGet, topics(v.set)+"?watch=1&resourceVersion="+version, asJSON, accepts, nil)
		if err != nil {
			return nil, err
		}
		group.Go(func() {
			errs[i] = countEvents(events, accepts, n)
		})
	}
	return func() error { group.Wait(); return errors.Join(errs...) }, nil
}

// countEvents reads n events as what they are, frames of bytes: whoever watches pays for the rest.
func countEvents(events io.ReadCloser, accepts string, n int) error {
	var framer runtime.Framer = kubejson.Framer
	switch {
	case accepts == asCBOR:
		framer = cbor.NewFramer()
	case strings.Contains(accepts, "protobuf"):
		framer = protobuf.LengthDelimitedFramer
	}
	reader := framer.NewFrameReader(events)
	event := make([]byte, maxEvent)
	for i := range n {
		if _, err := reader.Read(event); err != nil {
			return fmt.Errorf("%w after %d of %d events: %w", errEnded, i, n, errors.Join(err, reader.Close()))
		}
	}
	return reader.Close()
}
