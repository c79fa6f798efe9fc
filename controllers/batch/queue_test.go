package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

var (
	one   = types.NamespacedName{Namespace: "a", Name: "one"}
	two   = types.NamespacedName{Namespace: "a", Name: "two"}
	start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

func at(now *time.Time) *Queue { return &Queue{Now: func() time.Time { return *now }} }

func TestANameIsHandedOutOnceHoweverOftenItIsMarked(t *testing.T) {
	now := start
	q := at(&now)
	q.Mark(one, "x", "y", "x")
	q.Mark(one, "x")
	q.Mark(two, "z")
	if got := q.Take(one, 10); !slices.Equal(got, []string{"x", "y"}) {
		t.Errorf("%v", got)
	}
	if got := q.Take(one, 10); len(got) != 0 {
		t.Errorf("again: %v", got)
	}
	if got := q.Take(two, 10); !slices.Equal(got, []string{"z"}) {
		t.Errorf("of the other cluster: %v", got)
	}
}

func TestAFlushIsBoundedAndTheLongestWaitingComeFirst(t *testing.T) {
	now := start
	q := at(&now)
	q.Mark(one, "late")
	now = now.Add(time.Second)
	for i := range 9 {
		q.Mark(one, fmt.Sprintf("n%d", i))
	}
	first := q.Take(one, 4)
	if len(first) != 4 || first[0] != "late" {
		t.Errorf("%v", first)
	}
	if next, waits := q.Next(one); !waits || next != 0 {
		t.Errorf("the rest is due in %s, %v", next, waits)
	}
	if rest := q.Take(one, 100); len(rest) != 6 {
		t.Errorf("%v", rest)
	}
}

func TestALaterMarkDoesNotPutOffAnEarlierOne(t *testing.T) {
	now := start
	q := at(&now)
	q.MarkAfter(one, time.Minute, "x")
	if got := q.Take(one, 1); len(got) != 0 {
		t.Errorf("too early: %v", got)
	}
	q.Mark(one, "x")
	q.MarkAfter(one, time.Hour, "x")
	if got := q.Take(one, 1); len(got) != 1 {
		t.Error("put off")
	}
}

func TestRetriesGrowAndEndWithSuccess(t *testing.T) {
	now := start
	q := at(&now)
	var delays []time.Duration
	for range 6 {
		q.Retry(one, "x", time.Second, 10*time.Second)
		next, _ := q.Next(one)
		delays = append(delays, next/time.Second)
		q.mu.Lock()
		delete(q.clusters[one].due, "x")
		q.mu.Unlock()
	}
	if !slices.Equal(delays, []time.Duration{1, 2, 4, 8, 10, 10}) {
		t.Errorf("%d", delays)
	}
	q.Settled(one, "x")
	q.Retry(one, "x", time.Second, 10*time.Second)
	if next, _ := q.Next(one); next != time.Second {
		t.Errorf("after success: %s", next)
	}
}

func TestManyMarkWhileOneTakes(t *testing.T) {
	q := &Queue{}
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			for i := range 500 {
				q.Mark(one, fmt.Sprintf("%d-%d", g, i))
			}
		})
	}
	seen := map[string]bool{}
	for len(seen) < 4000 {
		for _, name := range q.Take(one, 100) {
			if seen[name] {
				t.Fatalf("%s handed out twice", name)
			}
			seen[name] = true
		}
	}
	group.Wait()
}

func TestAnEngineAtRestWaitsForTheDriftCheckOnly(t *testing.T) {
	now := start
	q := at(&now)
	var flushed [][]string
	var fail error
	e := Engine{Queue: q,
		All: func(context.Context, types.NamespacedName) ([]string, error) { return []string{"x", "y"}, nil },
		Flush: func(_ context.Context, _ types.NamespacedName, names []string) ([]string, error) {
			flushed = append(flushed, names)
			if fail != nil {
				return names, fail
			}
			return nil, nil
		}}
	run := func() (reconcile.Result, error) {
		return e.Reconcile(context.Background(), reconcile.Request{NamespacedName: one})
	}
	q.Mark(one, "x")
	result, err := run()
	if err != nil || result.RequeueAfter < 9*time.Minute || result.RequeueAfter > 11*time.Minute {
		t.Errorf("%v %v", result, err)
	}
	now = now.Add(result.RequeueAfter)
	if _, err := run(); err != nil || len(flushed) != 2 || len(flushed[1]) != 2 {
		t.Errorf("drift: %v %v", flushed, err)
	}
	fail = errors.New("down")
	q.Mark(one, "x")
	if _, err := run(); err == nil {
		t.Error("want the error, for the backoff")
	}
	fail = nil
	if _, err := run(); err != nil || !slices.Equal(flushed[len(flushed)-1], []string{"x"}) {
		t.Errorf("what failed is dirty again: %v", flushed)
	}
}

func TestAClusterThatNothingRefersToIsForgotten(t *testing.T) {
	now := start
	q := at(&now)
	e := Engine{Queue: q,
		All:   func(context.Context, types.NamespacedName) ([]string, error) { return nil, nil },
		Flush: func(context.Context, types.NamespacedName, []string) ([]string, error) { return nil, nil }}
	q.Mark(one, "x")
	if _, err := e.Reconcile(context.Background(), reconcile.Request{NamespacedName: one}); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Hour)
	result, err := e.Reconcile(context.Background(), reconcile.Request{NamespacedName: one})
	if err != nil || result.RequeueAfter != 0 || len(q.clusters) != 0 {
		t.Errorf("%v %v %v", result, err, q.clusters)
	}
}
