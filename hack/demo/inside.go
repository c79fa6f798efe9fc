package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// insideScript is what the pod runs with the console tools of the Kafka image.
//
//go:embed inside.sh
var insideScript string

// insidePod is the name of the pod that works inside the cluster.
const insidePod = "castellan-demo"

// inside sends and reads the records from a pod which has nothing of the cluster but the user's Secret, mounted.
func (d *demo) inside(ctx context.Context) (*tally, error) {
	t := newTally("inside-" + strconv.FormatInt(time.Now().Unix(), 36))
	return t, d.step("10,000 records from a pod inside, as "+insideUser, func() error {
		secret, err := d.secretName(ctx, insideUser)
		if err != nil {
			return err
		}
		image, err := d.brokerImage(ctx)
		if err != nil {
			return err
		}
		if err := d.removePod(ctx); err != nil {
			return err
		}
		pod, err := json.Marshal(insidePodManifest(image, secret, t.run))
		if err != nil {
			return err
		}
		command := program(ctx, d.kubectl[0], d.kubectlArgs("apply", "--server-side", "-f", "-")...)
		command.Stdin = bytes.NewReader(pod)
		if out, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("make the pod: %w\n%s", err, out)
		}
		logs, err := d.podLogs(ctx)
		if err != nil {
			return err
		}
		for _, line := range strings.Split(logs, "\n") {
			if err := t.line(line); err != nil {
				return err
			}
		}
		if err := t.complete(); err != nil {
			return err
		}
		return d.removePod(ctx)
	})
}

// brokerImage is the image that the brokers run: it is on the nodes already.
func (d *demo) brokerImage(ctx context.Context) (string, error) {
	image, err := d.get(ctx, "pods", "-n", namespace, "-l", "kafka.castellan.dev/cluster="+cluster,
		"-o", `jsonpath={.items[0].spec.containers[?(@.name=="kafka")].image}`)
	if err == nil && image == "" {
		err = errors.New("no pod of the cluster has a container kafka")
	}
	return image, err
}

func (d *demo) removePod(ctx context.Context) error {
	_, err := d.output(ctx, d.kubectl[0], d.kubectlArgs("delete", "pod", insidePod, "-n", namespace,
		"--ignore-not-found", "--grace-period=1", "--wait=true")...)
	return err
}

// podLogs waits until the pod has ended and returns what it printed.
func (d *demo) podLogs(ctx context.Context) (string, error) {
	deadline := time.Now().Add(5 * time.Minute)
	for {
		phase, err := d.get(ctx, "pod", insidePod, "-n", namespace, "-o", "jsonpath={.status.phase}")
		if err != nil {
			return "", err
		}
		if phase == "Succeeded" || phase == "Failed" || time.Now().After(deadline) {
			logs, err := d.output(ctx, d.kubectl[0], d.kubectlArgs("logs", insidePod, "-n", namespace)...)
			if phase != "Succeeded" && err == nil {
				err = fmt.Errorf("the pod is %s:\n%s", phase, lastLines(logs, 20))
			}
			return logs, err
		}
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

type fields = map[string]any

func insidePodManifest(image, secret, run string) fields {
	return fields{
		"apiVersion": "v1",
		"kind":       "Pod",
		"metadata":   fields{"name": insidePod, "namespace": namespace},
		"spec": fields{
			"restartPolicy":                "Never",
			"automountServiceAccountToken": false,
			"securityContext": fields{
				"runAsNonRoot": true, "runAsUser": 1000, "fsGroup": 1000,
				"seccompProfile": fields{"type": "RuntimeDefault"},
			},
			"containers": []fields{{
				"name": "client", "image": image,
				"command": []string{"bash", "-c", insideScript},
				"env": []fields{
					{"name": "RUN", "value": run}, {"name": "TOPIC", "value": topic},
					{"name": "GROUP", "value": insideUser + "-" + run},
					{"name": "RECORDS", "value": strconv.Itoa(records)}, {"name": "KEYS", "value": strconv.Itoa(keys)},
				},
				"securityContext": fields{
					"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
					"capabilities": fields{"drop": []string{"ALL"}},
				},
				"volumeMounts": []fields{
					{"name": "binding", "mountPath": "/binding", "readOnly": true},
					{"name": "tmp", "mountPath": "/tmp"},
				},
			}},
			"volumes": []fields{
				{"name": "binding", "secret": fields{"secretName": secret}},
				{"name": "tmp", "emptyDir": fields{}},
			},
		},
	}
}
