package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
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
		ObservedGeneration int64 `json:"observedGeneration"`
		Conditions         []struct {
			Type    string `json:"type"`
			Status  string `json:"status"`
			Reason  string `json:"reason"`
			Message string `json:"message"`
		} `json:"conditions"`
		Binding *struct {
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

// line is the one-line status message: the reason and message of the condition that says most, and whether it is final.
func (o object) line() (text string, ready bool, stalled bool) {
	text = "waiting for the operator"
	for _, c := range o.Status.Conditions {
		switch {
		case c.Type == "Stalled" && c.Status == "True":
			return c.Reason + ": " + c.Message, false, true
		case c.Type == "Ready":
			text = strings.TrimSuffix(c.Reason+": "+c.Message, ": ")
			ready = c.Status == "True" && o.Status.ObservedGeneration == o.Metadata.Generation
		}
	}
	return text, ready, false
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
	text, err := d.get(ctx, "kafkaclusters,kafkatopics,kafkausers", "-n", namespace, "-o", "json")
	if err != nil {
		return nil, err
	}
	var list struct {
		Items []object `json:"items"`
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("read the samples: %w", err)
	}
	if len(list.Items) == 0 {
		return nil, errors.New("the samples are not there")
	}
	var waiting []string
	for _, o := range list.Items {
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
