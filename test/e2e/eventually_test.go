package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

const (
	pollInterval = 200 * time.Millisecond
	checkLimit   = 15 * time.Second // of one check
)

// poll asks until check returns nil, no longer than the given time on a quiet machine. The error of the last time is
// the reason in the error that it returns. It returns how long it took.
func poll(
	ctx context.Context,
	within time.Duration,
	what string,
	check func(ctx context.Context) error,
) (time.Duration, error) {
	begin := time.Now()
	within = pace.Of(within)
	var last error
	err := wait.PollUntilContextTimeout(ctx, pollInterval, within, true, func(context.Context) (bool, error) {
		// Not the poll's own context: at its end, the last reason would be that time is up.
		asked, cancel := context.WithTimeout(ctx, pace.Of(checkLimit))
		defer cancel()
		last = check(asked)
		return last == nil, nil
	})
	if err != nil {
		err = fmt.Errorf("%s: not within %s; the last reason: %w", what, within, last)
	}
	return time.Since(begin), err
}

// eventually is poll for a case, which fails when it does.
func eventually(t *testing.T, within time.Duration, what string, check func(ctx context.Context) error) time.Duration {
	t.Helper()
	took, err := poll(t.Context(), within, what, check)
	if err != nil {
		t.Fatal(err)
	}
	say(t, "%s (%.1fs)", what, took.Seconds())
	return took
}

// always asks for a while and fails at the first error.
func always(t *testing.T, during time.Duration, what string, check func(ctx context.Context) error) {
	t.Helper()
	var broken error
	_ = wait.PollUntilContextTimeout(t.Context(), pollInterval, during, true, func(context.Context) (bool, error) {
		broken = check(t.Context()) // not the poll's own, whose end is no fault
		return broken != nil, nil
	})
	if broken != nil {
		t.Fatalf("%s: does not hold: %v", what, broken)
	}
	say(t, "%s (watched for %s)", what, during)
}

// object is any of the three kinds.
type object interface {
	client.Object
	conditions() []metav1.Condition
	observed() int64
}

type (
	kafkaCluster struct{ *v1alpha1.KafkaCluster }
	kafkaTopic   struct{ *v1alpha1.KafkaTopic }
	kafkaUser    struct{ *v1alpha1.KafkaUser }
)

func (o kafkaCluster) conditions() []metav1.Condition { return o.Status.Conditions }
func (o kafkaTopic) conditions() []metav1.Condition   { return o.Status.Conditions }
func (o kafkaUser) conditions() []metav1.Condition    { return o.Status.Conditions }
func (o kafkaCluster) observed() int64                { return o.Status.ObservedGeneration }
func (o kafkaTopic) observed() int64                  { return o.Status.ObservedGeneration }
func (o kafkaUser) observed() int64                   { return o.Status.ObservedGeneration }

func inner(o object) client.Object {
	switch v := o.(type) {
	case kafkaCluster:
		return v.KafkaCluster
	case kafkaTopic:
		return v.KafkaTopic
	case kafkaUser:
		return v.KafkaUser
	}
	panic(fmt.Sprintf("no such kind: %T", o))
}

func clusterNamed(namespace, name string) kafkaCluster {
	return kafkaCluster{&v1alpha1.KafkaCluster{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}}
}

func topicNamed(namespace, name string) kafkaTopic {
	return kafkaTopic{&v1alpha1.KafkaTopic{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}}
}

func userNamed(namespace, name string) kafkaUser {
	return kafkaUser{&v1alpha1.KafkaUser{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}}
}

// refresh reads the live object into o.
func refresh(ctx context.Context, o object) error {
	return kube.Get(ctx, client.ObjectKeyFromObject(o), inner(o))
}

// isReady reads the object and tells why its present generation is not Ready.
func isReady(ctx context.Context, o object) error {
	if err := refresh(ctx, o); err != nil {
		return err
	}
	c := meta.FindStatusCondition(o.conditions(), v1alpha1.ConditionReady)
	switch {
	case c == nil:
		return fmt.Errorf("%s has no condition Ready", o.GetName())
	case c.Status != metav1.ConditionTrue:
		return fmt.Errorf("%s is not Ready: %s: %s", o.GetName(), c.Reason, c.Message)
	case c.ObservedGeneration != o.GetGeneration() || o.observed() != o.GetGeneration():
		return fmt.Errorf(
			"%s is Ready for generation %d (status %d), not for %d",
			o.GetName(),
			c.ObservedGeneration,
			o.observed(),
			o.GetGeneration(),
		)
	}
	return nil
}

func waitReady(t *testing.T, within time.Duration, o object) time.Duration {
	t.Helper()
	took, err := pollReady(t.Context(), within, o)
	if err != nil {
		t.Fatal(err)
	}
	say(t, "%s %s is Ready (%.1fs)", kindOf(o), o.GetName(), took.Seconds())
	return took
}

func pollReady(ctx context.Context, within time.Duration, o object) (time.Duration, error) {
	what := fmt.Sprintf("%s %s is Ready", kindOf(o), o.GetName())
	return poll(ctx, within, what, func(ctx context.Context) error { return isReady(ctx, o) })
}

// isStalled reads the object and tells why it is not Stalled for its present generation with the given words.
func isStalled(ctx context.Context, o object, reason string, says []string) error {
	if err := refresh(ctx, o); err != nil {
		return err
	}
	c := meta.FindStatusCondition(o.conditions(), v1alpha1.ConditionStalled)
	if c == nil || c.Status != metav1.ConditionTrue || c.ObservedGeneration != o.GetGeneration() {
		return fmt.Errorf(
			"%s is not Stalled for generation %d; conditions: %s",
			o.GetName(),
			o.GetGeneration(),
			told(o.conditions()),
		)
	}
	if reason != "" && c.Reason != reason {
		return fmt.Errorf("%s is Stalled with reason %s (%s), expected %s", o.GetName(), c.Reason, c.Message, reason)
	}
	if missing := missingIn(c.Message, says); missing != "" {
		return fmt.Errorf("%s is Stalled and its message does not say %q: %s", o.GetName(), missing, c.Message)
	}
	return nil
}

// hasReason reads the object and tells why a condition of it does not have a reason.
func hasReason(ctx context.Context, o object, condition, reason string) error {
	if err := refresh(ctx, o); err != nil {
		return err
	}
	if c := meta.FindStatusCondition(o.conditions(), condition); c == nil || c.Reason != reason {
		return fmt.Errorf(
			"%s is not %s for the reason %s; conditions: %s",
			o.GetName(),
			condition,
			reason,
			told(o.conditions()),
		)
	}
	return nil
}

func told(conditions []metav1.Condition) string {
	text := ""
	for _, c := range conditions {
		text += fmt.Sprintf("[%s=%s %s (generation %d): %s] ", c.Type, c.Status, c.Reason, c.ObservedGeneration, c.Message)
	}
	return text
}

func kindOf(o object) string {
	switch o.(type) {
	case kafkaCluster:
		return "KafkaCluster"
	case kafkaTopic:
		return "KafkaTopic"
	default:
		return "KafkaUser"
	}
}
