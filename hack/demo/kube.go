package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// object is what the demo reads of the three kinds.
type object struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name       string `json:"name"`
		Generation int64  `json:"generation"`
	} `json:"metadata"`
	Status struct {
		ObservedGeneration int64       `json:"observedGeneration"`
		Conditions         []condition `json:"conditions"`
		Binding            *struct {
			Name string `json:"name"`
		} `json:"binding"`
		Listeners []struct {
			Name             string `json:"name"`
			BootstrapServers string `json:"bootstrapServers"`
			SecurityProtocol string `json:"securityProtocol"`
		} `json:"listeners"`
		Brokers string `json:"brokers"`
		Version string `json:"version"`
	} `json:"status"`
}

type condition struct {
	Type               string `json:"type"`
	Status             string `json:"status"`
	ObservedGeneration int64  `json:"observedGeneration"`
	Reason             string `json:"reason"`
	Message            string `json:"message"`
}

// line is the one-line status message: the reason and message of the condition that says most, and whether it is final.
// What was said of an older spec, or was withdrawn, says nothing.
func (o object) line() (text string, ready bool, stalled bool) {
	told := o.condition("Ready")
	if told.Status == "" || told.Status == unknown || o.Status.ObservedGeneration != o.Metadata.Generation {
		return "waiting for the operator", false, false
	}
	if s := o.condition("Stalled"); s.Status == "True" {
		return s.Reason + ": " + s.Message, false, true
	}
	return strings.TrimSuffix(told.Reason+": "+told.Message, ": "), told.Status == "True", false
}

// condition returns a condition of the present spec; without one its status is empty.
func (o object) condition(kind string) condition {
	for _, c := range o.Status.Conditions {
		if c.Type == kind && c.ObservedGeneration == o.Metadata.Generation {
			return c
		}
	}
	return condition{}
}

func (d *demo) kubectlArgs(args ...string) []string { return slices.Concat(d.kubectl[1:], args) }

// get reads what kubectl get prints.
func (d *demo) get(ctx context.Context, args ...string) (string, error) {
	return d.output(ctx, d.kubectl[0], d.kubectlArgs(append([]string{"get"}, args...)...)...)
}

// readyWithin is far above what any machine needs; a fault shows in the messages long before.
const readyWithin = 10 * time.Minute

// waitReady waits for all samples at once and prints every change of their messages.
func (d *demo) waitReady(ctx context.Context) error {
	return d.step("Ready", func() error {
		said := map[string]string{}
		deadline := time.Now().Add(readyWithin)
		for {
			waiting, err := d.lookOnce(ctx, said)
			if err != nil || len(waiting) == 0 {
				return err
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("not ready after %s: %s", readyWithin, strings.Join(waiting, ", "))
			}
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(500 * time.Millisecond):
			}
		}
	})
}

// lookOnce returns the objects that are not ready yet.
func (d *demo) lookOnce(ctx context.Context, said map[string]string) ([]string, error) {
	objects, err := d.samples(ctx)
	if err != nil {
		return nil, err
	}
	if len(objects) == 0 {
		return nil, errors.New("the samples are not there")
	}
	var waiting []string
	for _, o := range objects {
		name := o.Kind + "/" + o.Metadata.Name
		line, ready, stalled := o.line()
		if said[name] != line {
			said[name] = line
			d.say("  %-20s %s", name, line)
		}
		if stalled {
			return nil, fmt.Errorf("%s is stalled: %s", name, line)
		}
		if !ready {
			waiting = append(waiting, name)
		}
	}
	return waiting, nil
}

const clusterKind = "KafkaCluster"

// samples are the objects of Kafka's among the samples, as far as they are there.
func (d *demo) samples(ctx context.Context) ([]object, error) {
	text, err := d.get(ctx, "-k", filepath.Join(d.root, "config", "samples"), "--ignore-not-found", "-o", "json")
	if err != nil || text == "" {
		return nil, err
	}
	var list struct {
		Items []object `json:"items"`
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("read the samples: %w", err)
	}
	kinds := []string{clusterKind, "KafkaTopic", "KafkaUser"}
	return slices.DeleteFunc(list.Items, func(o object) bool { return !slices.Contains(kinds, o.Kind) }), nil
}

func (d *demo) object(ctx context.Context, kind, name string) (object, error) {
	var o object
	text, err := d.get(ctx, kind, name, "-n", namespace, "-o", "json")
	if err != nil {
		return o, err
	}
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return o, fmt.Errorf("read %s %s: %w", kind, name, err)
	}
	return o, nil
}

// secretName is the connection Secret of a user.
func (d *demo) secretName(ctx context.Context, user string) (string, error) {
	o, err := d.object(ctx, "kafkauser", user)
	if err != nil {
		return "", err
	}
	if o.Status.Binding == nil {
		return "", fmt.Errorf("KafkaUser %s names no Secret in status.binding", user)
	}
	return o.Status.Binding.Name, nil
}

// secret reads the entries of a Secret.
func (d *demo) secret(ctx context.Context, name string) (map[string][]byte, error) {
	text, err := d.get(ctx, "secret", name, "-n", namespace, "-o", "json")
	if err != nil {
		return nil, err
	}
	var s struct {
		Data map[string]string `json:"data"`
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return nil, fmt.Errorf("read the Secret %s: %w", name, err)
	}
	data := map[string][]byte{}
	for key, value := range s.Data {
		if data[key], err = base64.StdEncoding.DecodeString(value); err != nil {
			return nil, fmt.Errorf("read %s of the Secret %s: %w", key, name, err)
		}
	}
	return data, nil
}
