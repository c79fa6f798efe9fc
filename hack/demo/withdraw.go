package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// unknown is the status of a condition that nobody vouches for.
const unknown = "Unknown"

// askedAnnotation wakes the operator: it looks at a KafkaCluster again when an annotation has changed.
const askedAnnotation = "demo.castellan.dev/asked"

// attempts is how often a status is read again because the operator has written it between our look and our patch.
const attempts = 5

// withdraw takes back what the samples' statuses say from an earlier run, so that every Ready seen afterwards was
// written afterwards. An old Ready cannot be told from a new one by looking: a power failure changes no status, and the
// operator writes nothing that has not changed.
//
// Topics and users go first. The operator looks at them again when their cluster becomes Available.
func (d *demo) withdraw(ctx context.Context) error {
	objects, err := d.samples(ctx)
	if err != nil {
		return err
	}
	slices.SortStableFunc(objects, func(a, b object) int { return rank(a) - rank(b) })
	for _, o := range objects {
		if len(o.Status.Conditions) == 0 {
			continue
		}
		if err := d.withdrawOne(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

func rank(o object) int {
	if o.Kind == clusterKind {
		return 1
	}
	return 0
}

func (d *demo) withdrawOne(ctx context.Context, o object) error {
	kind, name := strings.ToLower(o.Kind), o.Metadata.Name
	for attempt := 1; ; attempt++ {
		patch, err := withdrawal(o)
		if err != nil {
			return err
		}
		_, err = d.output(ctx, d.kubectl[0], d.kubectlArgs("patch", kind, name, "-n", namespace,
			"--subresource=status", "--type=json", "--patch", patch)...)
		if err == nil {
			break
		}
		if attempt == attempts || ctx.Err() != nil {
			return fmt.Errorf("withdraw the status of %s %s: %w", o.Kind, name, err)
		}
		if o, err = d.object(ctx, kind, name); err != nil {
			return err
		}
	}
	if o.Kind != clusterKind {
		return nil
	}
	_, err := d.output(ctx, d.kubectl[0], d.kubectlArgs("annotate", kind, name, "-n", namespace, "--overwrite",
		askedAnnotation+"="+time.Now().UTC().Format(time.RFC3339Nano))...)
	return err
}

// withdrawal is the JSON patch that makes conditions Unknown. Reasons stay: the operator may go by them.
func withdrawal(o object) (string, error) {
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value string `json:"value"`
	}
	patch := []operation{}
	for i, c := range o.Status.Conditions {
		if c.Type == "Ready" || c.Type == "Available" {
			at := fmt.Sprintf("/status/conditions/%d/", i)
			// The operator may have written another list meanwhile.
			patch = append(patch, operation{"test", at + "type", c.Type}, operation{"replace", at + "status", unknown})
		}
	}
	text, err := json.Marshal(patch)
	return string(text), err
}
